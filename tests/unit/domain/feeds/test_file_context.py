"""The local clock around a file's day, above all when it changes."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.feeds.contract import ColumnOverride, FeedOverride
from mlops_assets.domain.feeds.file_context import file_context
from tests.unit.domain.feeds.conftest import World, contract, usage_row, utc

SANTIAGO = "America/Santiago"
USAGE = contract("usage")


def test_clocks_forward_in_santiago() -> None:
    context = file_context(dt.date(2026, 9, 6), SANTIAGO, 0)
    assert context.transition_utc == utc("2026-09-06 04:00:00")
    assert (context.offset_before_s, context.offset_after_s) == (-14400, -10800)
    assert context.window_end_utc - context.day_start_utc == dt.timedelta(hours=23)


def test_clocks_back_in_santiago() -> None:
    context = file_context(dt.date(2026, 4, 4), SANTIAGO, 0)
    assert context.transition_utc == utc("2026-04-05 03:00:00")
    assert context.window_end_utc - context.day_start_utc == dt.timedelta(hours=25)


def test_twice_changing_clocks_are_refused() -> None:
    with pytest.raises(ConfigError, match="change twice"):
        file_context(dt.date(2026, 3, 25), "Africa/Casablanca", 40)


@given(
    day=st.dates(dt.date(2025, 1, 1), dt.date(2027, 12, 31)),
    late=st.integers(0, 5),
    zone=st.sampled_from(
        [SANTIAGO, "America/Lima", "Europe/Berlin", "Asia/Kolkata", "Pacific/Auckland", "America/Havana"]
    ),
    minutes=st.integers(0, 24 * 60 - 1),
)
def test_context_agrees_with_zoneinfo(day: dt.date, late: int, zone: str, minutes: int) -> None:
    context = file_context(day, zone, late)
    instant = context.day_start_utc + dt.timedelta(minutes=minutes)
    if instant < context.window_end_utc:
        is_before = instant < context.transition_utc
        offset_s = context.offset_before_s if is_before else context.offset_after_s
        local = instant.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone))
        assert local.date() == day
        assert local.utcoffset() == dt.timedelta(seconds=offset_s)
    shown = dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=minutes)
    offset_s = context.offset_before_s if shown < context.transition_local else context.offset_after_s
    assert shown.replace(tzinfo=ZoneInfo(zone)).utcoffset() == dt.timedelta(seconds=offset_s)


@pytest.mark.parametrize(
    "day", [dt.date(2026, 9, 6), dt.date(2026, 4, 4), dt.date(2026, 4, 5), dt.date(2026, 9, 5)]
)
@pytest.mark.parametrize("clock", ["utc", "local"])
def test_every_minute_of_a_day_with_changing_clocks_is_of_that_day(
    world: World, day: dt.date, clock: str
) -> None:
    zone = ZoneInfo(SANTIAGO)
    start = dt.datetime.combine(day, dt.time(), tzinfo=zone).astimezone(dt.UTC)
    instants = [start + dt.timedelta(minutes=m) for m in range(-60, 26 * 60, 10)]
    instants = [i for i in instants if dt.date(2026, 1, 1) < i.astimezone(zone).date()]
    shown = [i.astimezone(zone) if clock == "local" else i for i in instants]
    rows = [
        usage_row(56900000001 + i, EVENT_TS=moment.replace(tzinfo=None)) for i, moment in enumerate(shown)
    ]
    update = {"late_days_max": 0, "off_day_share_max": 1.0, "quarantine_share_max": 1.0}
    override = FeedOverride(columns={"event_time_utc": ColumnOverride(timezone=clock)})
    feed = USAGE.model_copy(update={**update, "geographies": {"cl": override}})
    world.deliver(feed, pa.Table.from_pylist(rows), day=day)
    outcome = world.land(feed, day=day)
    accepted = {row["subscriber_id"] - 56900000001 for row in world.rows(outcome)}
    assert accepted == {i for i, moment in enumerate(instants) if moment.astimezone(zone).date() == day}
    assert {row["business_day_max"] for row in world.rows(outcome)} == {day}
