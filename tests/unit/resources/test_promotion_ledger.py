"""The ledger in a SQLite file: what befalls a file, sudden death, an older release; beside the contracts."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mlops_assets.domain.errors import PlatformError, StaleChampionError, StorageError
from resources.promotion_ledger import SqlitePromotionLedger
from tests.unit.resources.ledger_writer import SLOT, make_entry
from tests.unit.resources.test_stored_ledger_contract import PROJECT, let_processes_compete

WRITER = [sys.executable, "-m", "tests.unit.resources.ledger_writer"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> SqlitePromotionLedger:
    return SqlitePromotionLedger(path, busy_timeout_s=30.0)


def test_of_32_processes_one_wins(ledger: SqlitePromotionLedger, path: Path) -> None:
    let_processes_compete(ledger, ["tests.unit.resources.ledger_writer", str(path)])


def test_killed_writer_loses_nothing_and_leaves_nothing_half(
    ledger: SqlitePromotionLedger, path: Path
) -> None:
    moments = random.Random(7)  # noqa: S311 - when to kill is no secret
    recorded: list[str] = []
    for _ in range(20):
        writer = subprocess.Popen(
            [*WRITER, str(path), "loop"], stdout=subprocess.PIPE, text=True, cwd=PROJECT
        )
        assert writer.stdout is not None
        recorded.append(writer.stdout.readline().strip())
        time.sleep(moments.uniform(0.0, 0.03))
        writer.kill()
        recorded += writer.communicate()[0].split()
        # verify: SQLite's integrity, the hash chain, succession, pointer == last promotion.
        decisions = ledger.verify()
        versions = [entry.version for entry in ledger.history(SLOT)]
        champion = ledger.champion(SLOT)
        assert champion is not None
        assert champion.version == versions[-1]
        assert versions == [str(number) for number in range(1, decisions + 1)]
        assert set(recorded) <= set(versions)
    assert len(recorded) > 20


def test_stale_message_says_what_to_do(ledger: SqlitePromotionLedger) -> None:
    ledger.record(make_entry("1", None))
    ledger.record(make_entry("2", "1"))
    with pytest.raises(StaleChampionError) as caught:
        ledger.record(make_entry("3", "1"))
    assert str(caught.value) == (
        "version 3 was compared with version 1, but the champion is version 2 since 2024-03-01 12:00:00 UTC; "
        "where: churn.churn_30d.cl, decision churn.churn_30d.cl:3; "
        "expected: the champion to be version 1 still; "
        "remedy: evaluate the challenger against the current champion and decide again"
    )


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_a_file_cut_short_is_refused(ledger: SqlitePromotionLedger, path: Path, share: float) -> None:
    for number in range(1, 40):
        ledger.record(make_entry(str(number), str(number - 1) if number > 1 else None))
    cut = path.read_bytes()[: int(path.stat().st_size * share)]
    path.write_bytes(cut)
    for call in (ledger.verify, lambda: ledger.record(make_entry("40", "39"))):
        with pytest.raises(StorageError, match="cannot be trusted"):
            call()
    assert path.read_bytes() == cut


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to look at" * 10])
def test_a_foreign_or_emptied_file_is_refused(
    ledger: SqlitePromotionLedger, path: Path, content: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    for call in (lambda: ledger.champion(SLOT), lambda: ledger.record(make_entry("1", None))):
        with pytest.raises(StorageError, match="cannot be trusted"):
            call()
    assert path.read_bytes() == content


def test_flipped_bytes_are_noticed(ledger: SqlitePromotionLedger, path: Path) -> None:
    for number in range(1, 40):
        ledger.record(make_entry(str(number), str(number - 1) if number > 1 else None))
    content = bytearray(path.read_bytes())
    place = bytes(content).index(b'"decided_by":"gate"') + 15
    content[place] ^= 0x04
    path.write_bytes(bytes(content))
    with pytest.raises(StorageError, match="cannot be trusted"):
        ledger.verify()


def test_a_ledger_of_version_1_is_read_as_it_is_and_migrated_by_the_next_decision(path: Path) -> None:
    ledger = old_ledger(path)
    before, content = ledger.history(SLOT), path.read_bytes()
    assert [entry.version for entry in before] == ["1", "2", "3"]
    assert ledger.verify() == 3
    assert path.read_bytes() == content, "reading writes nothing"
    pending = ledger.record(make_entry("4", "3", outcome="pending"))
    assert ledger.history(SLOT) == [*before, pending]
    assert ledger.verify() == 4
    assert schema_of(path) == (2, schema_of(fresh_ledger(path.with_name("fresh.db")))[1])
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("DELETE FROM decision")


def test_of_many_processes_one_migrates(path: Path) -> None:
    ledger = old_ledger(path)
    barrier = threading.Barrier(8)

    def reject(number: int) -> None:
        barrier.wait()
        ledger.record(make_entry(str(number), "3", outcome="rejected"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(reject, range(10, 18)))
    assert ledger.verify() == 11


def test_a_damaged_old_ledger_stays_what_it_is(path: Path) -> None:
    ledger = old_ledger(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP VIEW linked_decision")
    with pytest.raises(StorageError, match="cannot be trusted"):
        ledger.record(make_entry("4", "3"))
    assert schema_of(path)[0] == 1


def fresh_ledger(path: Path) -> Path:
    """Make a ledger of the present schema and return its file."""
    SqlitePromotionLedger(path).record(make_entry("1", None))
    return path


def schema_of(path: Path) -> tuple[int, set[tuple[str, str]]]:
    """Return a ledger's schema version and the kinds and names of what it is made of."""
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        objects = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        return version, set(objects)


def old_ledger(path: Path) -> SqlitePromotionLedger:
    """Return three decisions in a file as release 0.1 made it: the outcome has a CHECK, the version is 1."""
    ledger = SqlitePromotionLedger(path)
    for number in (1, 2, 3):
        ledger.record(make_entry(str(number), str(number - 1) if number > 1 else None))
    with closing(sqlite3.connect(path)) as connection, connection:
        (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'decision'").fetchone()
        old = made.replace(
            "outcome TEXT NOT NULL", "outcome TEXT NOT NULL CHECK (outcome IN ('promoted', 'rejected'))"
        )
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'decision'", (old,))
        connection.execute("PRAGMA user_version = 1")
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        connection.execute(
            "INSERT INTO decision (decision_id, use_case, model, segment, outcome, content, chain_sha256) "
            "VALUES ('x', 'x', 'x', 'x', 'pending', 'x', 'x')"
        )
    return ledger


def test_every_error_is_a_platform_error() -> None:
    assert issubclass(StaleChampionError, PlatformError)
