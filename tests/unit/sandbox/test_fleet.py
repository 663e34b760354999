"""Devices fail for reasons that show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.unit.sandbox.conftest import Operator, contracts, geographies, one, query

DAYS = 40


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty days of 120 devices."""
    operator = Operator(
        tmp_path_factory.mktemp("network"), contracts("devices", "device_telemetry"), geographies("cl")
    )
    operator.start(subscribers=200, days=DAYS, devices=120)
    return operator.landing / "cl"


def test_every_device_reports_nearly_every_hour(network: Path) -> None:
    rows, keys = query(
        "SELECT count(*), count(DISTINCT (DEVICE_ID, HOUR_TS)) FROM {f}",
        f=network / "device_telemetry_*.parquet",
    )[0]
    assert 0.99 < keys / (DAYS * 24 * 120) <= 1.0
    assert rows > keys


@pytest.mark.parametrize(("day", "hours"), [("2026-09-06", 23), ("2026-04-04", 25), ("2026-04-06", 24)])
def test_a_day_has_the_hours_of_its_clock(
    build_operator: Callable[..., Operator], day: str, hours: int
) -> None:
    operator, first_day = build_operator("device_telemetry"), dt.date.fromisoformat(day)
    operator.start(subscribers=200, days=1, devices=30, first_day=first_day)
    midnight = dt.datetime.combine(first_day, dt.time(), ZoneInfo("America/Santiago"))
    start = midnight.astimezone(dt.UTC).replace(tzinfo=None)
    # Late records of the day before come with the file, too.
    found, first, last = query(
        "SELECT count(DISTINCT HOUR_TS), min(HOUR_TS), max(HOUR_TS) FROM {f} WHERE HOUR_TS >= '{start}'",
        f=next((operator.landing / "cl").glob("device_telemetry_*.parquet")),
        start=start,
    )[0]
    assert (found, first) == (hours, start)
    assert last - first == dt.timedelta(hours=hours - 1)


def test_groups_come_from_vendor_model_and_technology(network: Path) -> None:
    groups = query("SELECT DEVICE_GROUP, count(*) FROM {f} GROUP BY 1", f=next(network.glob("devices_*.csv")))
    assert len(groups) == 10
    assert all(group.count("-") == 2 and count == 12 for group, count in groups)


def test_load_and_temperature_follow_the_day(network: Path) -> None:
    sql = "SELECT hour(HOUR_TS - INTERVAL 3 HOUR) AS h, avg(LOAD), avg(TEMP) FROM {f} GROUP BY 1"
    hours = {row[0]: row[1:] for row in query(sql, f=network / "device_telemetry_*.parquet")}
    assert hours[19][0] > 1.8 * hours[4][0]
    assert hours[16][1] > hours[4][1] + 8
    assert one("SELECT max(LOAD) <= 100 FROM {f}", f=network / "device_telemetry_*.parquet")


def test_failures_have_a_plausible_rate_and_are_preceded_by_errors(network: Path) -> None:
    sql = """WITH d AS (SELECT DEVICE_ID, (HOUR_TS - INTERVAL 3 HOUR)::DATE AS day,
            sum(ERRORS) AS errors, max(EVENT_SEV) AS severity
            FROM {f} GROUP BY ALL)
        SELECT avg((d.severity > 0)::INTEGER), max(d.severity),
            avg(p.errors) FILTER (d.severity > 0) / avg(p.errors) FILTER (d.severity = 0)
        FROM d JOIN d p ON p.DEVICE_ID = d.DEVICE_ID AND p.day = d.day - 1"""
    rate, worst, lift = query(sql, f=network / "device_telemetry_*.parquet")[0]
    assert 0.01 < rate < 0.06
    assert worst == 3
    assert lift > 1.4
