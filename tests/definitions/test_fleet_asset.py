"""The asset of a fleet: where it is, and what it does for a segment that has none."""

import dagster as dg
import pytest

from mlops_assets.assets.fleet import build_fleet_assets
from mlops_assets.config import names
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.promotion_ledger import FakePromotionLedger

USE_CASE, MODEL = "network_event", "device_failure"
# As in mlops_assets.definitions.build_defs, where it says why.
pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]


class NoProvenance:
    """Knows nothing about the code."""

    def stamps(self) -> dict[str, str]:
        return {}


def without_fleet(segment: str) -> ProjectConfig:
    """Return the project with a segment whose model has no fleet."""
    config = load_project()
    settings = config.use_cases[USE_CASE][segment]
    plain = settings.models[MODEL].model_copy(update={"fleet": None})
    segments = {**config.use_cases[USE_CASE], segment: settings.model_copy(update={"models": {MODEL: plain}})}
    return config.model_copy(update={"use_cases": {**config.use_cases, USE_CASE: segments}})


def test_only_models_with_a_fleet_have_the_asset() -> None:
    (asset,) = build_fleet_assets(load_project())
    assert asset.key == dg.AssetKey(names.fleet_key(USE_CASE, MODEL))
    assert asset.partitions_def is not None
    assert set(asset.partitions_def.get_partition_keys()) == {"cl", "pe"}


def test_a_segment_without_fleet_is_passed_over() -> None:
    (asset,) = build_fleet_assets(without_fleet("pe"))
    resources = {
        "lake": object(),
        "registry": FakeModelRegistry(),
        "ledger": FakePromotionLedger(),
        "provenance": NoProvenance(),
    }
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], partition_key="pe", resources=resources, instance=instance)
    assert result.success
    assert not result.asset_materializations_for_node(asset.op.name)


def test_another_setting_of_the_fleet_is_another_version() -> None:
    (before,), (after,) = build_fleet_assets(load_project()), build_fleet_assets(without_fleet("pe"))
    assert before.code_versions_by_key != after.code_versions_by_key
