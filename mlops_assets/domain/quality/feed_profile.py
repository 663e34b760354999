"""The profile of a delivery: a few figures that say what a file is like, and nothing of any subscriber.

Belongs here: which columns are profiled, the statements that count them, the typed result. Does not
belong here: what a profile says about health (feed_gate) or where it is kept (landing).

Numbers are counted by sign and, where they measure a volume, a duration or an amount of money, in buckets of
their logarithm: bucket b holds values from exp(b / 4) to below exp((b + 1) / 4). Counts by bucket are the same
on every engine, which quantiles are not. Logarithms are what costs: of large tables, they are taken of the
entities whose number is a multiple of some power of two, the same ones every day.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract
from mlops_assets.domain.feeds.file_homologation import RowCounts
from mlops_assets.domain.feeds.homologation import count_if, output_types
from mlops_assets.domain.feeds.units import UNITS
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.ports import TableEngine, ViewSource
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    from pathlib import Path

# Raise it when the same file would give other figures; profiles of another version are no history.
PROFILE_VERSION = 1
BUCKETS_PER_E = 4  # a bucket spans 28 %; quantiles are interpolated in it
FEWEST_VALUES = 100  # fewer positive values of a column say little about their mean or their histogram
MOST_SEGMENTS = 50
FEWEST_ROWS_SHOWN = 5  # undeclared values of fewer rows are counted together: they might name someone
OTHERS = "(other)"
_HOMOLOGATED, _NUMBERS = "homologated", "numbers"
_SHAPED_DIMENSIONS = frozenset({"volume", "duration", "money"})
_SAMPLED_ROWS = 20_000  # at least half of them make a histogram, whatever the table's size
_ROWS = {"name": "string", "item": "string", "code": "int64", "row_count": "int64"}
_compiled: dict[str, tuple[str, str]] = {}


class NumberProfile(Record):
    """Counts of one numeric column, in its unit.

    Attributes:
        null_count, zero_count, negative_count, positive_count: rows by kind of value.
        total: sum of all values.
        p10, p50, p90: quantiles of the positive values, exact to their bucket; None without shape.
        first_bucket: number of the first entry of `bucket_counts`.
        bucket_counts: positive values (of large tables, of a sample) by logarithmic bucket; empty where the
            column has no shape.
    """

    null_count: int = 0
    zero_count: int = 0
    negative_count: int = 0
    positive_count: int = 0
    total: float = 0.0
    p10: float | None = None
    p50: float | None = None
    p90: float | None = None
    first_bucket: int = 0
    bucket_counts: tuple[int, ...] = ()

    @property
    def row_count(self) -> int:
        """All rows."""
        return self.null_count + self.zero_count + self.negative_count + self.positive_count

    @property
    def null_share(self) -> float:
        """Rows without a value, of all."""
        return self.null_count / max(self.row_count, 1)

    @property
    def zero_share(self) -> float:
        """Rows of value 0, of all."""
        return self.zero_count / max(self.row_count, 1)

    @property
    def positive_share(self) -> float:
        """Rows with a value above 0, of all."""
        return self.positive_count / max(self.row_count, 1)

    @property
    def mean_of_positives(self) -> float:
        """Mean of the values above 0 (negative ones, which are rare, are not taken out of the total)."""
        return self.total / max(self.positive_count, 1)


class FeedProfile(Record):
    """What one homologated delivery is like.

    Attributes:
        row_count: rows of the homologated table.
        entity_count: distinct entities (subscribers, devices) in it.
        record_count: delivered records in it, before merging.
        duplicate_share, quarantined_share: of the delivered rows.
        numbers: by numeric column.
        segments: rows by value, for text columns with few values; none of them names a person.
    """

    version: int = PROFILE_VERSION
    row_count: int
    entity_count: int
    record_count: int
    duplicate_share: float = 0.0
    quarantined_share: float = 0.0
    numbers: dict[str, NumberProfile] = {}
    segments: dict[str, dict[str, int]] = {}

    @property
    def records_per_entity(self) -> float:
        """Records of an entity on the day: the feed's sessions."""
        return self.record_count / max(self.entity_count, 1)

    @property
    def content(self) -> str:
        """Identity of all counts: equal for a copy of the file, even if it was written anew."""
        fields = self.model_dump(mode="json", exclude={"duplicate_share", "quarantined_share"})
        return stable_hash(fields)


def number_columns(contract: FeedContract) -> list[ColumnContract]:
    """Return the numeric columns that measure something: neither keys nor numbers of anything."""
    return [c for c in _kept(contract) if _is_numeric(contract, c.name) and not _is_identifier(contract, c)]


def segment_columns(contract: FeedContract) -> list[ColumnContract]:
    """Return the text columns that may have few values: those with declared codes, and others but keys."""
    types = output_types(contract)
    texts = [c for c in _kept(contract) if types[c.name] == "string"]
    return [c for c in texts if is_declared(c) or not _is_identifier(contract, c)]


