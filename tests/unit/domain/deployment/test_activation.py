"""The pointer follows the ledger, over verified bytes only, and converges after a death at any step."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.domain.deployment_ports import ActivationRecord, DeploymentPointer
from mlops_assets.domain.errors import (
    DeploymentError,
    ModelIntegrityError,
    RegistryError,
    StalePointerError,
    StorageError,
)
from mlops_assets.domain.learning.algorithms import ALGORITHMS
from mlops_assets.domain.ports import ModelSlot
from resources.deployment_store import LocalDeploymentStore
from tests.unit.domain.deployment.deployment_world import RECIPIENTS, SLOT, DeploymentWorld, make_scorer


class KilledError(BaseException):
    """The process ends here."""


class WatchedStore:
    """A store that calls `before` and `after` around every operation, with its name."""

    def __init__(
        self,
        store: LocalDeploymentStore,
        before: Callable[[str], None] = lambda _: None,
        after: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.store, self.before, self.after = store, before, after

    def publish(self, bundle_sha256: str, folder: Path) -> Path:
        return self._call("publish", lambda: self.store.publish(bundle_sha256, folder))

    def package(self, bundle_sha256: str) -> Path | None:
        return self._call("package", lambda: self.store.package(bundle_sha256))

    def set_aside(self, bundle_sha256: str) -> None:
        self._call("set_aside", lambda: self.store.set_aside(bundle_sha256))

    def pointer(self, slot: ModelSlot) -> DeploymentPointer | None:
        return self._call("pointer", lambda: self.store.pointer(slot))

    def swap(self, pointer: DeploymentPointer) -> None:
        self._call(f"swap {pointer.state}", lambda: self.store.swap(pointer))

    def marks(self) -> Mapping[ModelSlot, str]:
        return self._call("marks", self.store.marks)

    def report(self, record: ActivationRecord) -> None:
        self._call("report", lambda: self.store.report(record))

    def activation(self, slot: ModelSlot, decision_id: str) -> ActivationRecord | None:
        return self._call("activation", lambda: self.store.activation(slot, decision_id))

    def _call(self, name: str, operation: Callable[[], Any]) -> Any:
        self.before(name)
        result = operation()
        self.after(name)
        return result


def killer(at: int) -> Callable[[str], None]:
    """Return a watcher that dies at the operation of this number."""
    numbers = itertools.count()

    def watch(_: str) -> None:
        if next(numbers) == at:
            raise KilledError

    return watch


def pointer_of(world: DeploymentWorld) -> DeploymentPointer:
    pointer = world.store.pointer(SLOT)
    assert pointer is not None
    return pointer


def test_without_a_champion_nothing_is_deployed(world: DeploymentWorld) -> None:
    assert world.update().status == "no_champion"
    assert world.store.pointer(SLOT) is None
    assert world.outbox.entries() == []


def test_a_champion_is_packed_and_activated(world: DeploymentWorld) -> None:
    entry = world.promote(1)
    outcome = world.update()
    assert (outcome.status, outcome.error) == ("activated", None)
    pointer = pointer_of(world)
    assert pointer.state == "active"
    assert pointer.serving == outcome.serving
    assert pointer.serving is not None
    assert (pointer.serving.version, pointer.serving.decision_id) == (entry.version, entry.decision_id)
    assert pointer.previous is None
    folder = world.store.package(entry.bundle_sha256)
    assert folder is not None
    assert json.loads((folder / "config.json").read_text()) == {"owner": "team:x"}
    card = json.loads((folder / "card.json").read_text())
    assert card["model_card"] == {"title": "card 1"}
    assert card["decision"]["evidence"] == {"figures": {"gain": 0.02}}
    record = world.store.activation(SLOT, entry.decision_id)
    assert record is not None
    assert (record.outcome, record.generation, record.error) == ("activated", pointer.generation, "")


def test_a_full_disk_fails_the_slot_and_says_so(
    world: DeploymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    world.promote(1)
    monkeypatch.setattr("mlops_assets.domain.deployment.package.shutil.copytree", refuse)
    outcome = world.update()
    assert outcome.status == "failed"
    assert isinstance(outcome.error, StorageError)
    assert "No space left on device" in str(outcome.error)
    assert world.store.pointer(SLOT) is None
    monkeypatch.undo()
    assert world.update().status == "activated"


def test_repeating_changes_nothing(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    before, record = pointer_of(world), world.store.activation(SLOT, "d1")
    assert world.update().status == "current"
    assert pointer_of(world) == before
    assert world.store.activation(SLOT, "d1") == record


def test_a_rejected_challenger_changes_nothing(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    before = pointer_of(world)
    rejected = world.decide(*world.register(make_scorer(2)), outcome="rejected")
    assert world.update().status == "current"
    assert pointer_of(world) == before
    assert world.store.package(rejected.bundle_sha256) is None


def test_a_promotion_and_a_return_move_the_pointer(world: DeploymentWorld) -> None:
    first = world.promote(1)
    world.update()
    package = world.store.package(first.bundle_sha256)
    assert package is not None
    packed = (package / "package.json").read_bytes()
    second = world.promote(2)
    world.update()
    pointer = pointer_of(world)
    assert pointer.previous is not None
    assert (world.serving_version, pointer.previous.version) == (second.version, first.version)
    world.decide(first.version, first.bundle_sha256, "rolled_back")
    world.update()
    assert world.serving_version == first.version
    assert (package / "package.json").read_bytes() == packed, "packages never change"


def test_a_damaged_registry_activates_nothing_and_mails_once(
    world: DeploymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.promote(1)
    world.update()
    before = pointer_of(world)
    bad = world.promote(2)
    world.damage(bad)

    def fail(*_: object) -> None:
        pytest.fail("a native loader has seen unverified bytes")

    with monkeypatch.context() as patch:
        patch.setattr(type(ALGORITHMS["catboost"]), "load", fail)
        outcome = world.update()
    assert outcome.status == "failed"
    assert isinstance(outcome.error, ModelIntegrityError)
    assert pointer_of(world) == before
    assert world.store.package(bad.bundle_sha256) is None
    record = world.store.activation(SLOT, bad.decision_id)
    assert record is not None
    assert record.outcome == "failed"
    assert "SHA-256" in record.error
    world.update()
    (mail,) = world.outbox.entries()
    assert mail.key.recipient == RECIPIENTS[0]
    assert "version 2 could not be activated" in mail.subject
    assert b"version 1 goes on serving" in world.outbox.content(mail.number)


def test_an_unknown_version_is_reported(world: DeploymentWorld) -> None:
    world.decide("7", "ab" * 32)
    outcome = world.update()
    assert isinstance(outcome.error, RegistryError)
    assert world.store.pointer(SLOT) is None


@pytest.mark.parametrize(
    "name", ["model/model.cbm", "self_test.json", "config.json", "package.json", "model/bundle.json"]
)
def test_a_package_damaged_before_its_activation_is_packed_anew(world: DeploymentWorld, name: str) -> None:
    entry = world.promote(1)
    world.update()
    world.damage_package(entry, name)
    assert world.update().error is None
    assert world.serving_version == entry.version
    assert pointer_of(world).state == "active"
    assert len(list((world.store.root / "damaged").iterdir())) == 1
    assert world.update().status == "current"


def test_a_lost_package_is_packed_anew(world: DeploymentWorld) -> None:
    entry = world.promote(1)
    world.update()
    world.store.set_aside(entry.bundle_sha256)
    assert world.update().status == "current"
    assert world.store.package(entry.bundle_sha256) is not None


def test_a_package_that_breaks_while_the_pointer_moves_rolls_it_back(world: DeploymentWorld) -> None:
    first = world.promote(1)
    world.update()
    second = world.promote(2)

    def break_it(name: str) -> None:
        if name == "swap activating":
            world.damage_package(second)

    outcome = world.update(WatchedStore(world.store, after=break_it))
    assert outcome.status == "failed"
    pointer = pointer_of(world)
    assert (world.serving_version, pointer.state, pointer.generation) == (first.version, "active", 4)
    assert len(world.outbox.entries()) == 1
    assert world.update().status == "activated"
    assert world.serving_version == second.version


def test_a_first_activation_that_breaks_leaves_nothing_serving(world: DeploymentWorld) -> None:
    entry = world.promote(1)

    def break_it(name: str) -> None:
        if name == "swap activating":
            world.damage_package(entry)

    assert world.update(WatchedStore(world.store, after=break_it)).serving is None
    assert pointer_of(world).state == "withdrawn"
    assert world.update().status == "activated"


def test_a_model_that_answers_otherwise_is_not_activated(
    world: DeploymentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.promote(1)
    world.update()
    world.promote(2)
    other = dataclasses.replace(make_scorer(3), ranges=make_scorer(2).ranges)
    monkeypatch.setattr("mlops_assets.domain.deployment.package.make_self_test", lambda _: make_other(other))
    outcome = world.update()
    assert isinstance(outcome.error, DeploymentError)
    assert "scores differ" in outcome.error.what
    assert world.serving_version == "1"


def make_other(scorer: object) -> object:
    """Return the self-test of another model."""
    from mlops_assets.domain.deployment.self_test import make_self_test

    return make_self_test(scorer)  # type: ignore[arg-type]


def test_a_pointer_moved_by_hand_returns_to_the_champion(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    world.promote(2)
    world.update()
    pointer = pointer_of(world)
    world.store.swap(
        pointer.model_copy(update={"generation": pointer.generation + 1, "serving": pointer.previous})
    )
    assert world.serving_version == "1"
    assert world.update().status == "activated"
    assert world.serving_version == "2"


def test_a_damaged_pointer_is_reported_and_left(world: DeploymentWorld) -> None:
    world.promote(1)
    world.update()
    path = world.store.root / "pointers" / "churn" / "churn_risk" / "cl.json"
    path.write_text("{")
    outcome = world.update()
    assert isinstance(outcome.error, StorageError)
    assert path.read_text() == "{"
    path.unlink()
    assert world.update().status == "activated"


def test_another_updater_that_is_faster_is_followed(world: DeploymentWorld) -> None:
    world.promote(1)
    raced = []

    def overtake(name: str) -> None:
        if name == "swap activating" and not raced:
            raced.append(name)
            world.update()

    outcome = world.update(WatchedStore(world.store, before=overtake))
    assert outcome.error is None
    assert (world.serving_version, pointer_of(world).state) == ("1", "active")
    assert pointer_of(world).generation == 2, "moved and confirmed once"


def test_losing_every_race_fails_in_words(world: DeploymentWorld) -> None:
    world.promote(1)

    def always_stale(name: str) -> None:
        if name == "swap activating":
            raise StalePointerError("the deployment pointer is of generation 9")

    outcome = world.update(WatchedStore(world.store, before=always_stale))
    assert isinstance(outcome.error, StalePointerError)
    assert len(world.outbox.entries()) == 1


def count_operations(tmp_path: Path) -> int:
    """Return how many store operations the activation of a second champion takes."""
    world, numbers = DeploymentWorld(tmp_path / "count"), itertools.count()
    world.promote(1)
    world.update()
    world.promote(2)
    world.update(WatchedStore(world.store, before=lambda _: void(next(numbers))))
    return next(numbers)


def void(_: object) -> None:
    """Drop a value."""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_updater_killed_at_any_step_is_put_right_by_the_next(tmp_path: Path, moment: str) -> None:
    steps = count_operations(tmp_path)
    assert steps >= 10
    for step in range(steps):
        world = DeploymentWorld(tmp_path / f"{moment}{step}")
        world.promote(1)
        world.update()
        entry = world.promote(2)
        with pytest.raises(KilledError):
            world.update(WatchedStore(world.store, **{moment: killer(step)}))
        assert world.serving_version in {"1", "2"}, step
        assert world.update().error is None
        pointer = pointer_of(world)
        assert (world.serving_version, pointer.state) == ("2", "active"), step
        assert pointer.previous is not None
        assert pointer.previous.version == "1", step
        record = world.store.activation(SLOT, entry.decision_id)
        assert record is not None
        assert record.outcome == "activated", step
        assert world.outbox.entries() == []
        assert world.update().status == "current"


def test_a_failing_update_killed_at_any_step_still_mails(tmp_path: Path) -> None:
    for step in itertools.count():
        world = DeploymentWorld(tmp_path / str(step))
        world.promote(1)
        world.update()
        world.damage(world.promote(2))
        try:
            world.update(WatchedStore(world.store, before=killer(step)))
        except KilledError:
            assert world.update().status == "failed"
        else:
            assert step >= 3
            break
        assert len(world.outbox.entries()) == 1, step
        assert world.serving_version == "1"
