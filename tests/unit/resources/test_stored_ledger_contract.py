"""What a ledger promises because it is stored: competition, damage, locks, releases; beside test_ledger_contract."""

from __future__ import annotations

import datetime as dt
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from mlops_assets.domain.errors import RegistryError, StaleChampionError, StorageError
from resources.promotion_ledger import SqlitePromotionLedger
from resources.stored_ledger import StoredPromotionLedger
from tests.unit.resources.ledger_writer import SLOT, make_entry

PROJECT = Path(__file__).parents[3]
TRIGGERS = ("decision_never_changes", "decision_never_goes", "champion_never_goes")


class LedgerAtHand(Protocol):
    """A ledger, and what a test does behind its back."""

    @property
    def ledger(self) -> StoredPromotionLedger:
        """Return the ledger."""
        ...

    @property
    def remedy(self) -> str:
        """Return words of what to do about damage."""
        ...

    def hurried(self) -> StoredPromotionLedger:
        """Return the same ledger, that waits for no lock."""
        ...

    def is_refused(self, statement: str) -> bool:
        """Run a statement as somebody with a shell would; say whether the database refuses it."""
        ...

    def tamper(self, statement: str) -> None:
        """Run a statement with triggers and references out of the way."""
        ...

    def set_schema_version(self, version: int) -> None:
        """Let the tables say that they are of another release."""
        ...


class LedgerFile:
    """A ledger in a file."""

    remedy = "copy of this file back"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = SqlitePromotionLedger(path, busy_timeout_s=30.0)

    def hurried(self) -> SqlitePromotionLedger:
        """Return the same ledger, that waits for no lock."""
        return SqlitePromotionLedger(self.path, busy_timeout_s=0.05)

    def is_refused(self, statement: str) -> bool:
        """Run a statement; say whether SQLite refuses it."""
        with closing(sqlite3.connect(self.path)) as connection:
            try:
                connection.execute(statement)
            except sqlite3.IntegrityError:
                return True
            return False

    def tamper(self, statement: str) -> None:
        """Run a statement without triggers."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for trigger in TRIGGERS:
                connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
            connection.execute(statement)

    def set_schema_version(self, version: int) -> None:
        """Let the file say that it is of another release."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(f"PRAGMA user_version = {version:d}")


@pytest.fixture
def stored(tmp_path: Path) -> LedgerAtHand:
    return LedgerFile(tmp_path / "state" / "ledger.db")


def test_reading_creates_nothing(stored: LedgerAtHand) -> None:
    ledger = stored.ledger
    assert ledger.champion(SLOT) is None
    assert ledger.history(SLOT) == []
    assert ledger.histories(SLOT.use_case, SLOT.model) == {}
    assert ledger.slots() == []
    assert ledger.verify() == 0
    assert not ledger._database.exists()


@pytest.mark.parametrize("champion", [None, "100"])
def test_of_32_threads_one_wins(stored: LedgerAtHand, champion: str | None) -> None:
    ledger, barrier = stored.ledger, threading.Barrier(32)
    if champion:
        ledger.record(make_entry(champion, None))

    def promote(worker: int) -> str:
        barrier.wait()
        try:
            ledger.record(make_entry(str(worker), champion))
        except StaleChampionError:
            return "stale"
        return "won"

    with ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(promote, range(1, 33)))
    assert sorted(outcomes) == ["stale"] * 31 + ["won"]
    assert ledger.verify() == (2 if champion else 1)
    winner = ledger.champion(SLOT)
    assert winner is not None
    assert outcomes[int(winner.version) - 1] == "won"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outcome": "approved"}, "unknown"),
        ({"decided_at_utc": dt.datetime(2024, 3, 1)}, "no time zone"),  # noqa: DTZ001
        ({"evidence": {"gain": float("nan")}}, "not JSON"),
        ({"evidence": {"gain": object()}}, "not JSON"),
        ({"decision_id": ""}, "no decision id"),
    ],
)
def test_unstorable_entries_leave_no_trace(
    stored: LedgerAtHand, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RegistryError, match=message):
        stored.ledger.record(make_entry("1", None, **changes))
    assert not stored.ledger._database.exists()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE decision SET outcome = 'rejected'", "DELETE FROM decision", "DELETE FROM champion"],
)
def test_rows_cannot_be_edited_or_deleted(stored: LedgerAtHand, statement: str) -> None:
    entry = stored.ledger.record(make_entry("1", None))
    assert stored.is_refused(statement)
    assert stored.ledger.history(SLOT) == [entry]
    assert stored.ledger.verify() == 1


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE decision SET content = replace(content, '0.81', '0.99') WHERE sequence = 2", "its hash"),
        ("UPDATE decision SET segment = 'pe' WHERE sequence = 1", "contradicts its content"),
        ("DELETE FROM decision WHERE sequence = 1", "row 1 is missing"),
        ("UPDATE champion SET sequence = 1", "pointer of churn.churn_30d.cl is not the last promotion"),
        ("DELETE FROM champion", "pointer of churn.churn_30d.cl is not the last promotion"),
    ],
)
def test_tampering_is_noticed(stored: LedgerAtHand, statement: str, message: str) -> None:
    stored.ledger.record(make_entry("1", None))
    stored.ledger.record(make_entry("2", "1"))
    stored.tamper(statement)
    with pytest.raises(StorageError, match=message) as caught:
        stored.ledger.verify()
    assert stored.ledger._database.where in str(caught.value)
    assert stored.remedy in str(caught.value)
    assert not caught.value.is_retryable


def test_a_damaged_champion_is_not_served_nor_replaced(stored: LedgerAtHand) -> None:
    stored.ledger.record(make_entry("1", None))
    stored.tamper("UPDATE decision SET content = replace(content, 'gate', 'boss')")
    for call in (lambda: stored.ledger.champion(SLOT), lambda: stored.ledger.record(make_entry("2", "1"))):
        with pytest.raises(StorageError, match="cannot be trusted"):
            call()


def test_tables_of_another_release_are_refused(stored: LedgerAtHand) -> None:
    stored.ledger.record(make_entry("1", None))
    stored.set_schema_version(99)
    for call in (lambda: stored.ledger.champion(SLOT), lambda: stored.ledger.record(make_entry("2", "1"))):
        with pytest.raises(StorageError, match="schema version 99") as caught:
            call()
        assert not caught.value.is_retryable


def test_a_held_lock_is_reported_as_such(stored: LedgerAtHand) -> None:
    stored.ledger.record(make_entry("1", None))
    hurried = stored.hurried()
    with stored.ledger._database.writing():
        with pytest.raises(StorageError, match="stayed locked") as caught:
            hurried.record(make_entry("2", "1"))
        assert caught.value.is_retryable
        champion = hurried.champion(SLOT)  # readers are not kept waiting
    assert champion is not None
    assert champion.version == "1"
    assert hurried.record(make_entry("2", "1")).version == "2"


def let_processes_compete(ledger: StoredPromotionLedger, command: Sequence[str]) -> None:
    """Let 32 processes try to become the first champion: one wins, 31 are told so."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", *command, "once", str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        for number in range(1, 33)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = [worker.communicate(timeout=120)[0].strip() for worker in workers]
    assert sorted(answers) == ["stale"] * 31 + ["won"]
    assert ledger.verify() == 1
    champion = ledger.champion(SLOT)
    assert champion is not None
    assert answers[int(champion.version) - 1] == "won"