def is_shaped(column: ColumnContract) -> bool:
    """Whether a column's values spread over orders of magnitude, so that their logarithm has a shape."""
    return column.unit is not None and dimension(column) in _SHAPED_DIMENSIONS


def dimension(column: ColumnContract) -> str:
    """Return what a column's unit measures; empty without a unit."""
    return UNITS[column.unit].dimension if column.unit in UNITS else ""


def is_declared(column: ColumnContract) -> bool:
    """Whether the values of a text column are codes that the configuration names."""
    return bool(column.code_map or column.values or column.allowed)


def read_profile(
    contract: FeedContract, path: Path, row_count: int, counts: RowCounts, engine: TableEngine
) -> FeedProfile:
    """Count a homologated file, in one statement for counts and totals and one for distributions.

    Args:
        contract: contract of one geography (`for_geography` applied).
        path: the homologated Parquet file, published or not yet.
        row_count: its rows.
        counts: what became of the delivered rows.
        engine: runs the statements.

    Raises:
        EngineError: the file cannot be read.
    """
    figures_sql, distributions_sql = _statements(contract, _sample_every(contract, row_count), engine.dialect)
    views = {_HOMOLOGATED: ViewSource(files=[path])}
    (figures,) = engine.fetch(figures_sql, views).to_pylist()
    by_name: dict[str, list[dict[str, Any]]] = {}
    if distributions_sql:
        if shaped := _shaped_names(contract):
            views[_NUMBERS] = _numbers(len(shaped))
        for row in engine.fetch(distributions_sql, views).to_pylist():
            by_name.setdefault(row["name"], []).append(row)
    delivered = max(counts.delivered, 1)
    return FeedProfile(
        row_count=figures["__rows"],
        entity_count=figures["__entities"],
        record_count=int(figures["__records"]),
        duplicate_share=round(counts.duplicates / delivered, 6),
        quarantined_share=round(counts.quarantined_total / delivered, 6),
        numbers={
            c.name: _number_profile(c.name, figures, by_name.get(c.name, []))
            for c in number_columns(contract)
        },
        segments=dict(_segments(contract, by_name)),
    )


def _kept(contract: FeedContract) -> list[ColumnContract]:
    types = output_types(contract)
    return [c for c in contract.columns if c.name in types]


def _is_numeric(contract: FeedContract, name: str) -> bool:
    return output_types(contract)[name] in {"int64", "float64"}


def _is_identifier(contract: FeedContract, column: ColumnContract) -> bool:
    return column.name in {*contract.key, *contract.grain} or column.name.endswith("_id")


def _shaped_names(contract: FeedContract) -> list[str]:
    return [c.name for c in number_columns(contract) if is_shaped(c)]


def _numbers(count: int) -> ViewSource:
    import pyarrow as pa

    return ViewSource(table=pa.table({"number": pa.array(range(count), pa.int64())}))


def _sample_every(contract: FeedContract, row_count: int) -> int:
    """Return the power of two whose multiples make a sample of the entities; 1 takes all."""
    is_number = output_types(contract)[_entity(contract)] == "int64"
    return 1 << max(0, math.ceil(math.log2(max(row_count, 1) / _SAMPLED_ROWS))) if is_number else 1


def _statements(contract: FeedContract, sample_every: int, dialect: str) -> tuple[str, str]:
    """Return the SQL of the figures (one row) and of the histograms and segments (empty if there are none)."""
    columns = [[c.name, is_shaped(c), c.minimum, c.nullable] for c in number_columns(contract)]
    texts = [c.name for c in segment_columns(contract)]
    plan = [output_types(contract), contract.grain, contract.key, columns, texts, sample_every, dialect]
    key = stable_hash(plan)
    if key not in _compiled:
        distributions = _distributions(contract, sample_every)
        figures = compile_sql(_figures(contract), dialect)
        _compiled[key] = (figures, compile_sql(distributions, dialect) if distributions is not None else "")
    return _compiled[key]


def _homologated(contract: FeedContract) -> Any:
    import ibis

    return ibis.table(output_types(contract), name=_HOMOLOGATED)


def _figures(contract: FeedContract) -> Any:
    """All counts and totals in one row; `__rows`, `<column>__zeros` and so on."""
    table, entity = _homologated(contract), _entity(contract)
    is_key = [entity] == (contract.grain or contract.key)
    figures = {
        "__rows": table.count(),
        "__entities": table.count() if is_key else table[entity].nunique(),
        "__records": _total(table.record_count) if contract.grain else table.count(),
    }
    for column in number_columns(contract):
        value, name = table[column.name], column.name
        if column.nullable:
            figures[f"{name}__values"] = value.count()
        figures[f"{name}__zeros"] = count_if(value == 0)
        figures[f"{name}__total"] = _total(value)
        if column.minimum is None or column.minimum < 0:
            figures[f"{name}__negatives"] = count_if(value < 0)
    return table.agg(**figures)


