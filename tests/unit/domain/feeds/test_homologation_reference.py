"""Homologation against a row-by-row reference in plain Python, on random dirty data."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections import defaultdict
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from mlops_assets.domain.feeds.contract import FeedContract, Geography
from tests.unit.domain.feeds.conftest import DAY, World, contract, geography, utc

USAGE, TOPUPS = contract("usage"), contract("topups")
VOLUMES = ["DATA_LOCAL_VOL", "DATA_ROAM_VOL", "APP_FB", "APP_WA", "APP_YT", "APP_TT", "APP_IG"]
COUNTS = ["CALLS_ON", "CALLS_OFF", "CALL_SECS", "SMS_ON", "SMS_OFF"]
KB = {"byte": 1 / 1024, "KB": 1.0, "MB": 1024.0, "GB": 1024.0 * 1024.0}


def half_away(number: float) -> int:
    return int(math.copysign(math.floor(abs(number) + 0.5), number))


def dirty_usage(random_: random.Random, rows: int) -> list[dict[str, Any]]:
    made = []
    for _ in range(rows):
        row: dict[str, Any] = {
            "MSISDN": str(random_.choice([56900000000 + random_.randrange(40), "x", "12.5", "", 0, None])),
            "EVENT_TS": utc("2026-08-07 12:00:00") + dt.timedelta(minutes=random_.randrange(6000)),
            "INGEST_TS": random_.choice([utc("2026-08-11 00:00:00"), utc("2026-08-12 00:00:00")]),
            "DATA_UNIT": random_.choice([*KB, "MB", "MB", "TB", None]),
        }
        if random_.random() < 0.9:
            row["MSISDN"] = str(56900000000 + random_.randrange(40))
            row["EVENT_TS"] = utc("2026-08-10 12:00:00") + dt.timedelta(minutes=random_.randrange(20))
            row["DATA_UNIT"] = random_.choice([*KB])
        for name in VOLUMES:
            row[name] = random_.choice([0.0, 0.5, 1.5, 2.25, random_.random() * 100])
        for name in COUNTS:
            row[name] = random_.randrange(9)
        if random_.random() < 0.1:
            row[random_.choice(VOLUMES)] = random_.choice([None, -1.0, float("nan"), float("inf"), 1e13])
        if random_.random() < 0.05:
            row[random_.choice(COUNTS)] = random_.choice([None, -1, 10**6])
        made.append(row)
    return made


def is_good_usage(row: dict[str, Any], feed: FeedContract, place: Geography) -> bool:
    if (
        row["MSISDN"] is None
        or not row["MSISDN"].isdigit()
        or int(row["MSISDN"]) < 1
        or row["DATA_UNIT"] not in KB
    ):
        return False
    for column in feed.columns:
        value = row.get(SOURCES.get(column.source, column.source))
        if value is None:
            return False
        if column.source_unit_column:
            limit, factor = column.maximum, KB[row["DATA_UNIT"]]
            if math.isnan(value) or value < 0 or (value * factor > limit if limit else value > 1e12):
                return False
        elif column.unit and not (column.minimum or 0) <= value <= (column.maximum or math.inf):
            return False
    return DAY - dt.timedelta(days=2) <= local_day(row["EVENT_TS"], feed, place) <= DAY


def local_day(instant: dt.datetime, feed: FeedContract, place: Geography) -> dt.date:
    if feed.column("event_time_utc").timezone == "local":
        return instant.date()
    return instant.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(place.timezone)).date()


SOURCES = {
    "NUMERO": "MSISDN",
    "FECHA_EVENTO": "EVENT_TS",
    "DATOS_LOCAL": "DATA_LOCAL_VOL",
    "DATOS_ROAMING": "DATA_ROAM_VOL",
}


def reference_partials(rows: list[dict[str, Any]], feed: FeedContract, place: Geography) -> dict[int, Any]:
    good = [row for row in rows if is_good_usage(row, feed, place)]
    latest: dict[tuple[int, dt.datetime], dict[str, Any]] = {}
    for row in good:
        key = (int(row["MSISDN"]), row["EVENT_TS"])
        if key not in latest or row["INGEST_TS"] >= latest[key]["INGEST_TS"]:
            latest[key] = row
    grouped = defaultdict(list)
    for row in latest.values():
        grouped[int(row["MSISDN"])].append(row)
    ours = {SOURCES.get(c.source, c.source): c.name for c in feed.columns if c.merge}
    partials = {}
    for subscriber, records in grouped.items():
        days = [local_day(r["EVENT_TS"], feed, place) for r in records]
        partial: dict[str, Any] = {"subscriber_id": subscriber, "record_count": len(records)}
        partial |= {ours[v]: sum(half_away(r[v] * KB[r["DATA_UNIT"]]) for r in records) for v in VOLUMES}
        partial |= {ours[c]: sum(r[c] for r in records) for c in COUNTS}
        partial |= {"business_day_max": max(days), "late_rows": sum(day < DAY for day in days)}
        partials[subscriber] = partial
    return partials


@pytest.mark.parametrize("code", ["cl", "pe"])
@pytest.mark.parametrize("seed", range(3))
def test_usage_equals_the_reference(world: World, code: str, seed: int) -> None:
    rows = dirty_usage(random.Random(seed), 800)  # noqa: S311 - test data
    loose = USAGE.model_copy(update={"quarantine_share_max": 1.0, "off_day_share_max": 1.0})
    feed = loose.for_geography([code])
    theirs = {ours: source for source, ours in SOURCES.items()} if code == "pe" else {}
    table = pa.Table.from_pylist(
        [{theirs.get(name, name): value for name, value in row.items()} for row in rows]
    )
    world.deliver(loose, table, code)
    outcome = world.land(loose, code)
    assert outcome.status == "landed", outcome.findings
    found = {row["subscriber_id"]: row for row in world.rows(outcome)}
    assert found == reference_partials(rows, feed, geography(code))
    good = sum(is_good_usage(row, feed, geography(code)) for row in rows)
    assert outcome.counts.quarantined_total == len(rows) - good
    assert outcome.counts.good + outcome.counts.duplicates == good


@pytest.mark.parametrize(("code", "rate", "delimiter"), [("cl", 0.00105, ","), ("pe", 0.27, ";")])
def test_topups_equal_the_reference(world: World, code: str, rate: float, delimiter: str) -> None:
    random_ = random.Random(4)  # noqa: S311 - test data
    feed = TOPUPS.for_geography([code])
    lines, expected = [delimiter.join(c.source for c in feed.columns)], {}
    channels = {"APP": "app", "POS": "shop", "WEB": "web", "USSD": "ussd"}
    zone = ZoneInfo(geography(code).timezone)
    for i in range(500):
        local = dt.datetime(2026, 8, 10, tzinfo=zone) + dt.timedelta(seconds=random_.randrange(86400))
        instant = local.astimezone(dt.UTC).replace(tzinfo=None)
        shown = local.replace(tzinfo=None) if code == "pe" else instant
        amount, channel = round(random_.uniform(20, 9000), 2), random_.choice(list(channels))
        lines.append(delimiter.join([f"T{i}", str(569 + i), str(shown), str(amount), channel]))
        expected[f"T{i}"] = (
            569 + i,
            instant,
            half_away(amount * (rate * 100.0)),
            channels[channel],
            DAY,
            False,
        )
    world.deliver(TOPUPS, ("\n".join(lines) + "\n").encode(), code)
    outcome = world.land(TOPUPS, code)
    assert (outcome.status, outcome.counts.quarantined) == ("landed", {})
    assert {row["topup_id"]: tuple(row.values())[1:] for row in world.rows(outcome)} == expected
