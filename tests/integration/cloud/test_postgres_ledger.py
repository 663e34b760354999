"""The ledger on PostgreSQL: the contracts, sudden death, a database that is away."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import DBAPIError

from mlops_assets.domain.errors import StorageError
from resources.postgres_stores import PostgresPromotionLedger
from tests.integration.cloud.contracts import contract_of
from tests.integration.cloud.postgres_server import PASSWORD, PostgresServer
from tests.unit.resources import test_ledger_contract, test_stored_ledger_contract
from tests.unit.resources.ledger_writer import SLOT, make_entry
from tests.unit.resources.test_stored_ledger_contract import PROJECT, let_processes_compete

if TYPE_CHECKING:
    from sqlalchemy import URL

pytestmark = pytest.mark.integration
globals().update(contract_of(test_ledger_contract) | contract_of(test_stored_ledger_contract))

PROMOTER = "tests.integration.cloud.postgres_promoter"
# What `record` runs in its transaction: look for the id, read the pointer and the champion, last row, insert, point.
STATEMENTS = 6


@pytest.fixture
def ledger(address: Callable[[], URL]) -> PostgresPromotionLedger:
    return PostgresPromotionLedger(address, lock_timeout_s=30.0, patience_s=2.0)


class LedgerOnServer:
    """A ledger in a database, as the contract of stored ones sees it."""

    remedy = "restore the schema"

    def __init__(self, ledger: PostgresPromotionLedger, server: PostgresServer, database: str) -> None:
        self.ledger, self._server, self._database = ledger, server, database

    def hurried(self) -> PostgresPromotionLedger:
        """Return the same ledger, that waits for no lock."""
        return PostgresPromotionLedger(lambda: self._server.url(self._database), lock_timeout_s=0.1)

    def is_refused(self, statement: str) -> bool:
        """Run a statement; say whether a trigger refuses it."""
        try:
            self._run(statement)
        except DBAPIError as error:
            return "append-only" in str(error)
        return False

    def tamper(self, statement: str) -> None:
        """Run a statement without triggers and references."""
        self._run("SET session_replication_role = replica", statement)

    def set_schema_version(self, version: int) -> None:
        """Let the tables say that they are of another release."""
        self._run(f"UPDATE store_version SET version = {version:d}")  # noqa: S608 - a number

    def _run(self, *statements: str) -> None:
        self._server.run_sql("SET search_path = promotion_ledger", *statements, database=self._database)


@pytest.fixture
def stored(ledger: PostgresPromotionLedger, postgres: PostgresServer, database: str) -> LedgerOnServer:
    return LedgerOnServer(ledger, postgres, database)


def text(address: Callable[[], URL]) -> str:
    return address().render_as_string(hide_password=False)


@pytest.mark.slow
def test_of_32_processes_one_wins(ledger: PostgresPromotionLedger, address: Callable[[], URL]) -> None:
    let_processes_compete(ledger, [PROMOTER, text(address)])


def test_all_decisions_cannot_go_at_once(stored: LedgerOnServer) -> None:
    stored.ledger.record(make_entry("1", None))
    assert stored.is_refused("TRUNCATE decision CASCADE")
    assert stored.ledger.verify() == 1


@pytest.mark.parametrize("statement", range(STATEMENTS + 1))
def test_a_promoter_killed_at_any_step_leaves_all_or_nothing(
    ledger: PostgresPromotionLedger, address: Callable[[], URL], statement: int
) -> None:
    ledger.record(make_entry("1", None))
    command = [sys.executable, "-m", PROMOTER, text(address), "die", str(statement)]
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
