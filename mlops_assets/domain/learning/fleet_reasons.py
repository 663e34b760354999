"""Why a row's score is high: which of its values would lower it most if they were the usual ones of its group.

Belongs here: replacing one value at a time and asking the same model again. Does not belong here: which rows are
alerts (alerts) or how reasons are shown (reporting).

It is the model itself that answers, calibrated and blended as it scored, whatever its algorithm. One value is replaced
at a time: of two that say the same, neither may seem to matter, and then a row has no reason rather than a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.learning.dataset import MISSING, CategoryColumn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

    Predict = Callable[[Dataset], NDArray[np.float64]]

MOST_REASONS = 3
SMALLEST_DROP = 0.005  # half a point of probability
FEWEST_PEERS = 5
_NO_VALUE = "missing"


@dataclass(frozen=True)
class Reason:
    """A value that raises a score: by how much (probability) against the usual value of the row's peers."""

    feature: str
    value: str
    usual: str
    score_drop: float


@dataclass(frozen=True)
class UsualValues:
    """Medians of numbers and commonest codes of texts among the peers of a row."""

    numbers: Mapping[str, float]
    codes: Mapping[str, int]


def usual_values(peers: Dataset) -> UsualValues:
    """Return what is usual among rows; a number that nobody has is NaN."""
    return UsualValues(
        {name: _median(peers.numbers[:, column]) for column, name in enumerate(peers.numeric)},
        {name: _commonest(column) for name, column in peers.categories.items()},
    )


def _commonest(column: CategoryColumn) -> int:
    """Return the code that most rows have; of equals the first word, since codes come in the order of the rows."""
    counts = np.bincount(column.codes)
    return min(np.flatnonzero(counts == counts.max()).tolist(), key=lambda code: column.vocabulary[code])


def explain_scores(
    rows: Dataset, usual: UsualValues, features: Sequence[str], predict: Predict
) -> list[list[Reason]]:
    """Return the reasons of each row, the strongest first, at most three.

    Args:
        rows: to be explained; they share their peers and their model.
        usual: of their peers.
        features: that may be a reason; the model has them.
        predict: probabilities of rows [n] by the model that scored them.
    """
    if rows.rows == 0 or not features:
        return [[] for _ in range(rows.rows)]
    changed = _replace_each(rows, usual, features)
    lowered = predict(changed).reshape(rows.rows, len(features))
    drops = predict(rows)[:, None] - lowered
    return [_pick(rows, row, usual, features, drops[row]) for row in range(rows.rows)]


def _replace_each(rows: Dataset, usual: UsualValues, features: Sequence[str]) -> Dataset:
    """Return each row once per feature, with that feature replaced: row-major [rows x features]."""
    width = len(features)
    changed = rows.take(np.repeat(np.arange(rows.rows), width))
    column_of = {name: column for column, name in enumerate(rows.numeric)}
    categories = dict(changed.categories)
    for place, name in enumerate(features):
        if name in column_of:
            changed.numbers[place::width, column_of[name]] = usual.numbers[name]
        else:
            codes = categories[name].codes.copy()
            codes[place::width] = usual.codes[name]
            categories[name] = CategoryColumn(codes, categories[name].vocabulary)
    return replace(changed, categories=categories)


def _pick(
    rows: Dataset, row: int, usual: UsualValues, features: Sequence[str], drops: NDArray[np.float64]
) -> list[Reason]:
    order = np.argsort(-drops, kind="stable")[:MOST_REASONS]
    return [
        Reason(
            features[place], *_show_values(rows, row, usual, features[place]), round(float(drops[place]), 4)
        )
        for place in order.tolist()
        if drops[place] >= SMALLEST_DROP
    ]


def _show_values(rows: Dataset, row: int, usual: UsualValues, name: str) -> tuple[str, str]:
    """Return a row's value and the usual one as text."""
    if name in rows.categories:
        column = rows.categories[name]
        words = (column.vocabulary[column.codes[row]], column.vocabulary[usual.codes[name]])
        return _show_text(words[0]), _show_text(words[1])
    value = float(rows.numbers[row, rows.numeric.index(name)])
    return _show_number(value), _show_number(usual.numbers[name])


def _show_text(value: str) -> str:
    return _NO_VALUE if value == MISSING else value


def _show_number(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else _NO_VALUE


def _median(values: NDArray[np.float32]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("nan")
