"""Deliveries that were made to hurt: refused in words, without a value of theirs in the message, nothing published."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import traceback
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import EngineError, StorageError
from mlops_assets.domain.feeds.delivered_file import (
    MOST_COLUMNS,
    read_csv_facts,
    read_parquet_facts,
    show_column,
)
from mlops_assets.domain.ports import ViewSource
from resources.duckdb_engine import DuckDbEngine
from resources.landing_zone import LocalLandingZone
from tests.unit.domain.feeds.conftest import (
    TOPUP_HEADER,
    World,
    contract,
    topups_csv,
    usage_row,
    usage_table,
)

TOPUPS, USAGE = contract("topups"), contract("usage")
PERSON = "56912345678"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, DuckDbEngine(1, "500MB", tmp_path / "spill", [tmp_path]))


def test_a_file_without_header_does_not_show_its_first_row(world: World) -> None:
    world.deliver(TOPUPS, f"T1,{PERSON},Juan Perez,5000,APP\n".encode() + topups_csv()[len(TOPUP_HEADER) :])
    outcome = world.land(TOPUPS)
    (finding,) = outcome.findings
    assert "its header line is missing" in finding
    assert PERSON not in finding
    assert "Juan" not in finding


def test_a_value_where_a_name_is_expected_is_not_shown(world: World) -> None:
    world.deliver(TOPUPS, topups_csv().replace(b"CHANNEL", PERSON.encode()))
    text = "\n".join(world.land(TOPUPS).findings)
    assert "(not shown: 11 characters" in text
    assert PERSON not in text
    world.deliver(TOPUPS, topups_csv().replace(b"CHANNEL\n", f"{PERSON},{PERSON},MSISDN\n".encode()))
    assert PERSON not in "\n".join(world.land(TOPUPS).findings)


@pytest.mark.parametrize("name", [PERSON, "a" * 64, "<b>", "a\nb", "\x1b[2J", "", "=1+1", "x12345", "`", "|"])
def test_what_is_no_plain_name_is_not_shown(name: str) -> None:
    assert show_column(name) == f"(not shown: {len(name)} characters that are no plain name)"


def test_thousands_of_columns_are_refused_in_one_line(world: World) -> None:
    world.deliver(TOPUPS, ",".join(f"C{number}" for number in range(20_000)).encode() + b"\n")
    (finding,) = world.land(TOPUPS).findings
    assert f"at most {MOST_COLUMNS} columns" in finding
    extra = "".join(f",C{number}" for number in range(500))
    world.deliver(TOPUPS, topups_csv().replace(b"CHANNEL\n", f"CHANNEL{extra}\n".encode()))
    findings = world.land(TOPUPS).findings
    assert len(findings) == 21
    assert "480 more columns are unknown" in findings[-1]


def test_more_rows_than_allowed_are_refused_before_they_are_read(world: World) -> None:
    world.deliver(USAGE, usage_table(count=11))
    (finding,) = world.land(USAGE.model_copy(update={"max_rows": 10})).findings
    assert "the file has 11 rows" in finding
    assert "at most 10 rows" in finding


@pytest.mark.parametrize("instant", [2**62, -(2**62)])
def test_instants_beyond_the_calendar_are_no_crash(world: World, instant: int) -> None:
    table = usage_table()
    odd = pa.array([instant] * table.num_rows, pa.int64()).cast(pa.timestamp("us"))
    world.deliver(USAGE, table.set_column(table.column_names.index("EVENT_TS"), "EVENT_TS", odd))
    assert world.land(USAGE).status == "refused"
    assert read_parquet_facts(world.path(USAGE)).ranges.get("EVENT_TS") is None


def test_an_instant_that_no_zone_can_hold_is_no_crash(world: World) -> None:
    text = b"0001-01-01T00:00:00+23:59"
    world.deliver(TOPUPS, topups_csv(line=lambda i: f"T{i},{PERSON},{text.decode()},5000,APP\n"))
    assert world.land(TOPUPS).status == "refused"


def test_a_nested_type_does_not_show_what_its_fields_are_called(world: World) -> None:
    rows = [usage_row(1 + i, CALLS_ON={PERSON: 1}) for i in range(20)]
    world.deliver(USAGE, usage_table(rows))
    text = "\n".join(world.land(USAGE).findings)
    assert "unsupported (struct)" in text
    assert PERSON not in text


def test_a_byte_order_mark_does_not_spoil_the_last_character_of_a_block(tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    for padding in range(4):
        path.write_bytes("\ufeffNAME\n".encode() + b"x" * padding + "ñé\n".encode() * 60_000)
        facts = read_csv_facts(path, ",")
        assert list(facts.columns) == ["NAME"]
        assert not facts.is_row_count_exact


def test_links_in_the_landing_zone_lead_nowhere(world: World, tmp_path: Path) -> None:
    secret = tmp_path / "outside" / TOPUPS.file_name(dt.date(2026, 8, 10))
    secret.parent.mkdir()
    secret.write_bytes(topups_csv())
    landing = tmp_path / "landing"
    (landing / "cl").mkdir(parents=True)
    (landing / "cl" / secret.name).symlink_to(secret)
    assert world.land(TOPUPS).status == "missing"
    (landing / "pe").symlink_to(secret.parent)
    zone = LocalLandingZone(landing)
    for look in (lambda: zone.find("pe", secret.name), lambda: zone.list("pe")):
        with pytest.raises(StorageError, match="is a link"):
            look()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("The CSV Parser state machine reached an invalid state.", "csv"),
        (
            'Invalid string encoding found in Parquet file "/x/y.parquet": value "5691\\xA034" is not valid',
            "encoding",
        ),
        ("Incorrect stats size for type DOUBLE", "truncated_file"),
    ],
)
def test_what_only_a_bad_file_can_cause_is_the_fault_of_the_delivery(
    world: World, monkeypatch: pytest.MonkeyPatch, said: str, kind: str
) -> None:
    """Each was met with a damaged file, at places that depend on the version of DuckDB."""

    def fail(*_: object) -> None:
        raise duckdb.InvalidInputException(f"Invalid Input Error: {said}")

    monkeypatch.setattr("resources.duckdb_engine.tables_to_register", fail)
    with pytest.raises(EngineError) as caught:
        world.engine.fetch("SELECT 1", {})
    assert caught.value.kind == kind
    assert "5691" not in str(caught.value)
    world.deliver(TOPUPS, topups_csv())
    assert world.land(TOPUPS).status == "refused"


def test_a_pipe_is_no_delivery(world: World) -> None:
    import os

    os.mkfifo(world.path(TOPUPS))
    assert world.land(TOPUPS).status == "missing"


def test_a_value_with_quotes_does_not_reach_a_message_nor_its_cause(world: World) -> None:
    for value in (f"it's {PERSON[:4]}", "12'34'56", "'1234", "12\n34"):
        with pytest.raises(EngineError) as caught:
            world.engine.fetch(
                "SELECT CAST(s AS INTEGER) FROM v", {"v": ViewSource(table=pa.table({"s": [value] * 30}))}
            )
        told = "".join(traceback.format_exception(caught.value))
        assert value not in told
        assert "1234" not in str(caught.value)
        assert PERSON[:4] not in told


def test_nothing_outside_is_reachable_from_a_statement(world: World) -> None:
    outside = world.root.parent / "outside.parquet"
    pq.write_table(pa.table({"a": [1]}), outside)
    statements = [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        f"SELECT * FROM '{outside}'",  # noqa: S608 - it is to be refused
        f"SELECT * FROM read_parquet('{world.root}/../outside.parquet')",  # noqa: S608
        "ATTACH '/etc/passwd' AS x",
        f"ATTACH '{outside}.db' AS x",
        f"COPY (SELECT 1) TO '{outside}.csv'",
        f"EXPORT DATABASE '{outside}.folder'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '/tmp/x.duckdb_extension'",
        "SELECT * FROM read_csv('https://example.invalid/x.csv')",
        "SET enable_external_access=true",
        "SET allowed_directories=['/']",
        "RESET lock_configuration",
        "SET temp_directory='/etc'",
        "SET home_directory='/etc'",
        "SET custom_extension_repository='http://example.invalid'",
        "PRAGMA enable_profiling",
        "SELECT getenv('HOME')",
    ]
    allowed = [statement for statement in statements if not _is_refused(world.engine, statement)]
    assert allowed == []
    assert sorted(path.name for path in outside.parent.iterdir() if path.name.startswith("outside")) == [
        outside.name
    ]


def _is_refused(engine: DuckDbEngine, statement: str) -> bool:
    try:
        engine.fetch(statement, {})
    except EngineError:
        return True
    return False


def test_no_damaged_footer_ends_the_process(tmp_path: Path) -> None:
    """Arrow aborts where types or statistics of a footer contradict each other; a run must say what is wrong."""
    path, columns = (
        tmp_path / "damaged.parquet",
        {"share": [1.0, None], "is_new": [True, False], "name": ["x", "y"]},
    )
    pq.write_table(pa.table(columns), path, compression="none")
    done = subprocess.run(
        [sys.executable, "-c", _READ_DAMAGED, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    refused, read = map(int, done.stdout.split())
    assert refused > 100
    assert read > 20


_READ_DAMAGED = """
import struct, sys
from pathlib import Path
from mlops_assets.domain.feeds.delivered_file import UnreadableFileError, read_parquet_facts
path = Path(sys.argv[1])
whole = path.read_bytes()
length = struct.unpack("<I", whole[-8:-4])[0]
refused = read = 0
for place in range(len(whole) - 8 - length, len(whole) - 8):
    damaged = bytearray(whole)
    damaged[place] ^= 0x0A
    path.write_bytes(damaged)
    try:
        read_parquet_facts(path)
        read += 1
    except UnreadableFileError:
        refused += 1
print(refused, read)
"""
