"""Telemetry of devices as networks deliver it: late, doubled, from clocks that are wrong, with gaps."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.domain.feeds.contract import FeedContract
from tests.unit.domain.feeds.conftest import World, contract, utc

TELEMETRY = contract("device_telemetry")


def hour(number: int, **changes: object) -> dict[str, Any]:
    """Return the record of an hour of the day in Chile (UTC-4), 20 devices by number."""
    time = utc("2026-08-10 04:00:00") + dt.timedelta(hours=number % 24)
    row: dict[str, Any] = {
        "DEVICE_ID": f"CL-{number // 24:06d}",
        "HOUR_TS": time,
        "INGEST_TS": time + dt.timedelta(minutes=20),
        "TRAFFIC": 100.0,
        "LOAD": 50.0,
        "TEMP": 30.0,
        "ERRORS": 1,
        "EVENT_SEV": 0,
    }
    return row | changes


def table(rows: list[dict[str, Any]]) -> pa.Table:
    kinds = {
        "HOUR_TS": pa.timestamp("us"), "INGEST_TS": pa.timestamp("us"), "TRAFFIC": pa.float64(),
        "LOAD": pa.float64(), "TEMP": pa.float64(), "ERRORS": pa.int64(), "EVENT_SEV": pa.int64(),
    }  # fmt: skip
    return pa.Table.from_pylist(rows, pa.schema([("DEVICE_ID", pa.string()), *kinds.items()]))


def devices(world: World, rows: list[dict[str, Any]], code: str = "cl") -> dict[str, dict[str, Any]]:
    """Deliver, land, return the day's row of each device."""
    world.deliver(TELEMETRY, table(rows), code)
    outcome = world.land(TELEMETRY, code)
    assert outcome.status == "landed", outcome.findings
    return {row["device_id"]: row for row in world.rows(outcome)}


def whole_day(count: int = 20) -> list[dict[str, Any]]:
    return [hour(number) for number in range(24 * count)]


def test_hours_become_one_row_in_our_units(world: World) -> None:
    row = devices(world, whole_day())["CL-000003"]
    assert (row["traffic_kb"], row["error_count"], row["record_count"]) == (24 * 100 * 1024, 24, 24)
    assert (row["load_share_max"], row["temperature_celsius_max"]) == (0.5, 30.0)


def test_fahrenheit_of_another_geography_becomes_celsius(world: World) -> None:
    rows = [row | {"HOUR_TS": row["HOUR_TS"] + dt.timedelta(hours=1), "TEMP": 86.0} for row in whole_day()]
    assert devices(world, rows, "pe")["CL-000003"]["temperature_celsius_max"] == pytest.approx(30.0)


def test_a_doubled_record_counts_once_and_the_newer_one(world: World) -> None:
    late = hour(5, ERRORS=9, INGEST_TS=utc("2026-08-11 09:00:00"))
    assert devices(world, [*whole_day(), late, hour(5)])["CL-000000"]["error_count"] == 23 + 9


def test_a_late_record_of_the_day_before_is_kept_and_counted_as_late(world: World) -> None:
    late = hour(0, HOUR_TS=utc("2026-08-09 20:00:00"))
    assert devices(world, [*whole_day(), late])["CL-000000"]["late_rows"] == 1


@pytest.mark.parametrize("skew", [dt.timedelta(days=3), -dt.timedelta(days=3), dt.timedelta(days=400)])
def test_a_device_with_a_wrong_clock_is_quarantined_alone(world: World, skew: dt.timedelta) -> None:
    skewed = [row | {"HOUR_TS": row["HOUR_TS"] + skew} for row in whole_day(1)]
    world.deliver(TELEMETRY, table([*skewed, *whole_day()[24:]]))
    outcome = world.land(TELEMETRY)
    assert outcome.status == "landed"
    assert outcome.counts.quarantined == {"other_day": 24}
    assert "CL-000000" not in {row["device_id"] for row in world.rows(outcome)}


