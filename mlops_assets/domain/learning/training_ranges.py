"""What values a model has met in training, by feature.

Belongs here: measuring and storing deciles and categories, so that a request beyond them can be told. Does not
belong here: judging a request (domain.deployment.scoring_request).

No row of the corpus can be read from it: deciles of each feature by itself, and category names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.learning.dataset import MISSING, CategoryColumn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

RANGES_FILE = "training_ranges.json"
MOST_CATEGORIES = 200
_DECILES = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True)
class NumericRange:
    """Deciles of a number, from the smallest to the largest value; empty if training met none.

    `has_missing`: some training rows had no value.
    """

    deciles: tuple[float, ...]
    has_missing: bool


@dataclass(frozen=True)
class CategoryRange:
    """Values of a text feature, most frequent first. `is_complete`: there were no others."""

    values: tuple[str, ...]
    is_complete: bool
    has_missing: bool


@dataclass(frozen=True)
class TrainingRanges:
    """Ranges by feature; a feature that is in neither was not recorded."""

    numeric: Mapping[str, NumericRange] = field(default_factory=dict)
    categorical: Mapping[str, CategoryRange] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the ranges as JSON."""
        return json.dumps(asdict(self), allow_nan=False, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, content: str | bytes) -> TrainingRanges:
        """Rebuild from `to_json`."""
        state = json.loads(content)
        return cls(
            numeric={
                name: NumericRange(tuple(one["deciles"]), one["has_missing"])
                for name, one in state["numeric"].items()
            },
            categorical={
                name: CategoryRange(tuple(one["values"]), one["is_complete"], one["has_missing"])
                for name, one in state["categorical"].items()
            },
        )


def measure_ranges(train: Dataset) -> TrainingRanges:
    """Return the ranges of the training rows."""
    return TrainingRanges(
        numeric={
            name: _measure_number(train.numbers[:, column]) for column, name in enumerate(train.numeric)
        },
        categorical={name: _measure_category(train.categories[name]) for name in train.categorical},
    )


def _measure_number(values: NDArray[np.float32]) -> NumericRange:
    known = values[~np.isnan(values)].astype(np.float64)
    deciles = tuple(np.quantile(known, _DECILES).tolist()) if len(known) else ()
    return NumericRange(deciles, has_missing=len(known) < len(values))


def _measure_category(column: CategoryColumn) -> CategoryRange:
    counts = np.bincount(column.codes, minlength=len(column.vocabulary))
    met = [(-int(count), value) for count, value in zip(counts, column.vocabulary, strict=True) if count]
    values = [value for _, value in sorted(met) if value != MISSING]
    return CategoryRange(
        tuple(values[:MOST_CATEGORIES]),
        is_complete=len(values) <= MOST_CATEGORIES,
        has_missing=len(values) < len(met),
    )
