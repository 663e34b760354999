"""The model registry on PostgreSQL, its files in a bucket: the contract, first use by many, no password shown."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_assets.domain.errors import RegistryError, StorageError
from resources.mlflow_registry import MlflowRegistry
from resources.store_inspection import registry_schema
from tests.integration.cloud.contracts import contract_of
from tests.integration.cloud.postgres_server import PASSWORD
from tests.integration.registry import test_registry_contract
from tests.integration.registry.older_store import make_older_store
from tests.integration.registry.test_registry_contract import NAME, bundle  # noqa: F401 - a fixture

if TYPE_CHECKING:
    from sqlalchemy import URL

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,  # MLflow makes its tables anew for each test
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
globals().update(contract_of(test_registry_contract))
# Of the short cut that only a SQLite store has.
del globals()["test_one_transaction_leaves_what_single_calls_leave"]

PROJECT = Path(__file__).parents[3]
OPEN = """
import sys
from sqlalchemy import make_url
from resources.mlflow_registry import MlflowRegistry
MlflowRegistry(lambda: make_url(sys.argv[1]), sys.argv[2]).open()
"""


@pytest.fixture
def registry(
    address: Callable[[], URL], bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> MlflowRegistry:
    monkeypatch.chdir(tmp_path)
    return MlflowRegistry(address, f"gs://{bucket}/mlflow/artifacts")


def test_nothing_is_left_in_the_working_folder(registry: MlflowRegistry, tmp_path: Path) -> None:
    registry.open()
    assert list(tmp_path.iterdir()) == []


def test_many_processes_may_use_a_fresh_database_at_once(address: Callable[[], URL], bucket: str) -> None:
    url = address().render_as_string(hide_password=False)
    command = [sys.executable, "-c", OPEN, url, f"gs://{bucket}/artifacts"]
    workers = [
        subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
        for _ in range(3)
    ]
    for worker in workers:
        _, error = worker.communicate(timeout=300)
        assert (worker.returncode, error) == (0, "")


def test_a_migration_upgrades_an_older_database(
    address: Callable[[], URL], bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow itself upgrades one that lacks tables, and refuses one that has them all in an older form."""

    def revisions() -> tuple[str | None, str]:
        found = registry_schema(url)
        assert found is not None
        return found

    url = address().render_as_string(hide_password=False)
    revision = make_older_store(url)
    registry = MlflowRegistry(address, f"gs://{bucket}/artifacts")
    monkeypatch.setattr("mlflow.store.db.utils._all_tables_exist", lambda _: True)
    with pytest.raises(RegistryError, match="out-of-date"):
        registry.open()
    assert revisions()[0] == revision, "others may still use it"
    for _ in range(2):
        registry.prepare()
        assert revisions()[0] == revisions()[1] != revision
    with registry.run("churn", "first", {}) as run:
        assert run.run_id


def test_the_password_is_in_no_message(address: Callable[[], URL]) -> None:
    for wrong, is_retryable in ({"port": 1}, True), ({"password": "wrong"}, False):
        absent = MlflowRegistry(lambda wrong=wrong: address().set(**wrong), "gs://nowhere/x")
        with pytest.raises(StorageError, match="cannot be reached") as caught:
            absent.open()
        assert caught.value.is_retryable is is_retryable
    there = MlflowRegistry(address, "gs://nowhere/x")
    with pytest.raises(RegistryError) as unknown:
        there.version(NAME, "1")
    for error in (caught.value, unknown.value):
        assert PASSWORD not in str(error)
        assert "p%40ss" not in str(error)
