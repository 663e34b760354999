"""A fleet with MLflow on SQLite, the ledger on SQLite, and worker processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.learning.fleet_promotion import FleetRules
from mlops_assets.domain.learning.fleet_training import FleetStores, FleetTraining, train_fleet
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.learning.slots import group_slot
from mlops_assets.domain.learning.training import train_challenger
from resources.mlflow_registry import MlflowRegistry
from resources.promotion_ledger import SqlitePromotionLedger
from tests.unit.domain.learning.fleet_world import (
    DECIDED,
    SLOT,
    FleetWorld,
    by_cold,
    by_heat,
    make_request,
    make_rows,
)


def train(world: FleetWorld, home: Path, processes: int) -> tuple[FleetStores, FleetTraining]:
    """Train pooled model and fleet into fresh stores."""
    registry = MlflowRegistry(f"sqlite:///{home}/mlflow.db", str(home / "artifacts"))
    stores = FleetStores(world.lake, registry, SqlitePromotionLedger(home / "ledger.db"))
    request = make_request()
    challenger = train_challenger(request, lake=world.lake, registry=registry, stamps={})
    judge_challenger(
        challenger, request, lake=world.lake, registry=registry, ledger=stores.ledger, decided_at_utc=DECIDED
    )
    assert request.model.fleet is not None
    rules = FleetRules(request.model.fleet, DECIDED)
    return stores, train_fleet(request, stores, rules, stamps={}, processes=processes)


@pytest.fixture
def world(tmp_path: Path) -> FleetWorld:
    made = FleetWorld(tmp_path)
    alike = [
        make_rows(name, by_heat, seed=number) for number, name in enumerate(("arda", "boreal", "cumbre"))
    ]
    made.publish([*alike, make_rows("delta", by_cold)])
    return made


@pytest.mark.enable_socket  # the fork server of the worker processes listens on a socket of this machine
def test_processes_give_what_one_process_gives_and_all_of_it_is_stored(
    world: FleetWorld, tmp_path: Path
) -> None:
    trained = []
    for processes in (1, 2):
        home = tmp_path / f"home{processes}"
        home.mkdir()
        trained.append(train(world, home, processes))
    gains = [
        {d.result.name: d.result.against_pooled.gain for d in one.decisions if d.result.against_pooled}
        for _, one in trained
    ]
    assert gains[0] == gains[1]
    assert len(gains[0]) == 4
    stores, training = trained[1]
    outcomes = {decision.result.name: decision.outcome for decision in training.decisions}
    assert outcomes["delta"] == "promoted"
    slot = group_slot(SLOT, "delta")
    entry = stores.ledger.champion(slot)
    assert entry is not None
    assert stores.registry.aliases(slot.registered_name)["champion"] == entry.version
    scorer = load_version(stores.registry, slot, entry.version, entry.bundle_sha256)
    assert scorer.stamps["group"] == "delta"
    assert isinstance(stores.ledger, SqlitePromotionLedger)
    assert stores.ledger.verify() == 5
