"""Rows from which several means are learned: each as if it were learned alone."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.offers.tree_models import LearnedRows, TreeSettings, fit_mean, hold_rows

SETTINGS = TreeSettings(iterations=20, depth=3)


def test_targets_do_not_disturb_each_other() -> None:
    random = np.random.default_rng(5)
    design = random.normal(size=(400, 4)).astype(np.float32)
    targets = [design[:, column] * 10 + random.normal(size=400) for column in range(3)]
    shared = LearnedRows(design)
    models = [shared.fit_mean(target, SETTINGS) for target in [*targets, targets[0]]]
    for target, model in zip([*targets, targets[0]], models, strict=True):
        alone = fit_mean(design, target, SETTINGS)
        np.testing.assert_array_equal(model.predict(design), alone.predict(design))
        assert np.corrcoef(model.predict(design), target)[0, 1] > 0.9


def test_held_rows_are_answered_like_the_same_rows() -> None:
    design = np.random.default_rng(6).normal(size=(200, 3)).astype(np.float32)
    design[::7, 1] = np.nan
    model = fit_mean(design, design[:, 0].astype(np.float64), SETTINGS)
    np.testing.assert_array_equal(model.predict(hold_rows(design)), model.predict(design))
    assert model.predict(hold_rows(design[:0])).shape == (0,)


def test_rows_that_cannot_be_learned_from_are_refused_in_words() -> None:
    with pytest.raises(LearningError, match="constant") as refused:
        fit_mean(np.zeros((50, 3), dtype=np.float32), np.arange(50.0), SETTINGS)
    assert "50 rows" in str(refused.value)
    with pytest.raises(LearningError, match="unknown"):
        fit_mean(np.eye(3, dtype=np.float32), np.array([1.0, np.nan, 2.0]), SETTINGS)
