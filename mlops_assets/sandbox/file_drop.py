"""Files in the landing zone, and the scripted accidents on their way there.

Belongs here: writing one geography-day of feed files (as `.part`, then renamed), files that are missing,
late, cut, copied or delivered again. Does not belong here: what the rows look like (delivery).

Files of late and corrected deliveries wait under `<root>/<geography>/held/` and are copied to the landing
zone on their day; they are deleted only afterwards, so that a day that was killed can be repeated.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.sandbox.behaviour import DayContext
from mlops_assets.sandbox.canonical_feeds import FEEDS, canonical_sql
from mlops_assets.sandbox.day_calendar import clock_of
from mlops_assets.sandbox.delivery import DeliveryForm, delivered_sql
from mlops_assets.sandbox.events import ScriptedEvent, file_events_on
from mlops_assets.sandbox.sql_engine import literal

if TYPE_CHECKING:
    import duckdb

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Drop:
    """Where the files of one geography go. `held` keeps what arrives on a later day."""

    landing: Path
    held: Path


def drop_feeds(
    connection: duckdb.DuckDBPyConnection, context: DayContext, contracts: Sequence[FeedContract], drop: Drop
) -> list[Path]:
    """Write the day's files of a geography, and those of earlier days that arrive today.

    Args:
        connection: holds tables `today`, `catalogue`, `fleet` and `telemetry` of the day.
        context: the geography-day.
        contracts: of the geography, overrides applied; feeds that the sandbox does not know are left out.
        drop: folders to write to.

    Returns:
        The files that appeared in the landing zone.
    """
    for folder in (drop.landing, drop.held):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for contract in contracts:
        if contract.name in FEEDS and contract.cadence == "daily":
            written += _drop_feed(connection, context, contract, drop)
    return written


def _drop_feed(
    connection: duckdb.DuckDBPyConnection, context: DayContext, contract: FeedContract, drop: Drop
) -> list[Path]:
    accidents = file_events_on(context.events, context.geography.code, context.day, contract.name)
    target = drop.landing / contract.file_name(context.day)
    arrivals = _arriving(context, contract, drop)
    if "missing_file" in accidents:
        return arrivals
    if "duplicated_file" in accidents:
        return [*arrivals, _copy_yesterday(context, contract, drop)]
    if "late_file" in accidents:
        _write(connection, context, contract, drop.held / target.name, accidents)
        return arrivals
    if "corrected_file" in accidents:
        faults = ("corrected_file", "truncated_file")
        whole = {kind: event for kind, event in accidents.items() if kind not in faults}
        _write(connection, context, contract, drop.held / target.name, whole)
    _write(connection, context, contract, target, accidents)
    return [*arrivals, target]


def _write(
    connection: duckdb.DuckDBPyConnection,
    context: DayContext,
    contract: FeedContract,
    target: Path,
    accidents: dict[str, ScriptedEvent],
) -> None:
    form = DeliveryForm(
        contract=contract,
        geography=context.geography,
        plans=context.plans,
        clock=context.clock,
        yesterday=clock_of(context.geography.timezone, context.day - _DAY),
        parameters=context.behaviour.delivery,
        volume_error=accidents["unit_error"].number("factor") if "unit_error" in accidents else 1.0,
        lost_share=accidents["corrected_file"].number("lost_share") if "corrected_file" in accidents else 0.0,
    )
    options = "FORMAT parquet"
    if contract.format == "csv":
        options = f"FORMAT csv, HEADER true, DELIMITER {literal(contract.delimiter)}"
    part = target.with_name(f"{target.name}.part")
    rows = delivered_sql(form, canonical_sql(contract.name, context))
    connection.execute(f"COPY ({rows}) TO {literal(str(part))} ({options})")
    if "truncated_file" in accidents:  # before anybody can see the whole of it
        os.truncate(part, int(part.stat().st_size * accidents["truncated_file"].number("keep_share")))
    part.replace(target)


def _arriving(context: DayContext, contract: FeedContract, drop: Drop) -> list[Path]:
    """Copy the held files whose day has come (late files, corrected files)."""
    arrived = []
    for event in context.events:
        if event.kind not in ("late_file", "corrected_file") or event.text("feed") != contract.name:
            continue
        source_day = context.day - dt.timedelta(days=int(event.number("delay_days")))
        held = drop.held / contract.file_name(source_day)
        if event.concerns(context.geography.code, source_day) and held.exists():
            arrived.append(_copy(held, drop.landing / held.name))
    return arrived


def _copy(source: Path, target: Path) -> Path:
    part = target.with_name(f"{target.name}.part")
    shutil.copyfile(source, part)
    return part.replace(target)


def _copy_yesterday(context: DayContext, contract: FeedContract, drop: Drop) -> Path:
    yesterday = drop.landing / contract.file_name(context.day - _DAY)
    if not yesterday.exists():
        raise PlatformError(
            f"{contract.name} cannot be delivered as a copy of yesterday's file",
            where=str(yesterday),
            expected="yesterday's file in the landing zone",
            remedy="schedule duplicated_file for a day after a delivered one",
        )
    return _copy(yesterday, drop.landing / contract.file_name(context.day))


def forget_held(
    geography: str,
    events: Sequence[ScriptedEvent],
    days: Sequence[dt.date],
    contracts: Sequence[FeedContract],
    drop: Drop,
) -> None:
    """Delete the held files that were delivered on `days`; call it once these days are recorded as done."""
    held = {contract.name: contract for contract in contracts}
    for event in events:
        if event.kind not in ("late_file", "corrected_file") or event.text("feed") not in held:
            continue
        for source_day in (day - dt.timedelta(days=int(event.number("delay_days"))) for day in days):
            if event.concerns(geography, source_day):
                (drop.held / held[event.text("feed")].file_name(source_day)).unlink(missing_ok=True)
