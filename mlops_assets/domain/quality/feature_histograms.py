"""Histograms of features: one small lake table per feature table and day, made by one statement.

Numbers fall into buckets of 2 % of their size (negative ones mirrored, below 1e-6 counts as zero), so that
histograms of different days have the same buckets and add up. Texts and booleans are counted by value, nulls
and NaN as missing.

Belongs here: the statement, its table, and the histogram as arrays. Does not belong here: comparing them
(feature_drift.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.features.daily import DailyRecipe
from mlops_assets.domain.features.table import ColumnDoc, FeatureTable

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
    for row in rows.to_pylist():
        name = row["feature"]
        if row["kind"] == NUMBER:
            numbers.setdefault(name, {})[row["bucket"]] = row["rows"]
        elif row["kind"] == CATEGORY:
            categories.setdefault(name, {})[row["category"]] = row["rows"]
        elif row["kind"] == MISSING:
            missing[name] = row["rows"]
        else:
            raise TableInputError(f"unknown kind {row['kind']!r} in a histogram table", where=str(name))
    return {
        name: FeatureHistogram(numbers.get(name, {}), categories.get(name, {}), missing.get(name, 0))
        for name in sorted({*numbers, *categories, *missing})
    }


def histogram_table(source: FeatureTable) -> FeatureTable:
    """Return the table `quality/<source>_histograms` of a feature table's feature columns.

    Dates and timestamps are left out: they move every day.
    """
    kinds = {name: doc.type for name, doc in source.columns.items() if doc.role == "feature"}
    features = {name: kind for name, kind in kinds.items() if kind not in ("date", "timestamp")}
    view = source.name.rsplit("/", 1)[1]
    return FeatureTable(
        name=f"quality/{view}_histograms",
        description=(
            f"Counted values of the features of {source.name}, one row per feature and bucket of 2 %. Fresh "
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
        recipe=DailyRecipe((source.read(*features),), lambda tables: _counted(tables[view])),
        version=f"1-{source.version}",
    )


def _counted(rows: ir.Table) -> ir.Table:
    import ibis

    pieces = [_one_feature(rows, name) for name in rows.columns]
    return ibis.union(*pieces) if len(pieces) > 1 else pieces[0]


def _one_feature(rows: ir.Table, name: str) -> ir.Table:
    """Return the counted values of one column; reading by column touches each of them once."""
    import ibis

    value = rows[name]
    is_text = value.type().is_string() or value.type().is_boolean()
    found = value.cast("string") if is_text else _number_bucket(value.cast("float64"))
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

    size = value.abs()
    inside = ((ibis.greatest(size, _ZERO_BELOW) / _ZERO_BELOW).ln() / _STEP).floor() + 1
    signed = (value < 0).ifelse(-inside, inside)
    bucket = (size < _ZERO_BELOW).ifelse(0.0, signed)
    is_number = (size < _LARGEST) & ~value.isnan()
    return is_number.ifelse(bucket, None).cast("int64")