def test_clocks_that_are_wrong_everywhere_refuse_the_file(world: World) -> None:
    world.deliver(TELEMETRY, table([row | {"HOUR_TS": utc("2026-08-20 10:00:00")} for row in whole_day()]))
    assert world.land(TELEMETRY).status == "refused"


def test_a_gap_of_some_hours_gives_a_row_of_the_others(world: World) -> None:
    row = devices(world, [row for row in whole_day() if row["HOUR_TS"].hour >= 12])["CL-000000"]
    assert 0 < row["record_count"] < 24
    assert row["error_count"] == row["record_count"]


def test_a_sensor_without_a_value_has_none(world: World) -> None:
    rows = [row | ({"TEMP": None} if row["DEVICE_ID"] == "CL-000001" else {}) for row in whole_day()]
    assert devices(world, rows)["CL-000001"]["temperature_celsius_max"] is None


def test_a_cumulative_counter_becomes_its_rise_over_resets(world: World) -> None:
    """Readings 100, 130, 150, then a reset and 20, 25, one of them late in the file, one doubled."""
    fields = TELEMETRY.model_dump(mode="json")
    for column in fields["columns"]:
        if column["name"] == "error_count":
            column["merge"] = "increase"
    counters = FeedContract.model_validate(fields)
    readings = {6: 100, 7: 130, 8: 150, 9: 20, 10: 25}
    steady = [row | {"ERRORS": 7} for row in whole_day()[24:]]
    first = [hour(number, ERRORS=readings[number]) for number in (9, 6, 8, 10, 7, 7)]
    world.deliver(counters, table([*first, *steady]))
    outcome = world.land(counters)
    assert outcome.status == "landed", outcome.findings
    rows = {row["device_id"]: row["error_count"] for row in world.rows(outcome)}
    assert rows["CL-000000"] == 30 + 20 + 20 + 5
    assert rows["CL-000001"] == 0
    without_time = fields | {"day_column": None}
    with pytest.raises(ValueError, match="`merge: increase` is for numbers"):
        FeedContract.model_validate(without_time)


def test_readings_of_one_moment_rise_in_order_of_their_size(world: World) -> None:
    """Whatever their order in the file: 130 before 120 is no reset of the counter."""
    fields = TELEMETRY.model_dump(mode="json") | {"key": ["device_id", "event_time_utc", "load_share_max"]}
    for column in fields["columns"]:
        if column["name"] == "error_count":
            column["merge"] = "increase"
    readings = ((1, 100), (2, 130), (2, 120), (3, 140))
    devices = np.random.default_rng(1).permutation(1500).tolist()
    rows = [
        hour(24 * device + number, ERRORS=value, LOAD=value / 2.0)
        for number, value in readings
        for device in devices
    ]
    counters = FeedContract.model_validate(fields)
    world.deliver(counters, table(rows))
    outcome = world.land(counters)
    assert outcome.status == "landed", outcome.findings
    assert {row["error_count"] for row in world.rows(outcome)} == {40}


def test_a_record_id_is_the_hash_of_the_key(world: World) -> None:
    fields = {
        "name": "cells", "description": "x", "owner": "team:network", "cadence": "snapshot", "format": "csv",
        "file_pattern": "cells.csv", "key": ["cell", "hour"], "record_id": "record_id",
        "columns": [
            {"name": "cell", "source": "CELL", "type": "text", "description": "x"},
            {"name": "hour", "source": "HOUR", "type": "integer", "description": "x"},
        ],
    }  # fmt: skip
    cells = FeedContract.model_validate(fields)
    world.deliver(cells, b"CELL,HOUR\na,1\na,11\na1,1\na,1\n", day=None)
    outcome = world.land(cells, day=None)
    ids = {(row["cell"], row["hour"]): row["record_id"] for row in world.rows(outcome)}
    assert len(set(ids.values())) == len(ids) == 3
    with pytest.raises(ValueError, match="`record_id` names a new column"):
        FeedContract.model_validate(fields | {"record_id": "hour"})
