"""The asset `deployment/...`: what it reports, and that a failed activation is a failed step."""

from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.assets.deployment import build_deployment_assets
from mlops_assets.config.loader import load_project
from tests.fakes.report_store import FakeReportStore
from tests.unit.domain.deployment.deployment_world import SLOT, DeploymentWorld, make_scorer


@pytest.fixture
def world(tmp_path: Path) -> DeploymentWorld:
    return DeploymentWorld(tmp_path)


def materialize(world: DeploymentWorld) -> dg.ExecuteInProcessResult:
    """Materialise the deployment of the slot."""
    (asset,) = [
        asset
        for asset in build_deployment_assets(load_project())
        if asset.key == dg.AssetKey(["deployment", SLOT.use_case, SLOT.model])
    ]
    resources = {
        "registry": world.registry,
        "ledger": world.ledger,
        "reports": FakeReportStore(),
        "deployments": world.store,
        "outbox": world.outbox,
    }
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [asset], resources=resources, partition_key=SLOT.segment, instance=instance, raise_on_error=False
        )


def reported(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    """Return the metadata of the one materialisation."""
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_a_promotion_is_deployed_and_reported(world: DeploymentWorld) -> None:
    assert reported(materialize(world))["status"] == "no_champion"
    entry = world.promote(1)
    found = reported(materialize(world))
    assert (found["status"], found["version"]) == ("activated", "1")
    assert (found["bundle_sha256"], found["decision_id"]) == (entry.bundle_sha256, entry.decision_id)


def test_a_rejected_challenger_changes_nothing(world: DeploymentWorld) -> None:
    world.promote(1)
    materialize(world)
    before = world.store.marks()
    world.decide(*world.register(make_scorer(2)), outcome="rejected")
    found = reported(materialize(world))
    assert (found["status"], found["version"]) == ("current", "1")
    assert world.store.marks() == before


def test_a_failed_activation_is_a_failed_step(world: DeploymentWorld) -> None:
    world.promote(1)
    materialize(world)
    world.damage(world.promote(2))
    result = materialize(world)
    assert not result.success
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    error = failure.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    assert "SHA-256" in error.cause.message
    assert world.serving_version == "1"
    (mail,) = world.outbox.entries()
    assert mail.key.recipient in load_project().use_cases[SLOT.use_case][SLOT.segment].recipients
