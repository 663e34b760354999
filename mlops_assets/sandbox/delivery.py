"""From canonical records to the operator's form: the inverse of a feed contract.

Belongs here: the SQL that renames columns, converts units, codes, money and clocks, and adds the duplicates
and late records of a normal day. Does not belong here: writing files and scripted accidents (file_drop).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract, Geography
from mlops_assets.domain.feeds.units import UNITS, linear_conversion
from mlops_assets.sandbox.catalogue import Plan
from mlops_assets.sandbox.day_calendar import DayClock
from mlops_assets.sandbox.parameters import DeliveryParameters
from mlops_assets.sandbox.sql_engine import literal, quote


@dataclass(frozen=True)
class DeliveryForm:
    """How one feed of one geography looks in the operator's lake on one day.

    Attributes:
        contract: the feed's contract with the geography's overrides applied.
        plans: the catalogue, whose local codes are delivered.
        yesterday: the clock of the day before, on which late records lie.
        volume_error: factor on volumes that keep their old label (1.0 on all but scripted days).
        lost_share: share of records missing from a first, faulty delivery.
    """

    contract: FeedContract
    geography: Geography
    plans: Sequence[Plan]
    clock: DayClock
    yesterday: DayClock
    parameters: DeliveryParameters
    volume_error: float = 1.0
    lost_share: float = 0.0


def delivered_sql(form: DeliveryForm, canonical: str) -> str:
    """Return the SELECT of the rows as delivered: the day's records, some late, then the older duplicates."""
    contract, kept = form.contract, ""
    if form.lost_share:
        kept = f" WHERE uniform(_r, 'lost') >= {literal(form.lost_share)}"
    rows = f"WITH records AS MATERIALIZED (SELECT * REPLACE ({_late(form)}) FROM ({canonical}) AS r{kept})"
    if not contract.day_column or not form.parameters.late_share:
        rows = f"WITH records AS MATERIALIZED (SELECT * FROM ({canonical}) AS r{kept})"
    originals = f"SELECT {_select_list(form)} FROM records"
    if contract.latest_by is None or not form.parameters.duplicate_share:
        return f"{rows} {originals}"
    older = (
        f"(SELECT * REPLACE ({_older(form)}) FROM records"
        f" WHERE uniform(_r, 'duplicate') < {literal(form.parameters.duplicate_share)})"
    )
    return f"{rows} {originals} UNION ALL SELECT {_select_list(form)} FROM {older}"


def _late(form: DeliveryForm) -> str:
    """Return the replacement that moves some records to the same moment of the day before."""
    column, clock, yesterday = form.contract.day_column, form.clock, form.yesterday
    stretch = literal((yesterday.end_s - yesterday.start_s) / (clock.end_s - clock.start_s))
    moved = f"{yesterday.start_s} + CAST(floor(({column} - {clock.start_s}) * {stretch}) AS BIGINT)"
    is_late = f"_may_be_late AND uniform(_r, 'late') < {literal(form.parameters.late_share)}"
    return f"CASE WHEN {is_late} THEN {moved} ELSE {column} END AS {column}"


def _older(form: DeliveryForm) -> str:
    """Return the replacements that make an older version of a record: earlier, with part of the volume."""
    contract, clock = form.contract, form.clock
    column = contract.latest_by
    earlier = f"{column} - 1 - CAST(floor(59e0 * uniform(_r, 'older')) AS BIGINT)"
    if column == contract.day_column:  # it must stay on its day
        start = (
            f"CASE WHEN {column} >= {clock.start_s} THEN {clock.start_s} ELSE {form.yesterday.start_s} END"
        )
        earlier = f"greatest({earlier}, {start})"
    replaced = [f"{earlier} AS {column}"]
    factor = literal(form.parameters.duplicate_volume_factor)
    replaced += [
        f"CAST(floor({c.name} * {factor}) AS BIGINT) AS {c.name}"
        for c in contract.columns
        if c.merge == "sum"
    ]
    return ", ".join(replaced)


