"""A delivered file in our terms: good rows, bad rows with their reason, superseded duplicates.

Belongs here: the tables of a feed as Ibis expressions and their compilation, once per contract, geography
and delivered types. Does not belong here: running them (landing), single columns (column_translation).

Views that the compiled SQL reads:
    raw: the file with its own column names, and ROW, the row's number.
    file_context: one row, see file_context.
    superseded: ROW of the records that a later one of the same key replaces.
    quarantined: ROW of the bad rows.
    good: the homologated file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mlops_assets.domain.feeds.column_translation import (
    OUTPUT_TYPES,
    Check,
    Expression,
    TranslatedColumn,
    add_unit_factors,
    translate_column,
)
from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract, Geography
from mlops_assets.domain.feeds.file_context import FILE_CONTEXT_TYPES
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.table_sql import compile_sql

# Raise it when the same file and contract would give other rows than before.
HOMOLOGATION_VERSION = "1"
RAW, CONTEXT, SUPERSEDED, QUARANTINED, GOOD = "raw", "file_context", "superseded", "quarantined", "good"
ROW = "__row"
OTHER_DAY = "other_day"
PARTIAL_COLUMNS = {"business_day_max": "date", "late_rows": "int64", "record_count": "int64"}
EVENT_COLUMNS = {"business_day": "date", "is_late": "boolean"}
_NOT_IN_THE_ROWS = {"description", "owner", "arrival_deadline_hours", "gate", "max_rows"}


def homologation_key(contract: FeedContract, geography: Geography) -> str:
    """Return the hash of everything but the file that decides a feed's rows.

    Args:
        contract: contract of one geography (`for_geography` applied).
        geography: where it was delivered; only what this feed uses of it counts.
    """
    fields = contract.model_dump(mode="json", exclude=_NOT_IN_THE_ROWS)
    if fields["record_id"] is None:  # contracts without one keep the key of what they have published
        del fields["record_id"]
    for column in fields["columns"]:
        del column["description"]
        if column["format"] is None:  # contracts without formats keep the key of what they have published
            del column["format"]
    return stable_hash([HOMOLOGATION_VERSION, fields, _used_of_geography(contract, geography)])


def _used_of_geography(contract: FeedContract, geography: Geography) -> dict[str, Any]:
    columns = contract.columns
    used: dict[str, Any] = {}
    if any(c.code_map == "plan" for c in columns):
        used["plan_codes"] = geography.plan_codes
    if any(c.source_unit == "local_currency" or c.source_unit_column for c in columns):
        used["currency"] = [geography.currency, geography.usd_per_unit]
    if contract.day_column or any(c.timezone == "local" for c in columns):
        used["timezone"] = geography.timezone
    return used


def output_types(contract: FeedContract) -> dict[str, str]:
    """Return the columns of the homologated table with their Ibis types, in order."""
    kept = {c.name: _merged_type(c) for c in contract.columns if not contract.grain or _is_kept(contract, c)}
    if contract.grain:
        return kept | PARTIAL_COLUMNS
    kept |= {contract.record_id: "string"} if contract.record_id else {}
    return kept | (EVENT_COLUMNS if contract.day_column else {})


def _is_kept(contract: FeedContract, column: ColumnContract) -> bool:
    return column.name in contract.grain or column.merge is not None


def _merged_type(column: ColumnContract) -> str:
    changed = {"mean": "float64", "count": "int64"}
    return changed.get(column.merge or "", OUTPUT_TYPES[column.type])


_compiled_feeds: dict[tuple[str, str, str], CompiledFeed] = {}
_MOST_COMPILED_FEEDS = 1000


def compile_feed(
    contract: FeedContract, geography: Geography, source_types: Mapping[str, str], dialect: str
) -> CompiledFeed:
    """Return the compiled statements of a feed, from the cache where they are known.

    Args:
        contract: contract of one geography (`for_geography` applied).
        geography: its time zone, currency and plan codes.
        source_types: delivered columns with their Ibis types (`string` for all of a CSV).
        dialect: of the engine that runs them.

    Raises:
        ConfigError: a unit conversion does not exist.
    """
    key = (homologation_key(contract, geography), stable_hash(source_types), dialect)
    if key not in _compiled_feeds:
        if len(_compiled_feeds) >= _MOST_COMPILED_FEEDS:
            _compiled_feeds.clear()
        _compiled_feeds[key] = CompiledFeed(contract, geography, dict(source_types), dialect)
    return _compiled_feeds[key]


@dataclass(frozen=True)
class CompiledFeed:
    """The statements of one feed, geography and set of delivered types; compiled when first asked for."""

    contract: FeedContract
    geography: Geography
    source_types: Mapping[str, str]
    dialect: str

    @cached_property
    def good_sql(self) -> str:
        """Good rows without the superseded ones, merged to partials where the contract has a grain."""
        import ibis

        superseded = ibis.table({ROW: "int64"}, name=SUPERSEDED)
        return self._compile(self._good(self._table.anti_join(superseded, ROW)))

    @cached_property
    def superseded_sql(self) -> str:
        """Row numbers of records that a later one of the same key replaces, quarantined rows aside.

        A narrow group-by finds the keys that occur twice; only their rows are ordered.
        """
        import ibis

        key, latest_by = self.contract.key, self.contract.latest_by
        rows = self._table.anti_join(ibis.table({ROW: "int64"}, name=QUARANTINED), ROW)
        wanted = [*key, *([latest_by] if latest_by and latest_by not in key else [])]
        columns = self._columns(rows, wanted)
        narrow = rows.select(rows[ROW], *(columns[name].output for name in wanted))
        narrow = narrow.filter(*(narrow[name].notnull() for name in key))
        counted = narrow.group_by(key).agg(records=narrow.count())
        repeated = counted.filter(counted.records > 1).select(key)
        ambiguous = narrow.semi_join(repeated, key)
        order = [ambiguous[name].desc() for name in ([latest_by] if latest_by else []) + [ROW]]
        window = ibis.window(group_by=[ambiguous[name] for name in key], order_by=order)
        ranked = ambiguous.mutate(rank=ibis.row_number().over(window))
        return self._compile(ranked.filter(ranked["rank"] > 0).select(ROW))

    @cached_property
    def bad_sql(self) -> str:
        """Bad rows: number in the file, the first rule that they break, and the delivered values as text."""
        import ibis

        table = self._table
        broken = (
            (check, ~ibis.coalesce(check.holds, ibis.literal(value=False))) for check in self._checks(table)
        )
        reason = ibis.cases(*((is_broken, check.reason) for check, is_broken in broken))
        delivered = [table[name].cast("string").name(name) for name in self.source_types]
        bad = table.select(table[ROW].name("source_row"), reason.name("reason"), *delivered)
        return self._compile(bad.filter(bad.reason.notnull()))

    @cached_property
    def summary_sql(self) -> str:
        """One row over the homologated file: `records` (before merging) and `late` among them.

        Empty where every row is one record and none can be late.
        """
        import ibis

        if not self.contract.grain and not self.contract.day_column:
            return ""
        good = ibis.table(output_types(self.contract), name=GOOD)
        if self.contract.grain:
            records, late = _whole_sum(good.record_count), _whole_sum(good.late_rows)
        else:
            records, late = good.count(), count_if(good.is_late)
        return self._compile(good.agg(records=records, late=late))

    @cached_property
    def expectations(self) -> dict[str, str]:
        """What each reason's check would have accepted."""
        return {check.reason: check.expected for check in self._checks(self._table)}

    def _compile(self, expression: Expression) -> str:
        return compile_sql(expression, self.dialect)

    @cached_property
    def _table(self) -> Expression:
        """The raw file with its unit factors, joined to its context."""
        import ibis

        raw = ibis.table({**self.source_types, ROW: "int64"}, name=RAW)
        return add_unit_factors(raw, self.contract, self.geography).cross_join(_context())

    def _columns(self, table: Expression, names: Collection[str] = ()) -> dict[str, TranslatedColumn]:
        wanted = [c for c in self.contract.columns if c.name in names or not names]
        return {c.name: translate_column(table, c, self.geography) for c in wanted}

    def _checks(self, table: Expression) -> list[Check]:
        """All checks of a row, each once (a unit column serves several columns), in order of the columns."""
        columns = self._columns(table)
        checks = {check.reason: check for column in columns.values() for check in column.checks}
        if self.contract.day_column:
            checks[OTHER_DAY] = self._day_check(table, columns[self.contract.day_column])
        return list(checks.values())

    def _day_check(self, table: Expression, day: TranslatedColumn) -> Check:
        days = self.contract.late_days_max
        if day.contract.type == "date":
            holds = (day.value >= table.window_first_day) & (day.value <= table.file_day)
        else:
            holds = (day.value >= table.window_start_utc) & (day.value < table.window_end_utc)
        since = f", or up to {days} days before it" if days else ""
        return Check(OTHER_DAY, f"{day.contract.name} on the day in the file's name{since}", holds)

    def _good(self, table: Expression) -> Expression:
        needed = [check.holds for check in self._checks(table) if not check.is_implied]
        good = table.filter(*needed)
        return self._partials(good) if self.contract.grain else self._rows(good)

    def _rows(self, good: Expression) -> Expression:
        """One output row per good row."""
        columns = self._columns(good)
        outputs = [column.output for column in columns.values()]
        if self.contract.record_id:
            key = [columns[name].output.cast("string").fill_null("") for name in self.contract.key]
            outputs.append(_join(key).hexdigest("md5").name(self.contract.record_id))
        if self.contract.day_column:
            day = columns[self.contract.day_column]
            outputs.append(_business_day(good, day.value, day.contract).name("business_day"))
            outputs.append(_is_late(good, day).name("is_late"))
        return good.select(*outputs)

    def _partials(self, good: Expression) -> Expression:
        """One output row per grain: every column merged, with the late rows and the last business day."""
        good = self._with_rises(good)
        columns = self._columns(good)
        day = columns.get(self.contract.day_column or "")
        merged = [_merge(column, good) for column in columns.values() if column.contract.merge]
        if day:
            merged += [day.value.max().name("latest_event"), count_if(_is_late(good, day)).name("late_rows")]
        keys = [columns[name].output for name in self.contract.grain]
        partial = good.group_by(keys).agg(*merged, record_count=good.count())
        return self._with_business_day(partial, day).select(*output_types(self.contract))

    def _with_rises(self, good: Expression) -> Expression:
        """Add each counter's rise since the reading before; the file's first reading has none to compare with.

        Of readings of one moment the smaller comes first: otherwise chance would make resets of them.
        """
        import ibis

        counters = [c.name for c in self.contract.columns if c.merge == "increase"]
        if not counters:
            return good
        columns = self._columns(good)
        keys = [columns[name].output for name in self.contract.grain]
        time = columns[str(self.contract.day_column)].value
        rises = {}
        for name in counters:
            value = columns[name].value
            before = value.lag().over(ibis.window(group_by=keys, order_by=[time, value]))
            rise = (value < before).ifelse(value, value - before)
            rises[_rise_of(name)] = before.isnull().ifelse(ibis.literal(0, value.type()), rise)
        return good.mutate(**rises)

    def _with_business_day(self, partial: Expression, day: TranslatedColumn | None) -> Expression:
        import ibis

        dated = partial.cross_join(_context())
        if day is None:
            none = ibis.literal(0, "int64").cast("!int64")  # a plain 0 would have a smaller type
            return dated.mutate(business_day_max=dated.file_day, late_rows=none)
        return dated.mutate(business_day_max=_business_day(dated, dated.latest_event, day.contract))


