"""Locks over PostgreSQL: one holder, a name for it, and a loss that is noticed; and migrations under such a lock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project
from mlops_assets.domain.errors import StorageError
from resources.leader import Leadership
from resources.migration import migrate_stores
from resources.process_lock import PostgresLock, open_lock
from tests.integration.cloud.cloud_operator import ENVIRONMENT, PASSWORD_VARIABLE, write_environment
from tests.integration.cloud.contracts import contract_of
from tests.integration.cloud.postgres_server import PASSWORD, PostgresServer
from tests.integration.small_operator import copy_configs
from tests.unit.resources import test_process_lock_contract

if TYPE_CHECKING:
    from sqlalchemy import URL

pytestmark = pytest.mark.integration
globals().update(contract_of(test_process_lock_contract))

STORES = ["promotion ledger", "mail outbox", "feed releases", "model registry", "history of Dagster"]


@pytest.fixture
def make_lock(address: Callable[[], URL]) -> Callable[[str], PostgresLock]:
    return lambda name: PostgresLock(address, name)


def test_a_session_that_is_ended_loses_the_lock(
    address: Callable[[], URL], postgres: PostgresServer, database: str
) -> None:
    lock, next_one, lost = PostgresLock(address, "daemon"), PostgresLock(address, "daemon"), threading.Event()
    leadership = Leadership(lock, take_over_s=0.0, lost_after_s=5.0, poll_s=0.05, on_loss=lost.set)
    leadership.wait()
    postgres.run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        database=database,
    )
    assert lost.wait(10)
    assert next_one.try_acquire()
    assert not lock.is_held()
    next_one.release()


def test_a_server_that_is_not_there_is_said() -> None:
    from sqlalchemy import URL

    nowhere = URL.create("postgresql+psycopg2", "mlops", "secret-word", "127.0.0.1", 1, "mlops")
    lock = PostgresLock(lambda: nowhere, "daemon")
    with pytest.raises(StorageError, match="cannot be asked for") as found:
        lock.try_acquire()
    assert found.value.is_retryable
    assert "secret-word" not in str(found.value)
    assert lock.holder() == ""


def test_what_waiting_cannot_mend_is_no_reason_to_wait(address: Callable[[], URL]) -> None:
    for wrong in (address().set(password="wrong"), address().set(database="absent")):  # noqa: S106
        with pytest.raises(StorageError, match="cannot be asked for") as found:
            PostgresLock(lambda url=wrong: url, "daemon").try_acquire()  # type: ignore[misc]
        assert not found.value.is_retryable
        assert PASSWORD not in str(found.value)


@pytest.fixture
def workspace(tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An environment on an empty server."""
    configs = copy_configs(tmp_path / "configs")
    write_environment(configs, postgres, "a-bucket")
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    return Workspace.of_one_process(tmp_path / "home", load_project([configs], ENVIRONMENT))


def migrate(workspace: Workspace) -> list[str]:
    """Migrate as the command does."""
    lock = open_lock(workspace.config.environment, workspace.home, "migrate")
    return list(migrate_stores(workspace.platform, workspace.open_instance, lock))


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_migration_creates_everything_once(workspace: Workspace) -> None:
    first, second = migrate(workspace), migrate(workspace)
    assert [line.partition(":")[0] for line in first] == STORES
    assert [line.partition(": ")[2] for line in first[:3]] == ["created"] * 3
    assert [line.partition(": ")[2] for line in second[:3]] == ["up to date"] * 3
    assert "up to date" in second[-1]
    assert workspace.platform.ledger.verify() == 0  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_migration_waits_for_another_one_and_then_gives_up(workspace: Workspace) -> None:
    environment = workspace.config.environment
    holder, waiting = (open_lock(environment, workspace.home, "migrate") for _ in range(2))
    assert holder.try_acquire()
    with pytest.raises(StorageError, match="another migration has not ended"):
        list(migrate_stores(workspace.platform, workspace.open_instance, waiting, wait_s=0.1))
    assert not workspace.platform.ledger._database.exists(), "nothing was done"  # type: ignore[attr-defined]
    holder.release()
