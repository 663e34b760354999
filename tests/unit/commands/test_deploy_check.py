"""`mlops deploy check`: a line for each part, and an exit status that a pipeline can go by."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import cli
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.run_plan import slots
from mlops_assets.domain.deployment_ports import DeploymentPointer
from tests.unit.domain.deployment.deployment_world import NOW
from tests.unit.resources.ledger_writer import make_entry

PARTS = ["ledger", "outbox", "deliveries", "reports", "registry", "deployments"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    return open_workspace()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["deploy", "check", *arguments])


def test_a_new_platform_is_fine_and_nothing_is_made(workspace: Workspace) -> None:
    result = run()
    assert result.exit_code == 0
    assert [line.split()[1].rstrip(":") for line in result.output.splitlines()] == PARTS
    assert all(line.startswith("ok  ") for line in result.output.splitlines())
    assert list(workspace.home.rglob("*.*")) == []


def test_a_champion_that_nobody_registered_is_found(workspace: Workspace) -> None:
    slot = next(slots(workspace.config))
    workspace.platform.ledger.record(make_entry("1", None, slot=slot))
    result = run()
    assert result.exit_code == 1
    failed = [line for line in result.output.splitlines() if line.startswith("FAILED  ")]
    assert [line.split()[1] for line in failed] == ["registry:"]
    assert "ok  ledger: 1 decisions about 1 slots" in result.output


def test_a_damaged_pointer_is_found_and_the_rest_still_asked(workspace: Workspace) -> None:
    slot = next(slots(workspace.config))
    pointer = DeploymentPointer(
        use_case=slot.use_case,
        model=slot.model,
        segment=slot.segment,
        generation=1,
        state="withdrawn",
        serving=None,
        changed_at_utc=NOW,
    )
    workspace.platform.deployments.swap(pointer)
    (path,) = (workspace.home / "deployment" / "pointers").rglob("*.json")
    path.write_text("{")
    result = run()
    assert result.exit_code == 1
    assert "FAILED  deployments: " in result.output
    assert "ok  reports: 0 documents" in result.output


@pytest.mark.usefixtures("workspace")
def test_a_daemon_that_does_not_live_is_waited_for_no_longer_than_said() -> None:
    result = run("--daemon-within", "0")
    assert result.exit_code == 1
    assert "FAILED  daemon: gave no sign of life within 0 s" in result.output