def _context() -> Expression:
    import ibis

    return ibis.table(FILE_CONTEXT_TYPES, name=CONTEXT)


def _is_late(good: Expression, day: TranslatedColumn) -> Expression:
    return day.value < (good.file_day if day.contract.type == "date" else good.day_start_utc)


def _join(texts: list[Expression]) -> Expression:
    """Return the texts in one, with a sign between them that none of them has."""
    import ibis

    return ibis.literal("\x1f").join(texts)


def _business_day(table: Expression, event: Expression, contract: ColumnContract) -> Expression:
    """Return the local day of an accepted event; only late ones need the clock."""
    import ibis

    if contract.type == "date":
        return event
    offset_s = ibis.ifelse(event < table.transition_utc, table.offset_before_s, table.offset_after_s)
    local_day = (event + offset_s.as_interval("s")).date()
    return ibis.ifelse(event >= table.day_start_utc, table.file_day, local_day)


def _rise_of(name: str) -> str:
    return f"__rise_{name}"


def _merge(column: TranslatedColumn, rows: Expression) -> Expression:
    """Return the merged column. Whole numbers are added as floats: exact below 2**53, twice as fast."""
    value, contract = column.value, column.contract
    if contract.merge == "increase":
        value = rows[_rise_of(contract.name)].cast("float64").sum()
    elif contract.merge == "sum":
        value = value.cast("float64").sum()
    elif contract.merge == "count":
        value = value.count()
    else:
        value = {"max": value.max, "min": value.min, "mean": value.mean}[str(contract.merge)]()
    target = _merged_type(contract)
    return (value if str(value.type()) == target else value.cast(target)).name(contract.name)


def _whole_sum(column: Expression) -> Expression:
    """Return the sum as int64; DuckDB's own sum of integers has 128 bits."""
    return column.cast("float64").sum().coalesce(0.0).cast("int64")


def count_if(condition: Expression) -> Expression:
    """Return how many rows satisfy a condition; unlike a sum, it is int64 on every engine."""
    import ibis

    return condition.ifelse(1, ibis.null("int64")).count()
