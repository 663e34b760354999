"""Turns a dataset into the plain matrix that scikit-learn estimators accept.

Belongs here: what is learned from the training rows (medians, vocabularies, scales) and its application.
It is fitted once, stored in the bundle and never refitted at scoring. Does not belong here: estimators.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import CategoryColumn, Dataset

Encoding = Literal["one_hot", "ordinal"]
_UNSEEN_IMPUTED = -1.0


@dataclass(frozen=True)
class NumericRule:
    """Column of numbers: the training median and whether a missing-value indicator is added.

    Without any training value the median is None and the column is always 0: nothing was learned about it.
    """

    name: str
    median: float | None
    has_indicator: bool


@dataclass(frozen=True)
class CategoricalRule:
    """Column of text: the values that have a code, most frequent first; all others count as unseen."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Preprocessing:
    """Fitted preprocessing. Columns of the matrix: categorical ones first, then numbers, then indicators.

    Attributes:
        categorical: rule per text feature. Ordinal: unseen is NaN, or -1 when imputing. One-hot: all zeros.
        numeric: rule per number feature.
        encoding: one column per value (one_hot) or one code column per feature (ordinal).
        imputes: replace NaN by the median and add indicators; otherwise NaN is left to the estimator.
        means: subtracted per column, empty if the matrix is not standardised.
        scales: divided by, per column.
    """

    categorical: tuple[CategoricalRule, ...]
    numeric: tuple[NumericRule, ...]
    encoding: Encoding
    imputes: bool
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()

    @property
    def column_features(self) -> tuple[str, ...]:
        """Name of the feature that each matrix column comes from."""
        text = [
            rule.name
            for rule in self.categorical
            for _ in (rule.values if self.encoding == "one_hot" else range(1))
        ]
        numbers = [rule.name for rule in self.numeric]
        return (*text, *numbers, *(rule.name for rule in self.numeric if rule.has_indicator))

    def transform(self, dataset: Dataset) -> NDArray[np.float32]:
        """Return the matrix float32 [rows x columns], Fortran order."""
        matrix = np.zeros((dataset.rows, len(self.column_features)), dtype=np.float32, order="F")
        start = self._write_categories(dataset, matrix)
        self._write_numbers(dataset, matrix, start)
        for column, (mean, scale) in enumerate(zip(self.means, self.scales, strict=True)):
            matrix[:, column] = (matrix[:, column] - mean) / scale
        return matrix

    def _write_categories(self, dataset: Dataset, matrix: NDArray[np.float32]) -> int:
        start = 0
        for rule in self.categorical:
            codes = _encode(dataset.categories[rule.name], rule)
            if self.encoding == "one_hot":
                rows = np.flatnonzero(codes >= 0)
                matrix[rows, start + codes[rows]] = 1.0
                start += len(rule.values)
            else:
                unseen = _UNSEEN_IMPUTED if self.imputes else np.nan
                matrix[:, start] = np.where(codes < 0, unseen, codes)
                start += 1
        return start

    def _write_numbers(self, dataset: Dataset, matrix: NDArray[np.float32], start: int) -> None:
        indicator = start + len(self.numeric)
        for offset, rule in enumerate(self.numeric):
            values = dataset.numbers[:, dataset.numeric.index(rule.name)]
            is_missing = np.isnan(values)
            if rule.has_indicator:
                matrix[:, indicator] = is_missing
                indicator += 1
            if rule.median is None:
                continue
            matrix[:, start + offset] = (
                np.where(is_missing, np.float32(rule.median), values) if self.imputes else values
            )

    def to_json(self) -> str:
        """Return the fitted state as JSON."""
        return json.dumps(asdict(self), allow_nan=False, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Preprocessing:
        """Rebuild from `to_json`."""
        state: dict[str, Any] = json.loads(text)
        return cls(
            categorical=tuple(
                CategoricalRule(rule["name"], tuple(rule["values"])) for rule in state["categorical"]
            ),
            numeric=tuple(NumericRule(**rule) for rule in state["numeric"]),
            encoding=state["encoding"],
            imputes=state["imputes"],
            means=tuple(state["means"]),
            scales=tuple(state["scales"]),
        )


def fit_preprocessing(
    train: Dataset, encoding: Encoding, *, imputes: bool, standardises: bool, max_values: int
) -> Preprocessing:
    """Learn medians, vocabularies and scales from the training rows only.

    Args:
        train: training rows.
        encoding: one_hot or ordinal.
        imputes: replace missing numbers by the training median and add an indicator column.
        standardises: bring every column to mean 0 and standard deviation 1.
        max_values: most values of a text feature that get a code of their own.
    """
    fitted = Preprocessing(
        categorical=tuple(
            _fit_categorical(name, train.categories[name], max_values) for name in train.categorical
        ),
        numeric=tuple(
            _fit_numeric(name, train.numbers[:, column], imputes=imputes)
            for column, name in enumerate(train.numeric)
        ),
        encoding=encoding,
        imputes=imputes,
    )
    return _add_scales(fitted, train) if standardises else fitted


def _fit_categorical(name: str, column: CategoryColumn, max_values: int) -> CategoricalRule:
    counts = np.bincount(column.codes, minlength=len(column.vocabulary))
    present = [(-int(count), value) for count, value in zip(counts, column.vocabulary, strict=True) if count]
    return CategoricalRule(name, tuple(value for _, value in sorted(present)[:max_values]))


def _fit_numeric(name: str, values: NDArray[np.float32], *, imputes: bool) -> NumericRule:
    known = values[~np.isnan(values)]
    has_gaps = 0 < len(known) < len(values)
    return NumericRule(
        name, float(np.median(known)) if len(known) else None, has_indicator=imputes and has_gaps
    )


def _add_scales(fitted: Preprocessing, train: Dataset) -> Preprocessing:
    matrix = fitted.transform(train)
    # Summed in float64: a float32 sum over a million rows loses the digits that a small deviation needs.
    means, scales = matrix.mean(axis=0, dtype=np.float64), matrix.std(axis=0, dtype=np.float64)
    scales[scales == 0.0] = 1.0
    return replace(fitted, means=tuple(means.tolist()), scales=tuple(scales.tolist()))


def _encode(column: CategoryColumn, rule: CategoricalRule) -> NDArray[np.int64]:
    index = {value: code for code, value in enumerate(rule.values)}
    lookup = np.array([index.get(value, -1) for value in column.vocabulary], dtype=np.int64)
    return lookup[column.codes] if len(lookup) else np.empty(0, dtype=np.int64)
