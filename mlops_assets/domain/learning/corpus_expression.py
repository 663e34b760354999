"""The corpus as one Ibis expression: population, equi-joined labels, parts, in a fixed order.

Belongs here: the expression and its SQL. Does not belong here: which partitions it reads (corpus.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.domain.learning.population import population_of
from mlops_assets.domain.learning.spec import ColumnLabel, CorpusSpec, EventLabel, HashSplit, ModelSpec, Task
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class CorpusShape:
    """What an expression needs to know: specification and the types of stored columns.

    Attributes:
        corpus: rows of the corpus.
        model: label and features.
        columns: features and segment columns, in the corpus's order.
        population_schema: stored columns of the corpus table.
        event_schema: stored columns of the label table, or None if the label is a column.
        has_anomalies: there is a view `anomalies` with rows to be left out, by key and file day.
    """

    corpus: CorpusSpec
    model: ModelSpec
    columns: tuple[str, ...]
    population_schema: pa.Schema
    event_schema: pa.Schema | None
    has_anomalies: bool = False


def compile_corpus(shape: CorpusShape, dialect: str) -> str:
    """Return the SQL that gives key, as_of_day, split, label and columns, ordered by day and key."""
    import ibis

    rows = _sampled(_labelled(shape), shape.corpus)
    if isinstance(shape.corpus.split, HashSplit):
        key_type = rows[shape.corpus.entity_key].type()
        parts = ibis.table({"part_key": key_type, "split": "string"}, name="parts")
        joined = rows.join(parts, rows[shape.corpus.entity_key] == parts.part_key)
    else:
        parts = ibis.table({"as_of_day": "date", "split": "string"}, name="parts")
        joined = rows.join(parts, "as_of_day")
    ordered = joined.select(shape.corpus.entity_key, "as_of_day", "split", "label", *shape.columns)
    return compile_sql(ordered.order_by("as_of_day", shape.corpus.entity_key), dialect)


def compile_label_list(shape: CorpusShape, dialect: str) -> str:
    """Return the SQL that lists `entity_key` and `label` of a snapshot, for the hash split."""
    rows = _sampled(_labelled(shape), shape.corpus)
    return compile_sql(rows.select("label", entity_key=shape.corpus.entity_key), dialect)


def compile_removed(shape: CorpusShape, dialect: str) -> str:
    """Return the SQL that counts by reason the rows of the population that are left out as anomalous."""
    rows, removed = _population(shape), _removed(shape)
    joined = rows.join(removed, _same_entity_and_day(shape, rows.file_day, rows, removed))
    counted = joined.group_by("reason").aggregate(rows=joined.count())
    return compile_sql(counted.order_by("reason"), dialect)


def _removed(shape: CorpusShape) -> ir.Table:
    import ibis

    key = shape.corpus.entity_key
    key_type = ibis.Schema.from_pyarrow(shape.population_schema)[key]
    types = {key: key_type, "reason": "string", "is_removed": "boolean", "file_day": "date"}
    anomalies = ibis.table(types, name="anomalies")
    return anomalies.filter(anomalies.is_removed).select(
        removed_key=key, removed_day="file_day", reason="reason"
    )


def _same_entity_and_day(
    shape: CorpusShape, day: ir.Value, rows: ir.Table, removed: ir.Table
) -> list[ir.Value]:
    return [rows[shape.corpus.entity_key] == removed.removed_key, day == removed.removed_day]


def _labelled(shape: CorpusShape) -> ir.Table:
    """Return key, as_of_day, label and columns of every row that passes the filters and has a label."""
    if isinstance(shape.model.label, ColumnLabel):
        return _with_column_label(shape, shape.model.label)
    return _with_event_label(shape, shape.model.label)


def _population(shape: CorpusShape, *extra: str) -> ir.Table:
    has_days = not isinstance(shape.corpus.split, HashSplit)
    columns = (*shape.columns, *extra)
    return population_of(shape.corpus, shape.population_schema, columns, "population", has_file_day=has_days)


def _with_column_label(shape: CorpusShape, label: ColumnLabel) -> ir.Table:
    import ibis

    rows = _population(shape, label.column)
    value = rows[label.column]
    if shape.model.task == "binary" and label.positive is not None:
        value = (value.cast("string") == label.positive).cast("int64")
    elif shape.model.task in {"regression", "quantile"}:
        value = value.cast("float64")
    elif shape.model.task == "multiclass":
        value = value.cast("string")
    # A column may be label and segment column alike, so the label is added beside it.
    labelled = rows.mutate(label=value, as_of_day=ibis.null("date"))
    labelled = labelled.select(shape.corpus.entity_key, "as_of_day", "label", *shape.columns)
    return labelled.filter(labelled.label.notnull())


def _with_event_label(shape: CorpusShape, label: EventLabel) -> ir.Table:
    key = shape.corpus.entity_key
    rows = _population(shape).rename(as_of_day="file_day")
    if shape.has_anomalies:
        removed = _removed(shape)
        rows = rows.anti_join(removed, _same_entity_and_day(shape, rows.as_of_day, rows, removed))
    found = _outcomes(shape, label)
    joined = rows.left_join(found, [rows[key] == found.event_key, rows.as_of_day == found.event_as_of_day])
    if label.given is not None:
        joined = joined.filter(joined.event_key.notnull())
    value = _label_value(joined.outcome, label, shape.model.task)
    return joined.select(key, "as_of_day", *shape.columns, label=value)


def _label_value(outcome: ir.Value, label: EventLabel, task: Task) -> ir.Value:
    """Return the label of an entity whose outcome is null if nothing happened."""
    if label.days_until_first:
        return outcome.fill_null(float(label.horizon_days))
    if label.windows_days:
        return _window_of(outcome, label.windows_days)
    if not label.value:
        return outcome.notnull().cast("int64")
    value = outcome.fill_null(0)
    return value.cast("int64").cast("string") if task == "multiclass" else value


def _window_of(days: ir.Value, windows_days: Sequence[int]) -> ir.Value:
    """Return the name of the shortest window that holds the first event, `none` without any."""
    import ibis

    name: ir.Value = ibis.literal("none")
    for window in reversed(windows_days):
        name = (days <= window).ifelse(f"within_{window}", name)
    return days.isnull().ifelse("none", name)


def _outcomes(shape: CorpusShape, label: EventLabel) -> ir.Table:
    """Return one row per entity and as-of day with rows in the label's window; null if none fits `where`."""
    import ibis

    key = shape.corpus.entity_key
    stored = ibis.Schema.from_pyarrow(shape.event_schema)
    used = dict.fromkeys([key, *label.columns])
    events = ibis.table({**{name: stored[name] for name in used}, "file_day": "date"}, name="events")
    if label.given is not None:
        events = events.filter(
            fits_values(events, label.given.one_of), reaches_values(events, label.given.at_least)
        )
    windows = ibis.table({"event_day": "date", "as_of_day": "date"}, name="label_windows")
    inside = events.join(windows, events.file_day == windows.event_day)
    is_time = label.days_until_first or bool(label.windows_days)
    if is_time:
        outcome = inside.event_day.delta(inside.as_of_day, unit="day").cast("float64")
    else:
        outcome = inside[label.value].cast("float64") if label.value else ibis.literal(1.0)
    counted = ibis.ifelse(fits_values(inside, label.where), outcome, ibis.null("float64"))
    named = inside.select(event_key=key, event_as_of_day="as_of_day", outcome=counted)
    largest_or_sum = named.outcome.max() if label.reduce == "max" else named.outcome.sum()
    merged = named.outcome.min() if is_time else largest_or_sum
    return named.group_by("event_key", "event_as_of_day").aggregate(outcome=merged)


def fits_values(rows: ir.Table, one_of: Mapping[str, Sequence[str]]) -> ir.Value:
    """Return whether each row's columns have one of the given values."""
    import ibis

    conditions = [rows[name].cast("string").isin(values) for name, values in one_of.items()]
    return ibis.and_(*conditions)


def reaches_values(rows: ir.Table, at_least: Mapping[str, float]) -> ir.Value:
    """Return whether each row's columns are at least as large as the given values."""
    import ibis

    return ibis.and_(*(rows[name] >= least for name, least in at_least.items()))


def _sampled(rows: ir.Table, corpus: CorpusSpec) -> ir.Table:
    """Keep `max_rows_per_as_of` entities a day, always those with the smallest MD5 of the key."""
    import ibis

    if corpus.max_rows_per_as_of == 0:
        return rows
    key = rows[corpus.entity_key]
    by_hash = ibis.window(group_by=rows.as_of_day, order_by=[key.cast("string").hexdigest("md5"), key])
    ranked = rows.mutate(hash_rank=ibis.row_number().over(by_hash))
    return ranked.filter(ranked.hash_rank < corpus.max_rows_per_as_of).drop("hash_rank")
