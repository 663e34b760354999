"""Calibration repairs probabilities and leaves rankings alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlops_assets.domain.learning.calibration import Calibration, fit_calibration
from mlops_assets.domain.learning.metrics import measure, measure_calibration_error

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _draw(rows: int, slope: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return labels of known probability and scores whose log odds are `slope` times the true ones."""
    random = np.random.default_rng(seed)
    odds = random.normal(-1, 1.2, rows)
    y = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    return y, 1 / (1 + np.exp(-slope * odds))


def test_overconfident_scores_are_repaired() -> None:
    y, scores = _draw(3000, 3.0)
    calibration = fit_calibration(y, scores)
    assert calibration is not None
    assert calibration.slope == pytest.approx(1 / 3, abs=0.05)
    held_y, held = _draw(3000, 3.0, seed=1)
    repaired = calibration.apply(held)
    assert measure_calibration_error(held_y, repaired) < measure_calibration_error(held_y, held) / 2
    assert measure("roc_auc", held_y, repaired) == pytest.approx(measure("roc_auc", held_y, held))


def test_good_scores_are_hardly_touched() -> None:
    y, scores = _draw(3000, 1.0)
    calibration = fit_calibration(y, scores)
    if calibration is not None:
        assert np.abs(calibration.apply(scores) - scores).max() < 0.05


@pytest.mark.parametrize("slope", [-1.0, 0.0])
def test_scores_without_order_are_not_calibrated(slope: float) -> None:
    y, scores = _draw(500, slope)
    assert fit_calibration(y, scores) is None


def test_too_few_positives_are_not_calibrated() -> None:
    y, scores = np.zeros(400), np.linspace(0.01, 0.2, 400)
    y[::40] = 1
    assert fit_calibration(y, scores) is None
    assert fit_calibration(np.empty(0), np.empty(0)) is None


def test_certain_scores_stay_finite_and_json_keeps_every_digit() -> None:
    calibration = Calibration(1 / 3, -0.1)
    assert np.isfinite(calibration.apply(np.array([0.0, 1.0]))).all()
    assert Calibration.from_json(calibration.to_json()) == calibration
