"""The ledger on PostgreSQL: the contract, competition, sudden death, tampering, a database that is away."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_assets.domain.errors import StaleChampionError, StorageError
from resources.postgres_stores import PostgresPromotionLedger
from tests.integration.cloud.contracts import contract_of
from tests.integration.cloud.postgres_server import PASSWORD, PostgresServer
from tests.unit.resources import test_ledger_contract
from tests.unit.resources.ledger_writer import SLOT, make_entry

if TYPE_CHECKING:
    from sqlalchemy import URL

pytestmark = pytest.mark.integration
globals().update(contract_of(test_ledger_contract))

PROJECT = Path(__file__).parents[3]
PROMOTER = [sys.executable, "-m", "tests.integration.cloud.postgres_promoter"]
# What `record` runs in its transaction: look for the id, read the pointer and the champion, last row, insert, point.
STATEMENTS = 6


@pytest.fixture
def ledger(address: Callable[[], URL]) -> PostgresPromotionLedger:
    return PostgresPromotionLedger(address, lock_timeout_s=30.0, patience_s=2.0)


def text(address: Callable[[], URL]) -> str:
    return address().render_as_string(hide_password=False)


def test_reading_creates_nothing(
    ledger: PostgresPromotionLedger, postgres: PostgresServer, database: str
) -> None:
    assert ledger.champion(SLOT) is None
    assert ledger.slots() == []
    assert ledger.verify() == 0
    postgres.run_sql("CREATE SCHEMA promotion_ledger", database=database)  # fails if there is one


@pytest.mark.slow
def test_of_32_processes_one_wins(ledger: PostgresPromotionLedger, address: Callable[[], URL]) -> None:
    command = [*PROMOTER, text(address), "once"]
    workers = [
        subprocess.Popen(
            [*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT
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


def test_of_32_threads_one_wins_at_a_standing_ledger(ledger: PostgresPromotionLedger) -> None:
    ledger.record(make_entry("100", None))
    barrier = threading.Barrier(32)

    def promote(worker: int) -> str:
        barrier.wait()
        try:
            ledger.record(make_entry(str(worker), "100"))
        except StaleChampionError:
            return "stale"
        return "won"

    with ThreadPoolExecutor(32) as pool:
        outcomes = list(pool.map(promote, range(1, 33)))
    assert sorted(outcomes) == ["stale"] * 31 + ["won"]
    assert ledger.verify() == 2


@pytest.mark.parametrize("statement", range(STATEMENTS + 1))
def test_a_promoter_killed_at_any_step_leaves_all_or_nothing(
    ledger: PostgresPromotionLedger, address: Callable[[], URL], statement: int
) -> None:
    ledger.record(make_entry("1", None))
    command = [*PROMOTER, text(address), "die", str(statement)]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=60, check=False)
    is_recorded = statement == STATEMENTS
    assert (answer.returncode == 0, answer.stdout) == (is_recorded, "recorded\n" if is_recorded else "")
    assert ledger.verify() == 1 + is_recorded
    # Whoever does not know how it ended repeats it, and it is there once.
    assert ledger.record(make_entry("2", "1")).version == "2"
    assert ledger.verify() == 2


def test_a_commit_whose_answer_is_lost_can_be_repeated(
    ledger: PostgresPromotionLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import Connection
    from sqlalchemy.exc import OperationalError

    ledger.record(make_entry("1", None))
    commit = Connection.commit

    def commit_unheard(connection: Connection) -> None:
        commit(connection)
        raise OperationalError("COMMIT", None, Exception("server closed the connection unexpectedly"))

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "commit", commit_unheard)
        with pytest.raises(StorageError, match="cannot be reached") as caught:
            ledger.record(make_entry("2", "1"))
    assert caught.value.is_retryable
    assert ledger.record(make_entry("2", "1")).version == "2"
    assert ledger.verify() == 2


def test_a_transaction_that_was_rolled_back_leaves_no_gap(ledger: PostgresPromotionLedger) -> None:
    ledger.record(make_entry("1", None))

    class Interrupted(PostgresPromotionLedger):
        def _append(self, *arguments: object) -> None:  # type: ignore[override]
            super()._append(*arguments)  # type: ignore[arg-type]
            raise KeyboardInterrupt

    interrupted = Interrupted(ledger._database.address)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        interrupted.record(make_entry("2", "1"))
    assert ledger.verify() == 1
    ledger.record(make_entry("3", "1"))
    assert ledger.verify() == 2


def test_rows_cannot_be_edited_or_deleted(
    ledger: PostgresPromotionLedger, postgres: PostgresServer, database: str
) -> None:
    from sqlalchemy.exc import DBAPIError

    ledger.record(make_entry("1", None))
    for statement in (
        "UPDATE promotion_ledger.decision SET outcome = 'rejected'",
        "DELETE FROM promotion_ledger.decision",
        "TRUNCATE promotion_ledger.decision CASCADE",
        "DELETE FROM promotion_ledger.champion",
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            postgres.run_sql(statement, database=database)
    assert ledger.verify() == 1


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
def test_tampering_is_noticed(
    ledger: PostgresPromotionLedger, postgres: PostgresServer, database: str, statement: str, message: str
) -> None:
    ledger.record(make_entry("1", None))
    ledger.record(make_entry("2", "1"))
    postgres.run_sql(
        "SET search_path = promotion_ledger",
        "SET session_replication_role = replica",  # triggers and references out of the way
        statement,
        database=database,
    )
    with pytest.raises(StorageError, match=message) as caught:
        ledger.verify()
    assert "restore the schema" in str(caught.value)
    assert not caught.value.is_retryable


def test_tables_of_another_release_are_refused(
    ledger: PostgresPromotionLedger, postgres: PostgresServer, database: str
) -> None:
    ledger.record(make_entry("1", None))
    postgres.run_sql("UPDATE promotion_ledger.store_version SET version = 99", database=database)
    for call in (lambda: ledger.champion(SLOT), lambda: ledger.record(make_entry("2", "1"))):
        with pytest.raises(StorageError, match="schema version 99"):
            call()


def test_a_held_lock_is_reported_as_such(address: Callable[[], URL], ledger: PostgresPromotionLedger) -> None:
    ledger.record(make_entry("1", None))
    hurried = PostgresPromotionLedger(address, lock_timeout_s=0.1)
    with ledger._database.writing():
        with pytest.raises(StorageError, match="stayed locked") as caught:
            hurried.record(make_entry("2", "1"))
        assert caught.value.is_retryable
        champion = hurried.champion(SLOT)  # readers are not kept waiting
    assert champion is not None
    assert hurried.record(make_entry("2", "1")).version == "2"


def test_a_server_that_is_not_there_or_refuses_says_so_without_the_password(
    postgres: PostgresServer, address: Callable[[], URL]
) -> None:
    for url, message, is_retryable in (
        (address().set(port=1), "cannot be reached", True),
        (address().set(password="wrong"), "does not let us in", False),  # noqa: S106
        (address().set(database="absent"), "does not let us in", False),
    ):
        ledger = PostgresPromotionLedger(lambda url=url: url, patience_s=0.0)  # type: ignore[misc]
        with pytest.raises(StorageError, match=message) as caught:
            ledger.champion(SLOT)
        assert caught.value.is_retryable is is_retryable
        assert PASSWORD not in str(caught.value)
    assert str(postgres.port) not in PASSWORD


@pytest.mark.slow
def test_a_database_that_is_away_for_five_seconds_loses_nothing() -> None:
    server = PostgresServer.create()
    try:
        server.start()
        name = server.create_database()
        ledger = PostgresPromotionLedger(lambda: server.url(name), patience_s=30.0)
        ledger.record(make_entry("1", None))
        server.stop("immediate")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(ledger.record, make_entry("2", "1"))
            time.sleep(5.0)
            server.start()
            assert waiting.result(timeout=60).version == "2"
        assert ledger.verify() == 2
    finally:
        server.destroy()