def _select_list(form: DeliveryForm) -> str:
    parts, units_named = [], []
    for column in form.contract.columns:
        parts.append(f"{_in_source_form(form, column)} AS {quote(column.source)}")
        if column.source_unit_column and column.source_unit_column not in units_named:
            units_named.append(column.source_unit_column)
    # The unit column stands before the first column that it describes, as operators' extracts have it.
    for name in units_named:
        first = next(i for i, c in enumerate(form.contract.columns) if c.source_unit_column == name)
        parts.insert(first, f"{_row_unit(form, form.contract.columns[first])} AS {quote(name)}")
    return ", ".join(parts)


def _in_source_form(form: DeliveryForm, column: ColumnContract) -> str:
    value = quote(column.name)
    if column.type == "timestamp":
        seconds = form.clock.local_sql(value) if column.timezone == "local" else value
        value = f"make_timestamp(1000000 * {seconds})"
    if column.type in {"date", "timestamp"}:
        return f"strftime({value}, {literal(column.format)})" if column.format else value
    if column.code_map == "plan":
        return _recoded(value, {plan.plan_code: plan.local_code for plan in form.plans})
    if column.values:
        return _recoded(value, {ours: theirs for theirs, ours in reversed(column.values.items())})
    if column.unit == "usd_cent" and column.source_unit == "local_currency":
        return _in_local_money(form.geography, value)
    return _converted(form, column, value)


def _recoded(value: str, codes: dict[str, str]) -> str:
    cases = " ".join(f"WHEN {literal(ours)} THEN {literal(theirs)}" for ours, theirs in codes.items())
    return f"CASE {value} {cases} ELSE {value} END"


def _in_local_money(geography: Geography, value: str) -> str:
    # The smallest amount is about a US cent: cents of a sol, tens of Chilean pesos.
    decimals = math.ceil(-math.log10(0.01 / geography.usd_per_unit) - 0.1)
    return f"round({value} / {literal(100.0 * geography.usd_per_unit)}, {decimals})"


def _converted(form: DeliveryForm, column: ColumnContract, value: str) -> str:
    if column.unit and UNITS[column.unit].dimension == "volume" and form.volume_error != 1.0:
        value = f"({value} * {literal(form.volume_error)})"
    if column.source_unit_column:
        unit = _row_unit(form, column)
        cases = " ".join(
            f"WHEN {literal(u)} THEN {literal(linear_conversion(column.unit or u, u)[0])}"
            for u in _units(column)
        )
        return f"{value} * CASE {unit} {cases} END"
    if column.source_unit is None or column.source_unit == column.unit:
        return f"round({value}, 6)" if column.type == "decimal" else value
    if column.unit is None or column.source_unit not in UNITS:
        raise ConfigError(
            f"the sandbox cannot deliver {column.name} in {column.source_unit}",
            where=f"feed {form.contract.name}, geography {form.geography.code}",
            expected=f"a unit: {', '.join(sorted(UNITS))}, or local_currency for usd_cent",
        )
    factor, offset = linear_conversion(column.unit, column.source_unit)
    converted = f"{value} * {literal(factor)} + {literal(offset)}"
    return f"round({converted}, 4)" if column.type == "decimal" else f"({converted})"


def _units(column: ColumnContract) -> tuple[str, ...]:
    is_volume = column.unit is not None and UNITS[column.unit].dimension == "volume"
    return ("MB", "GB", "KB") if is_volume else (column.unit or "count",)


def _row_unit(form: DeliveryForm, column: ColumnContract) -> str:
    """Return SQL for the unit of a row; it depends on the row only, so that its columns agree."""
    units = _units(column)
    if len(units) == 1:
        return literal(units[0])
    megabyte, gigabyte = form.parameters.megabyte_share, form.parameters.gigabyte_share
    return (
        f"CASE WHEN uniform(_r, 'unit') < {literal(megabyte)} THEN 'MB'"
        f" WHEN uniform(_r, 'unit') < {literal(megabyte + gigabyte)} THEN 'GB' ELSE 'KB' END"
    )
