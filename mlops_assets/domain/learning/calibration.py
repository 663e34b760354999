"""Turns a binary model's scores into probabilities that can be multiplied with money.

Belongs here: Platt scaling, its fit on the validation part and its storage. Does not belong here: measuring
calibration (metrics.py) or deciding on it (gate.py).

Platt rather than isotonic: two parameters can be learned from the few hundred positives of a validation part,
and a strictly increasing curve leaves the ranking as it was. Isotonic steps overfit there and create ties,
which would change ROC AUC and the order in which customers are contacted.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.learning.metrics import measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EDGE = 1e-7
_MAX_STEPS = 50
_TINY = 1e-10
_MIN_PER_CLASS = 10


@dataclass(frozen=True)
class Calibration:
    """P(1) = 1 / (1 + exp(-(slope * logit(score) + intercept))), slope > 0."""

    slope: float
    intercept: float

    def apply(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calibrated probabilities float64 [rows]."""
        return _sigmoid(self.slope * _logit(scores) + self.intercept)

    def to_json(self) -> str:
        """Return the two parameters as JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Calibration:
        """Rebuild from `to_json`."""
        return cls(**json.loads(text))


def fit_calibration(y: NDArray[np.float64], scores: NDArray[np.float64]) -> Calibration | None:
    """Fit on validation rows; None if it would not help.

    It is kept only if each half of the rows, calibrated by the other half, has together no higher log loss
    than the raw scores: on its own rows the fit could only look better.

    Args:
        y: 0 or 1 [rows].
        scores: uncalibrated probability of 1 [rows].
    """
    is_even = np.arange(len(y)) % 2 == 0
    crossed = np.empty(len(y))
    for fitted_on in (is_even, ~is_even):
        half = _fit_platt(y[fitted_on], scores[fitted_on])
        if half is None:
            return None
        crossed[~fitted_on] = half.apply(scores[~fitted_on])
    if measure("log_loss", y, crossed) > measure("log_loss", y, scores):
        return None
    return _fit_platt(y, scores)


def _fit_platt(y: NDArray[np.float64], scores: NDArray[np.float64]) -> Calibration | None:
    """Newton's method on Platt's smoothed targets (Platt 1999; Lin, Lin and Weng 2007)."""
    positives = float(y.sum())
    negatives = len(y) - positives
    if min(positives, negatives) < _MIN_PER_CLASS:
        return None
    targets = np.where(y == 1.0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    columns = np.column_stack([_logit(scores), np.ones(len(y))])
    weights = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    loss = _cross_entropy(columns @ weights, targets)
    for _ in range(_MAX_STEPS):
        fitted = _sigmoid(columns @ weights)
        curvature = columns.T @ (columns * (fitted * (1 - fitted))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, columns.T @ (targets - fitted))
        # A full step may overshoot where the curve is flat; halving it until the loss falls cannot.
        while (tried := _cross_entropy(columns @ (weights + step), targets)) > loss and np.abs(
            step
        ).max() > _TINY:
            step = step / 2
        if tried >= loss - _TINY * len(y):
            break
        weights, loss = weights + step, tried
    slope, intercept = weights.tolist()
    # Scores without order, or ranked backwards, are no calibration problem.
    return Calibration(slope, intercept) if slope > _TINY and math.isfinite(slope + intercept) else None


def _logit(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(scores, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(inside / (1 - inside)))


def _sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1.0 + np.tanh(odds / 2)))


def _cross_entropy(odds: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    return float((np.logaddexp(0.0, odds) - targets * odds).sum())
