"""Deliveries, good and bad, from file to partition."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from mlops_assets.domain.errors import EngineError
from tests.unit.domain.feeds.conftest import (
    DAY,
    TOPUP_HEADER,
    World,
    contract,
    geography,
    topup_line,
    topups_csv,
    usage_row,
    usage_table,
    utc,
)

USAGE, TOPUPS = contract("usage"), contract("topups")


def test_good_file_becomes_partials(world: World) -> None:
    rows = [usage_row(56900000001 + i) for i in range(20)]
    later = usage_row(56900000001, EVENT_TS=utc("2026-08-10 18:00:00"), DATA_LOCAL_VOL=0.5, DATA_UNIT="GB")
    late = usage_row(56900000002, EVENT_TS=utc("2026-08-09 18:00:00"))
    world.deliver(USAGE, usage_table([*rows, later, late]))
    outcome = world.land(USAGE)
    assert (outcome.status, outcome.findings) == ("landed", ())
    assert (outcome.counts.delivered, outcome.counts.good, outcome.counts.late) == (22, 22, 1)
    by_subscriber = {row["subscriber_id"]: row for row in world.rows(outcome)}
    assert len(by_subscriber) == 20
    first = by_subscriber[56900000001]
    assert (first["data_local_kb"], first["record_count"], first["business_day_max"]) == (
        1536 + 524288,
        2,
        DAY,
    )
    assert by_subscriber[56900000002]["late_rows"] == 1
    assert outcome.manifest == world.lake.manifest(outcome.partition)


def test_only_late_rows_show_their_own_business_day(world: World) -> None:
    rows = [usage_row(56900000001 + i) for i in range(20)]
    late = usage_row(56900000099, EVENT_TS=utc("2026-08-09 02:00:00"))  # the evening of the 8th in Chile
    world.deliver(USAGE, usage_table([*rows, late]))
    by_subscriber = {row["subscriber_id"]: row for row in world.rows(world.land(USAGE))}
    assert by_subscriber[56900000099]["business_day_max"] == dt.date(2026, 8, 8)


def test_same_delivery_twice_is_reused_and_content_is_the_same(world: World) -> None:
    world.deliver(USAGE, usage_table())
    first = world.land(USAGE)
    before = world.published_bytes(first.partition)
    second = world.land(USAGE)
    assert second.status == "reused"
    assert (second.build_key, second.counts, second.manifest) == (
        first.build_key,
        first.counts,
        first.manifest,
    )
    assert world.published_bytes(first.partition) == before
    world.lake.remove(first.partition)
    again = world.land(USAGE)
    by_key = lambda rows: sorted(rows, key=lambda row: row["subscriber_id"])  # noqa: E731
    assert again.status == "landed"
    assert again.manifest == first.manifest
    assert by_key(world.rows(again)) == by_key(world.rows(second))


def test_damaged_partition_is_built_again(world: World) -> None:
    world.deliver(USAGE, usage_table())
    outcome = world.land(USAGE)
    world.lake.path(outcome.partition).write_bytes(b"")
    assert world.land(USAGE).status == "landed"
    assert len(world.rows(outcome)) == 20


def test_corrected_file_replaces_its_day(world: World) -> None:
    world.deliver(TOPUPS, topups_csv())
    first = world.land(TOPUPS)
    world.deliver(TOPUPS, topups_csv(line=lambda i: topup_line(i, amount="7000")))
    second = world.land(TOPUPS)
    assert second.status == "landed"
    assert second.build_key != first.build_key
    assert {row["amount_usd_cents"] for row in world.rows(second)} == {735}
    assert world.lake.days("feeds/topups", "cl") == [DAY]


def test_changed_rate_builds_again_but_changed_description_does_not(world: World) -> None:
    world.deliver(TOPUPS, topups_csv())
    world.land(TOPUPS)
    described = TOPUPS.model_copy(update={"description": "other words"})
    assert world.land(described).status == "reused"
    richer = geography("cl").model_copy(update={"usd_per_unit": 0.002})
    outcome = world.land(TOPUPS, geography=richer)
    assert outcome.status == "landed"
    assert {row["amount_usd_cents"] for row in world.rows(outcome)} == {1000}


def test_missing_file(world: World) -> None:
    outcome = world.land(USAGE)
    assert outcome.status == "missing"
    assert "cl/usage_20260810.parquet" in outcome.findings[0]
    assert "within 30 hours" in outcome.findings[0]
    assert "remedy" in outcome.findings[0]


def bad_unit_table() -> pa.Table:
    return usage_table([usage_row(56900000001 + i, DATA_UNIT="MiB") for i in range(20)])


def reordered(rows: int = 20, **changes: object) -> pa.Table:
    return usage_table([usage_row(56900000001 + i, **changes) for i in range(rows)])


def as_parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    import pyarrow.parquet as pq

    pq.write_table(table, sink)
    return bytes(sink.getvalue())


RAGGED = topups_csv() + b"T21,56900000021,2026-08-10 15:00:00,5000\n" + topups_csv()[len(TOPUP_HEADER) :]
LATIN_1 = topups_csv() + "T21,56900000021,2026-08-10 15:00:00,5000,Ñ\n".encode("latin-1")
LATE_LATIN_1 = topups_csv(8000) + "T9999,56900000021,2026-08-10 15:00:00,5000,Ñ\n".encode("latin-1")
BAD_DELIVERIES = {
    "empty file": (USAGE, b"", ["usage_20260810.parquet", "empty (0 bytes)", "remedy"]),
    "empty csv": (TOPUPS, b"", ["topups_20260810.csv", "empty (0 bytes)"]),
    "truncated parquet": (
        USAGE,
        as_parquet(usage_table())[:-30],
        ["usage_20260810", "truncated", "have it delivered"],
    ),
    "damaged footer": (
        USAGE,
        as_parquet(usage_table())[:-200] + b"x" * 192 + as_parquet(usage_table())[-8:],
        ["usage_20260810", "footer is damaged"],
    ),
    "no parquet": (USAGE, topups_csv(), ["usage_20260810", "not a Parquet file", "format"]),
    "ragged row": (TOPUPS, RAGGED, ["topups_20260810.csv, line 22", "4 columns", "5 columns", "remedy"]),
    "wrong encoding": (TOPUPS, LATIN_1, ["topups_20260810.csv", "line 22 is not UTF-8", "export"]),
    "wrong encoding far down": (TOPUPS, LATE_LATIN_1, ["topups_20260810.csv, line 8002", "not UTF-8"]),
    "open quote": (TOPUPS, topups_csv() + b'T21,1,2026-08-10 15:00:00,5000,"APP\n', ["line 22", "quote"]),
    "open quote in a large file": (
        TOPUPS,
        topups_csv() + b'T21,1,2026-08-10 15:00:00,5000,"APP\n' + topups_csv(4000),
        ["topups_20260810.csv", "line 22", "quote is not closed"],
    ),
    "unknown column": (
        USAGE,
        usage_table([usage_row(1 + i, APP_FBX=1.0) for i in range(20)]),
        ["APP_FBX", "unknown", "nearest expected name is `APP_FB`"],
    ),
    "missing column": (
        USAGE,
        usage_table().drop_columns(["CALLS_ON"]),
        ["column CALLS_ON", "missing", "remedy"],
    ),
    "renamed column": (
        USAGE,
        usage_table().rename_columns([{"MSISDN": "MSISDN_"}.get(n, n) for n in usage_table().column_names]),
        ["column MSISDN", "is `MSISDN_` it?", "column MSISDN_"],
    ),
    "bad type": (
        USAGE,
        reordered(CALLS_ON=True),
        ["column CALLS_ON", "type is boolean", "integer for calls_onnet"],
    ),
    "no type of ours": (USAGE, reordered(CALLS_ON=[1]), ["column CALLS_ON", "unsupported", "integer"]),
    "too few rows": (USAGE, usage_table(count=9), ["9 rows", "at least 10 rows", "min_rows"]),
    "another month": (
        USAGE,
        reordered(EVENT_TS=utc("2026-07-10 15:00:00")),
        ["column EVENT_TS", "2026-07-10", "name says 2026-08-10", "rename"],
    ),
    "another month csv": (
        TOPUPS,
        topups_csv(line=lambda i: topup_line(i, at="2026-07-10 15:00:00")),
        ["column TOPUP_TS", "all its rows are of other days", "2026-07-10", "name says 2026-08-10"],
    ),
    "another month in a large csv": (
        TOPUPS,
        topups_csv(8000, line=lambda i: topup_line(i, at="2026-07-10 15:00:00")),
        ["column TOPUP_TS", "its first ", " rows, which were looked at, are all of other days", "2026-07-10"],
    ),
    "wrong unit": (
        USAGE,
        bad_unit_table(),
        ["20 of 20 rows", "DATA_UNIT: unknown unit", "GB, KB, MB", "first at row 1"],
    ),
    "unit changed silently": (
        USAGE,
        reordered(DATA_LOCAL_VOL=1.5 * 1024 * 1024 * 1024, DATA_UNIT="KB"),
        [],
    ),
    "beyond maximum": (
        USAGE,
        reordered(DATA_LOCAL_VOL=3e6),
        ["data_local_kb: above maximum", "at most 2e+09 KB"],
    ),
    "text in numbers": (
        TOPUPS,
        topups_csv(line=lambda i: topup_line(i, amount="5.000,00x".replace(",", "."))),
        ["amount_usd_cents: not a number"],
    ),
    "unknown codes": (
        TOPUPS,
        topups_csv(line=lambda i: topup_line(i, channel="FAX")),
        ["channel: unknown code", "one of APP, POS, WEB, USSD"],
    ),
    "mostly late": (
        USAGE,
        reordered(EVENT_TS=utc("2026-08-09 15:00:00")),
        ["20 are late", "10.0% of other days"],
    ),
    "header only": (USAGE, usage_table().slice(0, 0), ["0 rows", "at least 10"]),
    "column twice": (TOPUPS, topups_csv().replace(b"CHANNEL", b"AMOUNT"), ["twice", "AMOUNT"]),
    "no header": (TOPUPS, b"\n", ["no header line"]),
}
del BAD_DELIVERIES["unit changed silently"]  # plausibility of units is judged on history, not on one file


@pytest.mark.parametrize("name", BAD_DELIVERIES)
def test_bad_delivery_is_refused_with_reason_and_leaves_what_was_there(world: World, name: str) -> None:
    feed, content, expected = BAD_DELIVERIES[name]
    world.deliver(feed, usage_table() if feed is USAGE else topups_csv())
    good = world.land(feed)
    assert good.status == "landed"
    before = world.published_bytes(good.partition)
    world.deliver(feed, content)
    outcome = world.land(feed)
    text = "\n".join(outcome.findings)
    assert outcome.status == "refused"
    assert [part for part in expected if part not in text] == [], text
    assert "expected: " in text
    assert "remedy: " in text
    assert "56900000" not in text, "subscriber values do not belong in messages"
    assert outcome.manifest == good.manifest
    assert world.published_bytes(good.partition) == before
    leftovers = {p.name for p in world.lake.folder(good.partition).iterdir()} - set(before)
    assert leftovers == set()


def test_all_findings_are_reported_at_once(world: World) -> None:
    table = usage_table([usage_row(1 + i, EXTRA=1) for i in range(5)]).drop_columns(["CALLS_ON"])
    world.deliver(USAGE, table)
    findings = world.land(USAGE).findings
    assert [word for word in ("CALLS_ON", "EXTRA", "5 rows") if word not in "\n".join(findings)] == []
    assert len(findings) == 3


def test_too_large_a_file(world: World) -> None:
    world.deliver(USAGE, usage_table())
    outcome = world.land(USAGE.model_copy(update={"max_bytes": 100}))
    assert "at most 100 bytes" in outcome.findings[0]


def test_a_few_bad_rows_are_quarantined_with_reason(world: World) -> None:
    rows = [usage_row(56900000001 + i) for i in range(30)]
    rows[3]["DATA_UNIT"] = "MiB"
    rows[4]["MSISDN"] = "abc"
    rows[5]["EVENT_TS"] = utc("2026-08-12 15:00:00")
    rows[6]["CALLS_ON"] = -1
    rows[7]["APP_FB"] = None
    world.deliver(USAGE, usage_table(rows))
    outcome = world.land(USAGE)
    assert outcome.status == "landed"
    assert outcome.counts.quarantined == {
        "DATA_UNIT: unknown unit": 1,
        "subscriber_id: not a number": 1,
        "other_day": 1,
        "calls_onnet: below minimum": 1,
        "app_facebook_kb: missing": 1,
    }
    assert list(outcome.counts.quarantined) == sorted(
        outcome.counts.quarantined
    )  # as the manifest keeps them
    assert (outcome.counts.good, len(world.rows(outcome))) == (25, 25)
    quarantine = {row["source_row"]: row for row in world.rows(outcome, "quarantine")}
    assert quarantine[5]["reason"] == "subscriber_id: not a number"
    assert quarantine[5]["MSISDN"] == "abc"
    assert sorted(quarantine) == [4, 5, 6, 7, 8]


def test_csv_quarantine_names_the_row(world: World) -> None:
    world.deliver(TOPUPS, topups_csv(line=lambda i: topup_line(i, amount="x" if i == 7 else "5000")))
    outcome = world.land(TOPUPS)
    (bad,) = world.rows(outcome, "quarantine")
    assert (bad["source_row"], bad["AMOUNT"], bad["reason"]) == (7, "x", "amount_usd_cents: not a number")


def test_duplicates_keep_the_latest(world: World) -> None:
    rows = [usage_row(56900000001 + i) for i in range(20)]
    newer = usage_row(56900000001, INGEST_TS=utc("2026-08-10 17:00:00"), CALLS_ON=9)
    world.deliver(USAGE, usage_table([newer, *rows, rows[1]]))
    outcome = world.land(USAGE)
    assert (outcome.counts.duplicates, outcome.counts.good) == (2, 20)
    by_subscriber = {row["subscriber_id"]: row for row in world.rows(outcome)}
    assert by_subscriber[56900000001]["calls_onnet"] == 9
    assert by_subscriber[56900000002]["calls_onnet"] == 2


def test_a_bad_newer_duplicate_does_not_hide_the_good_one(world: World) -> None:
    rows = [usage_row(56900000001 + i) for i in range(20)]
    newer = usage_row(56900000001, INGEST_TS=utc("2026-08-10 17:00:00"), CALLS_ON=-9)
    world.deliver(USAGE, usage_table([*rows, newer]))
    outcome = world.land(USAGE)
    assert (outcome.counts.duplicates, outcome.counts.good, outcome.counts.quarantined_total) == (0, 20, 1)
    assert {row["calls_onnet"] for row in world.rows(outcome)} == {2}


def test_doubled_file_counts_as_duplicates(world: World) -> None:
    world.deliver(USAGE, pa.concat_tables([usage_table(), usage_table()]))
    outcome = world.land(USAGE)
    assert (outcome.counts.duplicates, outcome.counts.good) == (20, 20)


def test_empty_delivery_where_the_contract_allows_it(world: World) -> None:
    world.deliver(TOPUPS, TOPUP_HEADER.encode())
    outcome = world.land(TOPUPS)
    assert (outcome.status, outcome.counts.delivered, world.rows(outcome)) == ("landed", 0, [])


def test_platform_fault_is_raised(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.deliver(USAGE, usage_table())

    def fail(*_args: object, **_kwargs: object) -> None:
        raise EngineError("out of memory", kind="memory")

    monkeypatch.setattr(type(world.engine), "fetch", fail)
    with pytest.raises(EngineError):
        world.land(USAGE)
    assert world.lake.days("feeds/usage", "cl") == []


def test_snapshot_feed_has_one_partition_without_day(world: World) -> None:
    fields = TOPUPS.model_dump() | {"name": "shops", "cadence": "snapshot", "file_pattern": "shops.csv"}
    feed = type(TOPUPS).model_validate(fields | {"day_column": None, "late_days_max": 0, "geographies": {}})
    world.deliver(feed, topups_csv(), day=None)
    outcome = world.land(feed, day=None)
    assert outcome.status == "landed"
    assert outcome.partition.day is None
    assert len(world.rows(outcome)) == 20
