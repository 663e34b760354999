"""The arithmetic of the metrics, arranged so that a bootstrap round costs one pass.

Belongs here: for each metric a function that prepares labels and predictions once (sorting included) and
returns an evaluator of row weights. Weights of 1 give the metric, multinomial counts a bootstrap round. Does
not belong here: names, tasks and directions (metrics.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import LearningError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.spec import BusinessSpec

    Floats = NDArray[np.float64]
    Evaluator = Callable[[Floats], float]

_UNDEFINED = float("nan")


def bootstrap(evaluators: Sequence[Evaluator], units: NDArray[Any], rounds: int, seed: int) -> Floats:
    """Evaluate all on the same resampled rows, so that differences between them are paired.

    Args:
        evaluators: each takes weights float64 [rows].
        units: int [rows], what is drawn: rows with the same number are drawn together.
        rounds: number of resamples.
        seed: of the draws.

    Returns:
        float64 [evaluators x rounds].
    """
    random = np.random.default_rng(seed)
    count = int(units.max()) + 1 if len(units) else 0
    values = np.empty((len(evaluators), rounds))
    for number in range(rounds):
        drawn = np.bincount(random.integers(0, count, count), minlength=count) if count else np.empty(0)
        weights = drawn[units].astype(np.float64) if count else np.empty(0)
        values[:, number] = [evaluate(weights) for evaluate in evaluators]
    return values


def business_evaluator(y: Floats, predictions: Floats, business: BusinessSpec) -> Evaluator:
    """Prepare the business figure; the formula is in `metrics.measure_business_value`."""
    order, starts = _descending(predictions)
    positive = y[order]
    saved = business.retention_rate * business.saved_margin_usd

    def evaluate(weights: Floats) -> float:
        ranked = weights[order]
        total = float(ranked.sum())
        if total <= 0:
            return _UNDEFINED
        contacted = business.contact_share * total
        reached = _cumulated(ranked, starts)
        hits = float(np.interp(contacted, reached, _cumulated(ranked * positive, starts)))
        return (hits * saved - contacted * business.contact_cost_usd) / total * 1000

    return evaluate


def _roc_auc(y: Floats, predictions: Floats, _: float | None) -> Evaluator:
    """Probability that a positive outranks a negative, ties counting half (Mann and Whitney 1947)."""
    order, starts = _descending(-predictions)
    is_positive = y[order]

    def evaluate(weights: Floats) -> float:
        ranked = weights[order]
        positives = ranked * is_positive
        negatives = _grouped(ranked - positives, starts)
        positives = _grouped(positives, starts)
        pairs = float(positives.sum() * negatives.sum())
        below = np.cumsum(negatives) - negatives / 2
        return _dot(positives, below) / pairs if pairs > 0 else _UNDEFINED

    return evaluate


def _pr_auc(y: Floats, predictions: Floats, _: float | None) -> Evaluator:
    """Average precision: precision at each threshold, weighted by the step in recall."""
    order, starts = _descending(predictions)
    is_positive = y[order]

    def evaluate(weights: Floats) -> float:
        ranked = weights[order]
        positives = _grouped(ranked * is_positive, starts)
        found, reached = np.cumsum(positives), np.cumsum(_grouped(ranked, starts))
        if not len(found) or found[-1] <= 0:
            return _UNDEFINED
        precision = np.divide(found, reached, out=np.zeros_like(found), where=reached > 0)
        return _dot(positives, precision) / float(found[-1])

    return evaluate


def _log_loss(y: Floats, predictions: Floats, _: float | None) -> Evaluator:
    edge = np.finfo(np.float64).eps
    if predictions.ndim == 1:
        likely = np.where(y == 1.0, predictions, 1 - predictions)
    else:
        likely = predictions[np.arange(len(y)), y.astype(np.int64)]
    return _mean_of(-np.log(np.clip(likely, edge, 1 - edge)))


def _brier(y: Floats, predictions: Floats, _: float | None) -> Evaluator:
    return _mean_of((predictions - y) ** 2)


def _accuracy(y: Floats, predictions: Floats, _: float | None) -> Evaluator:
    return _mean_of((_predicted_class(predictions) == y).astype(np.float64))


def _macro_f1(y: Floats, predictions: Floats, _: float | None) -> Evaluator:
    """F1 per class, averaged over the classes that occur in labels or predictions."""
    predicted, actual = _predicted_class(predictions), y.astype(np.int64)
    size = 2 if predictions.ndim == 1 else predictions.shape[1]
    cells = actual * size + predicted

    def evaluate(weights: Floats) -> float:
        table = np.bincount(cells, weights=weights, minlength=size * size).reshape(size, size)
        both = table.sum(axis=0) + table.sum(axis=1)
        occurs = both > 0
        return float((2 * np.diag(table)[occurs] / both[occurs]).mean()) if occurs.any() else _UNDEFINED

    return evaluate


def _rmse(y: Floats, predictions: Floats, _: float | None) -> Evaluator:
    mean_square = _mean_of((predictions - y) ** 2)
    return lambda weights: float(np.sqrt(mean_square(weights)))


def _mae(y: Floats, predictions: Floats, _: float | None) -> Evaluator:
    return _mean_of(np.abs(predictions - y))


def _pinball(y: Floats, predictions: Floats, quantile: float | None) -> Evaluator:
    """Quantile loss (Koenker and Bassett 1978)."""
    if quantile is None:
        raise LearningError("pinball needs a quantile", expected="the level that the model predicts")
    short = y - predictions
    return _mean_of(np.maximum(quantile * short, (quantile - 1) * short))


EVALUATORS: dict[str, Callable[[Floats, Floats, float | None], Evaluator]] = {
    "roc_auc": _roc_auc,
    "pr_auc": _pr_auc,
    "log_loss": _log_loss,
    "brier": _brier,
    "accuracy": _accuracy,
    "macro_f1": _macro_f1,
    "rmse": _rmse,
    "mae": _mae,
    "pinball": _pinball,
}


def _dot(left: Floats, right: Floats) -> float:
    # Not `@`: BLAS wakes a thread per core for a product of 20,000 numbers (measured: 2.0 CPU s instead of
    # 0.14 for a gate's 200 rounds), and its sum depends on how many there are.
    return float((left * right).sum())


def _mean_of(losses: Floats) -> Evaluator:
    def evaluate(weights: Floats) -> float:
        total = float(weights.sum())
        return _dot(weights, losses) / total if total > 0 else _UNDEFINED

    return evaluate


def _predicted_class(predictions: Floats) -> NDArray[np.int64]:
    if predictions.ndim == 1:
        return (predictions >= 0.5).astype(np.int64)
    return np.asarray(predictions.argmax(axis=1), dtype=np.int64)


def _descending(scores: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Order by falling score and the first position of each group of equal scores; None if all differ."""
    order = np.argsort(-scores, kind="stable")
    is_first = np.diff(scores[order], prepend=np.nan) != 0
    return order, None if is_first.all() else np.flatnonzero(is_first)


def _grouped(values: Floats, starts: NDArray[np.int64] | None) -> Floats:
    return values if starts is None else np.asarray(np.add.reduceat(values, starts))


def _cumulated(values: Floats, starts: NDArray[np.int64] | None) -> Floats:
    return np.concatenate([[0.0], np.cumsum(_grouped(values, starts))])
