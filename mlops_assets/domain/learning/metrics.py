"""The metrics a model may be judged by, and how to evaluate them once.

Belongs here: name, tasks and direction of each metric. Does not belong here: their arithmetic
(evaluators.py), which needs numpy and is loaded on first use, or decisions (leaderboard.py, gate.py).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.spec import BusinessSpec, Task

_CLASS_TASKS: frozenset[Task] = frozenset({"binary", "multiclass"})
_BINARY: frozenset[Task] = frozenset({"binary"})
_NUMBER_TASKS: frozenset[Task] = frozenset({"regression", "quantile"})
_ROUNDS = 200  # of the bootstrap of a standard error
_CALIBRATION_BINS = 10
_INTERVAL_WIDTH = 1.96  # standard errors on each side of a 95 % interval


@dataclass(frozen=True)
class Metric:
    """A figure of merit.

    Attributes:
        name: key in METRICS and in configuration.
        tasks: tasks it is defined for.
        is_higher_better: direction.
        unit: of the value.
    """

    name: str
    tasks: frozenset[Task]
    is_higher_better: bool
    unit: str

    def gain(self, challenger: float, baseline: float) -> float:
        """Return how much better the challenger is; positive is better whatever the direction."""
        return challenger - baseline if self.is_higher_better else baseline - challenger


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", _BINARY, is_higher_better=True, unit="probability"),
        Metric("pr_auc", _BINARY, is_higher_better=True, unit="average precision"),
        Metric("log_loss", _CLASS_TASKS, is_higher_better=False, unit="nats per row"),
        Metric("brier", _BINARY, is_higher_better=False, unit="squared probability"),
        Metric("accuracy", _CLASS_TASKS, is_higher_better=True, unit="share of rows"),
        Metric("macro_f1", _CLASS_TASKS, is_higher_better=True, unit="F1 averaged over classes"),
        Metric("rmse", _NUMBER_TASKS, is_higher_better=False, unit="unit of the label"),
        Metric("mae", _NUMBER_TASKS, is_higher_better=False, unit="unit of the label"),
        Metric("pinball", frozenset({"quantile"}), is_higher_better=False, unit="unit of the label"),
    )
}


def find_metric(name: str, task: Task) -> Metric:
    """Return the metric; ConfigError if it is unknown or not defined for the task."""
    if name not in METRICS:
        close = difflib.get_close_matches(name, METRICS, n=1)
        raise ConfigError(
            f"metric {name!r} is unknown",
            expected=f"one of {', '.join(METRICS)}",
            remedy=f"did you mean {close[0]!r}?" if close else "",
        )
    if task not in METRICS[name].tasks:
        fitting = [metric.name for metric in METRICS.values() if task in metric.tasks]
        raise ConfigError(
            f"metric {name!r} is not defined for task {task}", expected=f"one of {', '.join(fitting)}"
        )
    return METRICS[name]


def measure(
    name: str, y: NDArray[np.float64], predictions: NDArray[np.float64], quantile: float | None = None
) -> float:
    """Return one metric.

    Args:
        name: key of METRICS.
        y: labels [rows], class index for classification.
        predictions: P(1) [rows], [rows x classes] or values [rows].
        quantile: level, for `pinball`.

    Returns:
        The value, NaN where it is undefined (no rows, or ROC AUC with one class).
    """
    import numpy as np

    from mlops_assets.domain.learning.evaluators import EVALUATORS

    return EVALUATORS[name](y, predictions, quantile)(np.ones(len(y)))


def measure_all(
    task: Task, y: NDArray[np.float64], predictions: NDArray[np.float64], quantile: float | None = None
) -> dict[str, float]:
    """Return every metric of the task; for classifiers also `calibration_error`."""
    values = {
        metric.name: measure(metric.name, y, predictions, quantile)
        for metric in METRICS.values()
        if task in metric.tasks
    }
    if task in _CLASS_TASKS:
        values["calibration_error"] = measure_calibration_error(y, predictions)
    return values


def measure_standard_error(
    name: str,
    y: NDArray[np.float64],
    predictions: NDArray[np.float64],
    *,
    seed: int = 0,
    quantile: float | None = None,
) -> float:
    """Return the bootstrap standard deviation of a metric; rounds in which it is undefined are left out."""
    return measure_standard_errors([name], y, predictions, seed=seed, quantile=quantile)[name]


def measure_standard_errors(
    names: Sequence[str],
    y: NDArray[np.float64],
    predictions: NDArray[np.float64],
    *,
    seed: int = 0,
    quantile: float | None = None,
) -> dict[str, float]:
    """Return the same of several metrics: rows are drawn once for all of them, and each gets what it gets alone."""
    import numpy as np

    from mlops_assets.domain.learning.evaluators import EVALUATORS, bootstrap

    evaluators = [EVALUATORS[name](y, predictions, quantile) for name in names]
    errors = {}
    for name, drawn in zip(names, bootstrap(evaluators, np.arange(len(y)), _ROUNDS, seed), strict=True):
        finite = drawn[np.isfinite(drawn)]
        errors[name] = float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")
    return errors


def measure_intervals(
    values: Mapping[str, float],
    y: NDArray[np.float64],
    predictions: NDArray[np.float64],
    *,
    seed: int,
    quantile: float | None,
) -> dict[str, tuple[float | None, float | None]]:
    """Return the ends of each metric's 95 % interval, by its bootstrap standard error; None where that is undefined.

    Args:
        values: measured value by metric; what is no metric, or has no finite value, gets no interval.
        y: labels [rows].
        predictions: as for `measure`.
        seed: of the resamples.
        quantile: level, for `pinball`.
    """
    names = [name for name, value in values.items() if name in METRICS and math.isfinite(value)]
    found = measure_standard_errors(names, y, predictions, seed=seed, quantile=quantile)
    return {
        name: (values[name] - _INTERVAL_WIDTH * error, values[name] + _INTERVAL_WIDTH * error)
        if math.isfinite(error)
        else (None, None)
        for name, error in found.items()
    }


def measure_calibration_error(y: NDArray[np.float64], predictions: NDArray[np.float64]) -> float:
    """Return the expected calibration error: mean |observed - predicted| over ten bins of equal count.

    Equal counts rather than equal widths, because at a churn rate of a few per cent nearly all rows would
    fall into the first of ten equal widths. Multiclass: of the predicted class. NaN without rows.
    """
    import numpy as np

    if len(y) == 0:
        return float("nan")
    is_binary = predictions.ndim == 1
    confidence = predictions if is_binary else predictions.max(axis=1)
    is_hit = y if is_binary else (predictions.argmax(axis=1) == y).astype(np.float64)
    order = np.argsort(confidence, kind="stable")
    total = sum(
        abs(float(is_hit[part].sum() - confidence[part].sum()))
        for part in np.array_split(order, min(_CALIBRATION_BINS, len(y)))
    )
    return total / len(y)


def measure_business_value(
    y: NDArray[np.float64], predictions: NDArray[np.float64], business: BusinessSpec
) -> float:
    """Return the business figure of a binary model, in USD per 1,000 entities; higher is better.

    value = (contacted positives x retention_rate x saved_margin_usd - contacted x contact_cost_usd)
    / rows x 1000, where the `contact_share` of the rows with the highest scores is contacted. Rows with equal
    scores at the border are contacted in proportion, so that their order does not matter. NaN without rows.
    """
    import numpy as np

    from mlops_assets.domain.learning.evaluators import business_evaluator

    return business_evaluator(y, predictions, business)(np.ones(len(y)))