def _total(value: Any) -> Any:
    return value.cast("float64").sum().coalesce(0.0)


def _distributions(contract: FeedContract, sample_every: int) -> Any:
    """One row per column and bucket, and one per text column and value; None if there is no such column."""
    import ibis

    table, entity = _homologated(contract), _entity(contract)
    sampled = table.filter(table[entity] % sample_every == 0) if sample_every > 1 else table
    shaped = _shaped_names(contract)
    parts = [_shape_rows(sampled, shaped)] if shaped else []
    parts += [_segment_rows(table, c.name) for c in segment_columns(contract)]
    return ibis.union(*parts, distinct=False) if len(parts) > 1 else next(iter(parts), None)


def _rows(table: Any, **columns: Any) -> Any:
    """Select the columns of `_ROWS`, in order; those not given are null."""
    import ibis

    given = {name: ibis.literal(v) if isinstance(v, str) else v for name, v in columns.items()}
    return table.select(
        **{name: given[name].cast(kind) if name in given else ibis.null(kind) for name, kind in _ROWS.items()}
    )


def _entity(contract: FeedContract) -> str:
    """Return the column that names who or what a row is about: the grain, or the first whole number `..._id`."""
    numbers = [c.name for c in contract.columns if c.type == "integer" and c.name.endswith("_id")]
    return next(iter(contract.grain or numbers or contract.key))


def _shape_rows(table: Any, names: Sequence[str]) -> Any:
    """Count positive values by column and bucket, all columns in one scan: each of them is planned dearly."""
    import ibis

    each = table.cross_join(ibis.table({"number": "int64"}, name=_NUMBERS))
    value = ibis.cases(*((each.number == n, each[name].cast("float64")) for n, name in enumerate(names)))
    named = each.select(number=each.number, value=value)
    positive = named.filter(named.value > 0)
    bucket = (positive.value.ln() * BUCKETS_PER_E).floor().cast("int64")
    coded = positive.select(number=positive.number, code=bucket)
    counted = coded.group_by(["number", "code"]).agg(row_count=coded.count())
    name = ibis.cases(*((counted.number == n, name) for n, name in enumerate(names)))
    return _rows(counted, name=name, code=counted.code, row_count=counted.row_count)


def _segment_rows(table: Any, name: str) -> Any:
    import ibis

    counted = table.select(item=table[name]).group_by("item").agg(row_count=ibis._.count())
    most = counted.order_by(counted.row_count.desc(), counted.item).limit(MOST_SEGMENTS + 1)
    return _rows(most, name=name, item=most.item, row_count=most.row_count)


def _number_profile(
    name: str, figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> NumberProfile:
    values = figures.get(f"{name}__values", figures["__rows"])
    zeros, negatives = figures[f"{name}__zeros"], figures.get(f"{name}__negatives", 0)
    buckets = {row["code"]: row["row_count"] for row in rows}
    first = min(buckets, default=0)
    counts = tuple(buckets.get(b, 0) for b in range(first, max(buckets, default=first - 1) + 1))
    return NumberProfile(
        null_count=figures["__rows"] - values,
        zero_count=zeros,
        negative_count=negatives,
        positive_count=values - zeros - negatives,
        # Sums of fractions depend on the order of addition in their last digits.
        total=float(f"{figures[f'{name}__total']:.9g}"),
        p10=_quantile(first, counts, 0.1),
        p50=_quantile(first, counts, 0.5),
        p90=_quantile(first, counts, 0.9),
        first_bucket=first,
        bucket_counts=counts,
    )


def _quantile(first: int, counts: Sequence[int], share: float) -> float | None:
    """Interpolate a quantile in its bucket, on the logarithmic scale."""
    if not counts:
        return None
    wanted = share * sum(counts)
    for offset, (below, count) in enumerate(zip((0, *accumulate(counts)), counts, strict=False)):
        if count and below + count >= wanted:
            return float(f"{math.exp((first + offset + (wanted - below) / count) / BUCKETS_PER_E):.4g}")
    raise AssertionError("the counts of a histogram do not add up")


def _segments(
    contract: FeedContract, by_name: Mapping[str, list[dict[str, Any]]]
) -> Iterator[tuple[str, dict[str, int]]]:
    for column in segment_columns(contract):
        rows = [row for row in by_name.get(column.name, []) if row["item"] is not None]
        if len(rows) > MOST_SEGMENTS:
            continue  # it names things one by one
        counts: dict[str, int] = {}
        for row in rows:
            is_shown = is_declared(column) or row["row_count"] >= FEWEST_ROWS_SHOWN
            item = row["item"] if is_shown else OTHERS
            counts[item] = counts.get(item, 0) + row["row_count"]
        yield column.name, dict(sorted(counts.items()))
