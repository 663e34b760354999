"""Chances learned from few hits: right on average for people who were not learned from."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.domain.offers.tree_models import (
    TreeSettings,
    find_intercept,
    fit_calibrated_chance,
    fit_chance,
)

SETTINGS = TreeSettings(120, 4, 0.08)


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    design = random.normal(size=(rows, 20)).astype(np.float32)
    return design, random.random(rows) < 0.06


@pytest.mark.parametrize("share", [0.001, 0.06, 0.5, 0.97])
def test_intercept_gives_the_wanted_mean_beside_an_offset(share: float) -> None:
    offset = np.random.default_rng(1).normal(-1, 1, 5_000)
    start = find_intercept(share, offset)
    assert float((1 / (1 + np.exp(-(start + offset)))).mean()) == pytest.approx(share, rel=1e-6)
    assert find_intercept(share, np.zeros(3)) == pytest.approx(np.log(share / (1 - share)))


def test_means_are_right_for_others_where_trees_alone_are_too_low() -> None:
    plain, calibrated = [], []
    for seed in range(6):
        design, hits = draw(1_300, seed)
        others, _ = draw(4_000, 100 + seed)
        plain.append(fit_chance(design, hits, SETTINGS).predict(others).mean() / hits.mean())
        calibrated.append(fit_calibrated_chance(design, hits, SETTINGS).predict(others).mean() / hits.mean())
    assert np.mean(plain) < 0.85
    assert np.mean(calibrated) == pytest.approx(1.0, abs=0.15)


def test_nothing_to_learn_stays_a_constant() -> None:
    design, _ = draw(50, 0)
    model = fit_calibrated_chance(design, np.zeros(50, dtype=np.bool_), SETTINGS)
    assert model.booster is None
    assert model.predict(design).max() == 0.0
