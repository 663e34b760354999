"""The models that answer follow the pointers, and only to what is proven."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.ports import ModelSlot
from mlops_assets.serving.live_models import LiveModels
from resources.deployment_store import LocalDeploymentStore
from tests.unit.domain.deployment.deployment_world import SLOT, DeploymentWorld


@pytest.fixture
def world(tmp_path: Path) -> DeploymentWorld:
    return DeploymentWorld(tmp_path)


def version_of(models: LiveModels) -> str | None:
    live = models.find(SLOT)
    return live.release.version if live else None


def open_models(world: DeploymentWorld, **changes: object) -> LiveModels:
    models = LiveModels(world.store, world.ledger, **changes)  # type: ignore[arg-type]
    models.refresh()
    return models


def test_before_the_first_look_nothing_is_ready(world: DeploymentWorld) -> None:
    models = LiveModels(world.store, world.ledger)
    assert models.problems == ["the pointers have not been read yet"]
    models.refresh()
    assert models.problems == []


def test_models_follow_the_pointer(world: DeploymentWorld) -> None:
    world.promote(1)
    models = open_models(world, slots=[SLOT])
    assert (version_of(models), models.knows(SLOT)) == (None, True)
    assert not models.knows(ModelSlot("churn", "churn_risk", "xx"))
    world.update()
    models.refresh()
    first = models.find(SLOT)
    world.promote(2)
    world.update()
    models.refresh()
    assert version_of(models) == "2"
    assert models.problems == []
    assert first is not None
    assert first.release.version == "1", "a request that holds the old model keeps it"


def test_nothing_is_loaded_again_while_pointers_rest(
    world: DeploymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.promote(1)
    world.update()
    models = open_models(world)
    monkeypatch.setattr(
        "mlops_assets.serving.live_models.load_release", lambda *_: pytest.fail("nothing has changed")
    )
    models.refresh()
    assert version_of(models) == "1"


def test_a_bad_package_keeps_the_old_model_and_is_tried_again(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    now_s = [0.0]
    models = open_models(world, clock_s=lambda: now_s[0], retry_after_s=5.0)
    second = world.promote(2)
    world.update()
    world.damage_package(second)
    models.refresh()
    assert version_of(models) == "1"
    (problem,) = models.problems
    assert "SHA-256" in problem
    assert "version 1 goes on answering" in problem
    world.damage_package(second)  # flips the bit back
    models.refresh()
    assert version_of(models) == "1", "not before its time"
    now_s[0] = 5.0
    models.refresh()
    assert (version_of(models), models.problems) == ("2", [])


def test_a_pointer_that_the_ledger_does_not_know_is_not_followed(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    models = open_models(world)
    pointer = world.store.pointer(SLOT)
    assert pointer is not None
    assert pointer.serving is not None
    forged = pointer.serving.model_copy(update={"decision_id": "forged"})
    world.store.swap(pointer.model_copy(update={"generation": pointer.generation + 1, "serving": forged}))
    models.refresh()
    assert "does not hold this promotion" in models.problems[0]
    live = models.find(SLOT)
    assert live is not None
    assert live.release == pointer.serving
    world.update()
    models.refresh()
    assert models.problems == []


def test_a_damaged_or_lost_pointer_keeps_the_model(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    models = open_models(world)
    path = world.store.root / "pointers" / "churn" / "churn_risk" / "cl.json"
    content = path.read_bytes()
    path.write_text("{")
    models.refresh()
    assert "cannot be trusted" in models.problems[0]
    path.unlink()
    models.refresh()
    assert "the pointer is gone" in models.problems[0]
    assert version_of(models) == "1"
    path.write_bytes(content)
    models.refresh()
    assert (version_of(models), models.problems) == ("1", [])


def test_a_withdrawn_model_answers_no_more(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    models = open_models(world)
    pointer = world.store.pointer(SLOT)
    assert pointer is not None
    world.store.swap(
        pointer.model_copy(
            update={"generation": pointer.generation + 1, "state": "withdrawn", "serving": None}
        )
    )
    models.refresh()
    assert (version_of(models), models.problems, models.knows(SLOT)) == (None, [], True)


def test_one_bad_slot_does_not_keep_the_others(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    bad = world.store.root / "pointers" / "churn" / "churn_risk" / "aa.json"
    bad.write_text("{")
    models = open_models(world)
    assert version_of(models) == "1"
    assert len(models.problems) == 1


class ClosedStore(LocalDeploymentStore):
    """Cannot be read for a while."""

    is_closed = False

    def marks(self) -> dict[ModelSlot, str]:
        if self.is_closed:
            raise StorageError("the bucket does not answer")
        return super().marks()


def test_a_store_that_is_away_keeps_all_models(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    store = ClosedStore(world.store.root)
    models = LiveModels(store, world.ledger)
    models.refresh()
    store.is_closed = True
    models.refresh()
    assert version_of(models) == "1"
    assert "cannot be read" in models.problems[0]
    store.is_closed = False
    models.refresh()
    assert models.problems == []
