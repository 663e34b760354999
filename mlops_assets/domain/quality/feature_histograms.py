"""Histograms of features: one small lake table per feature table and day, made by one statement.

Numbers fall into buckets of 2 % of their size (negative ones mirrored, below 1e-6 counts as zero), so that
histograms of different days have the same buckets and add up. Texts and booleans are counted by value, nulls
and NaN as missing.

Belongs here: the statement, its table, and the histogram as arrays. Does not belong here: comparing them
(feature_drift.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable, TableInput

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    from numpy.typing import NDArray

NUMBER, CATEGORY, MISSING = "number", "category", "missing"
_STEP = math.log(1.02)
_ZERO_BELOW = 1e-6
_LARGEST = 1e30


@dataclass(frozen=True)
class FeatureHistogram:
    """How the values of one feature are spread over rows.

    Attributes:
        numbers: bucket to rows; bucket 0 is zero, b > 0 holds 1e-6 * 1.02^(b-1) to 1e-6 * 1.02^b.
        categories: value to rows.
        missing: rows without a value.
    """

    numbers: Mapping[int, int] = field(default_factory=dict)
    categories: Mapping[str, int] = field(default_factory=dict)
    missing: int = 0

    @property
    def rows(self) -> int:
        """Return all rows, those without a value included."""
        return sum(self.numbers.values()) + sum(self.categories.values()) + self.missing

    def merge(self, other: FeatureHistogram) -> FeatureHistogram:
        """Return the histogram of both sets of rows."""
        return FeatureHistogram(
            _added(self.numbers, other.numbers),
            _added(self.categories, other.categories),
            self.missing + other.missing,
        )


def _added(one: Mapping[Any, int], other: Mapping[Any, int]) -> dict[Any, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in sorted({*one, *other})}


def merge_histograms(days: Iterable[Mapping[str, FeatureHistogram]]) -> dict[str, FeatureHistogram]:
    """Add up the histograms of several days, feature by feature."""
    merged: dict[str, FeatureHistogram] = {}
    for day in days:
        for name, histogram in day.items():
            merged[name] = merged[name].merge(histogram) if name in merged else histogram
    return merged


def bucket_values(buckets: Sequence[int]) -> NDArray[np.float64]:
    """Return the middle (in logarithms) of each bucket, float64 [buckets], in the feature's unit."""
    found = np.asarray(buckets, np.float64)
    middle: NDArray[np.float64] = np.sign(found) * _ZERO_BELOW * np.exp((np.abs(found) - 0.5) * _STEP)
    return middle


def read_histograms(rows: pa.Table) -> dict[str, FeatureHistogram]:
    """Return the histograms of a partition of a histogram table by feature.

    Raises:
        TableInputError: the table is not one of histograms, or counts a kind that is not known.
    """
    absent = {"feature", "kind", "bucket", "category", "rows"} - set(rows.column_names)
    if absent:
        raise TableInputError(
            f"a histogram table lacks {', '.join(sorted(absent))}", remedy="read `quality/*_histograms`"
        )
    numbers: dict[str, dict[int, int]] = {}
    categories: dict[str, dict[str, int]] = {}
    missing: dict[str, int] = {}
    # By column: a day has tens of thousands of buckets.
    columns = (rows[name].to_pylist() for name in ("feature", "kind", "bucket", "category", "rows"))
    for name, kind, bucket, category, count in zip(*columns, strict=True):
        if kind == NUMBER:
            numbers.setdefault(name, {})[bucket] = count
        elif kind == CATEGORY:
            categories.setdefault(name, {})[category] = count
        elif kind == MISSING:
            missing[name] = count
        else:
            raise TableInputError(f"unknown kind {kind!r} in a histogram table", where=str(name))
    return {
        name: FeatureHistogram(numbers.get(name, {}), categories.get(name, {}), missing.get(name, 0))
        for name in sorted({*numbers, *categories, *missing})
    }


def histogram_table(
    source: TableInput, features: Callable[[ir.Table], Mapping[str, ir.Value]], version: str
) -> FeatureTable:
    """Return the table `quality/<source>_histograms` of a table's features.

    Args:
        source: table and columns that are read.
        features: rows of the source to values by feature; of any type but dates, which move every day.
        version: of the expressions.
    """
    return FeatureTable(
        name=f"quality/{source.view}_histograms",
        description=(
            f"Counted values of the features of {source.table}, one row per feature and bucket of 2 %. Fresh "
            "with that table; a day without it is no evidence of drift."
        ),
        owner="team:data-quality",
        kind="daily",
        keys=("feature", "kind", "bucket", "category"),
        columns={
            "feature": ColumnDoc("text", "column of the feature table", role="key"),
            "kind": ColumnDoc("text", "number, category or missing", role="key"),
            "bucket": ColumnDoc(
                "integer", "sign * number of the 2 % bucket from 1e-6; 0 is zero", role="key"
            ),
            "category": ColumnDoc("text", "value of a text or boolean, else empty", role="key"),
            "rows": ColumnDoc("integer", "rows counted", "count", "info"),
        },
        recipe=DailyRecipe((source,), lambda tables: _counted(tables[source.view], features)),
        version=version,
    )


def feature_histograms(source: FeatureTable) -> FeatureTable:
    """Return the histogram table of a feature table's feature columns, dates and timestamps left out."""
    kinds = {name: doc.type for name, doc in source.columns.items() if doc.role == "feature"}
    names = [name for name, kind in kinds.items() if kind not in ("date", "timestamp")]
    return histogram_table(
        source.read(*names), lambda rows: {name: rows[name] for name in names}, f"1-{source.version}"
    )


def _counted(rows: ir.Table, features: Callable[[ir.Table], Mapping[str, ir.Value]]) -> ir.Table:
    import ibis

    pieces = [_one_feature(rows, name, value) for name, value in features(rows).items()]
    return ibis.union(*pieces) if len(pieces) > 1 else pieces[0]


def _one_feature(rows: ir.Table, name: str, value: ir.Value) -> ir.Table:
    """Return the counted values of one feature; reading by column touches each of them once."""
    import ibis

    is_text = value.type().is_string() or value.type().is_boolean()
    found = value.cast("string") if is_text else _number_bucket(value)
    values = rows.select(found=found)
    counted = values.group_by("found").aggregate(rows=values.count())
    kind = CATEGORY if is_text else NUMBER
    return counted.select(
        feature=ibis.literal(name),
        kind=counted.found.isnull().ifelse(MISSING, kind),
        bucket=ibis.literal(0, "int64") if is_text else counted.found.fill_null(0),
        category=counted.found.fill_null("") if is_text else ibis.literal(""),
        rows=counted.rows,
    )


def _number_bucket(value: ir.Value) -> ir.Value:
    """Return the bucket; null for null, NaN and infinite values.

    NaN is asked for: files' statistics leave it out, so that comparisons that are pruned by them let it pass.
    """
    import ibis

    number = value.cast("float64")
    size = number.abs()
    is_number = size < _LARGEST
    if value.type().is_floating():
        is_number &= ~number.isnan()
    steps = ((size / _ZERO_BELOW).ln() / _STEP).floor().cast("int64") + 1
    signed = (number < 0).ifelse(-1, 1) * steps
    zero = ibis.literal(0, "int64")  # a plain 0.0 would make all of it decimals
    return ibis.cases((is_number & (size >= _ZERO_BELOW), signed), (is_number, zero))
