"""`mlops deploy check` over bucket and server: what the smoke job of a release asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.commands.deploy_check import ask_parts
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project
from tests.integration.cloud.cloud_operator import ENVIRONMENT, PASSWORD_VARIABLE, write_environment
from tests.integration.cloud.postgres_server import PASSWORD, PostgresServer
from tests.integration.small_operator import copy_configs
from tests.unit.resources.ledger_writer import SLOT, make_entry

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]


@pytest.fixture
def workspace(
    tmp_path: Path, postgres: PostgresServer, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    configs = copy_configs(tmp_path / "configs")
    write_environment(configs, postgres, bucket)
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    return Workspace.of_one_process(tmp_path / "home", load_project([configs], ENVIRONMENT))


def _failed(workspace: Workspace) -> list[str]:
    return [answer.part for answer in ask_parts(workspace) if not answer.is_fine]


def test_an_empty_platform_is_whole(workspace: Workspace) -> None:
    assert _failed(workspace) == []


def test_a_broken_chain_is_found(workspace: Workspace, postgres: PostgresServer) -> None:
    for version, previous in (("1", None), ("2", "1")):
        workspace.platform.ledger.record(make_entry(version, previous, slot=SLOT, outcome="promoted"))
    database = workspace.config.environment.database.platform
    postgres.run_sql(
        "SET session_replication_role = replica",
        "DELETE FROM promotion_ledger.decision WHERE sequence = 1",
        database=database,
    )
    assert "ledger" in _failed(workspace)


def test_a_server_that_refuses_is_said_not_thrown(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "wrong")
    failed = _failed(workspace)
    assert {"ledger", "outbox"} <= set(failed)
    assert "reports" not in failed, "the bucket answers"
