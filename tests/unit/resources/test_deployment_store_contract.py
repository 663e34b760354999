"""What every deployment store promises: packages whole or not at all, pointers by compare-and-swap, names inside."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import pytest

from mlops_assets.domain.deployment_ports import (
    ActivationRecord,
    DeploymentPointer,
    DeploymentStore,
    Release,
)
from mlops_assets.domain.errors import StalePointerError, StorageError
from mlops_assets.domain.ports import ModelSlot
from resources.deployment_store import LocalDeploymentStore

SLOT = ModelSlot("churn", "churn_risk", "cl")
SHA = "ab" * 32
NOW = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
RELEASE = Release(decision_id="d1", version="1", bundle_sha256=SHA, package_sha256="cd" * 32)


class DeploymentsAtHand(Protocol):
    """A deployment store, and what a test does behind its back with the pointers of churn_risk."""

    @property
    def store(self) -> DeploymentStore:
        """Return the store."""
        ...

    def read_pointer(self, segment: str) -> bytes:
        """Return what is stored for a segment."""
        ...

    def write_pointer(self, segment: str, content: bytes) -> None:
        """Replace what is stored for a segment."""
        ...


class LocalDeployments:
    """A store in a folder."""

    def __init__(self, root: Path) -> None:
        self.store = LocalDeploymentStore(root)

    def read_pointer(self, segment: str) -> bytes:
        """Return what is stored for a segment."""
        return self._path(segment).read_bytes()

    def write_pointer(self, segment: str, content: bytes) -> None:
        """Replace what is stored for a segment."""
        self._path(segment).write_bytes(content)

    def _path(self, segment: str) -> Path:
        return self.store.root / "pointers" / "churn" / "churn_risk" / f"{segment}.json"


@pytest.fixture
def deployments(tmp_path: Path) -> DeploymentsAtHand:
    return LocalDeployments(tmp_path / "deployment")


def make_pointer(generation: int, **changes: object) -> DeploymentPointer:
    fields = {
        "use_case": "churn",
        "model": "churn_risk",
        "segment": "cl",
        "generation": generation,
        "state": "active",
        "serving": RELEASE,
        "changed_at_utc": NOW,
    }
    return DeploymentPointer.model_validate({**fields, **changes})


def make_record(decision_id: str) -> ActivationRecord:
    return ActivationRecord(
        use_case="churn", model="churn_risk", segment="cl", decision_id=decision_id, version="1",
        bundle_sha256=SHA, outcome="failed", generation=0, at_utc=NOW, error="why",
    )  # fmt: skip


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "model").mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    (folder / "model" / "bundle.json").write_text("[]")
    return folder


def test_a_package_is_stored_once(deployments: DeploymentsAtHand, package: Path) -> None:
    store = deployments.store
    assert store.package(SHA) is None
    folder = store.publish(SHA, package)
    (package / "package.json").write_text("changed")
    assert store.publish(SHA, package) == folder == store.package(SHA)
    files = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert files == {"package.json": "{}", "model/bundle.json": "[]"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_damaged_package_is_taken_out_of_the_way_and_made_anew(
    deployments: DeploymentsAtHand, package: Path
) -> None:
    store = deployments.store
    store.set_aside(SHA)
    damaged = store.publish(SHA, package)
    (damaged / "package.json").write_text("damaged")
    store.set_aside(SHA)
    assert store.package(SHA) is None
    assert (store.publish(SHA, package) / "package.json").read_text() == "{}"


@pytest.mark.parametrize("content", ["", "{}", "null", '{"generation": 1}', "\x00\xff"])
def test_a_damaged_pointer_is_refused(deployments: DeploymentsAtHand, content: str) -> None:
    deployments.store.swap(make_pointer(1))
    deployments.write_pointer("cl", content.encode("latin-1"))
    for call in (lambda: deployments.store.pointer(SLOT), lambda: deployments.store.swap(make_pointer(2))):
        with pytest.raises(StorageError, match="cannot be trusted"):
            call()


def test_the_pointer_of_another_slot_is_refused(deployments: DeploymentsAtHand) -> None:
    deployments.store.swap(make_pointer(1))
    deployments.write_pointer("pe", deployments.read_pointer("cl"))
    with pytest.raises(StorageError, match=r"churn\.churn_risk\.cl"):
        deployments.store.pointer(ModelSlot("churn", "churn_risk", "pe"))


def test_pointers_move_one_generation_at_a_time(deployments: DeploymentsAtHand) -> None:
    assert deployments.store.pointer(SLOT) is None
    for wrong in (2, 3):
        with pytest.raises(StalePointerError):
            deployments.store.swap(make_pointer(wrong))
    deployments.store.swap(make_pointer(1))
    with pytest.raises(StalePointerError, match="generation 1"):
        deployments.store.swap(make_pointer(1))
    deployments.store.swap(make_pointer(2, state="withdrawn", serving=None))
    assert deployments.store.pointer(SLOT) == make_pointer(2, state="withdrawn", serving=None)


def test_of_many_who_move_a_pointer_one_wins(deployments: DeploymentsAtHand) -> None:
    def move(number: int) -> bool:
        try:
            deployments.store.swap(
                make_pointer(1, serving=RELEASE.model_copy(update={"version": str(number)}))
            )
        except StalePointerError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(move, range(32)))
    assert sum(won) == 1
    pointer = deployments.store.pointer(SLOT)
    assert pointer is not None
    assert pointer.serving is not None
    assert pointer.serving.version == str(won.index(True))


def test_marks_change_with_the_pointer(deployments: DeploymentsAtHand) -> None:
    assert deployments.store.marks() == {}
    deployments.store.swap(make_pointer(1))
    first = deployments.store.marks()
    assert list(first) == [SLOT]
    assert deployments.store.marks() == first
    deployments.store.swap(make_pointer(2))
    assert deployments.store.marks()[SLOT] != first[SLOT]


@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", "a\\b", "", "x\0", "ä", "a" * 129])
def test_names_that_leave_the_store_are_refused(deployments: DeploymentsAtHand, name: str) -> None:
    for slot in (ModelSlot(name, "m", "s"), ModelSlot("u", name, "s"), ModelSlot("u", "m", name)):
        with pytest.raises(StorageError, match="cannot have this name"):
            deployments.store.pointer(slot)
    with pytest.raises(StorageError, match="cannot have this name"):
        deployments.store.package(name)


@pytest.mark.parametrize("decision_id", ["d1", "a/../../b", "churn.risk:1"])
def test_records_are_kept_by_decision(deployments: DeploymentsAtHand, decision_id: str) -> None:
    record = make_record(decision_id)
    assert deployments.store.activation(SLOT, decision_id) is None
    deployments.store.report(record)
    assert deployments.store.activation(SLOT, decision_id) == record
    again = record.model_copy(update={"outcome": "activated", "error": ""})
    deployments.store.report(again)
    assert deployments.store.activation(SLOT, decision_id) == again


def test_a_withdrawn_pointer_serves_nothing() -> None:
    with pytest.raises(ValueError, match="withdrawn"):
        make_pointer(1, serving=None)
    with pytest.raises(ValueError, match="withdrawn"):
        make_pointer(1, state="withdrawn")
