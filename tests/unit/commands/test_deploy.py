"""`mlops deploy`: the table of slots, and what it says where something is not as it should be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli import cli
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.run_plan import slots
from mlops_assets.domain.deployment_ports import DeploymentPointer
from mlops_assets.domain.ports import ModelSlot
from tests.unit.domain.deployment.deployment_world import NOW


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    return open_workspace()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["deploy", *arguments])


def withdraw(workspace: Workspace, slot: ModelSlot) -> None:
    """Leave a pointer that serves nothing."""
    workspace.platform.deployments.swap(
        DeploymentPointer(
            use_case=slot.use_case,
            model=slot.model,
            segment=slot.segment,
            generation=1,
            state="withdrawn",
            serving=None,
            changed_at_utc=NOW,
        )
    )


def test_before_any_promotion_nothing_serves(workspace: Workspace) -> None:
    expected = [slot.registered_name for slot in slots(workspace.config)]
    lines = json.loads(run("show", "--json").output)
    assert [(line["slot"], line["state"], line["version"]) for line in lines] == [
        (slot, "none", "") for slot in sorted(expected)
    ]
    updated = run("update")
    assert updated.exit_code == 0
    assert updated.output.splitlines() == [f"{slot}: no_champion" for slot in expected]
    assert not (workspace.home / "deployment" / "pointers").exists()


def test_a_slot_that_is_no_longer_configured_is_shown(workspace: Workspace) -> None:
    withdraw(workspace, ModelSlot("old_case", "model", "cl"))
    lines = {line["slot"]: line for line in json.loads(run("show", "--json").output)}
    old = lines["old_case.model.cl"]
    assert (old["state"], old["since"], old["note"]) == (
        "withdrawn", "2026-09-01 08:00 UTC", "not in the configuration",
    )  # fmt: skip


def test_a_damaged_pointer_is_shown_with_its_remedy(workspace: Workspace) -> None:
    slot = next(slots(workspace.config))
    withdraw(workspace, slot)
    (path,) = (workspace.home / "deployment" / "pointers").rglob("*.json")
    path.write_text("{")
    heading, *rows = run("show").output.splitlines()
    assert heading.split() == ["slot", "version", "state", "since", "champion", "note"]
    (row,) = [row for row in rows if row.startswith(slot.registered_name)]
    assert "damaged" in row
    assert "mlops deploy update" in row
