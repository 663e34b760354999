"""Packages appear whole or not at all, pointers move by compare-and-swap, names stay inside the store."""

from __future__ import annotations

import datetime as dt
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.domain.deployment_ports import ActivationRecord, DeploymentPointer, Release
from mlops_assets.domain.errors import StalePointerError, StorageError
from mlops_assets.domain.ports import ModelSlot
from resources.deployment_store import LocalDeploymentStore

SLOT = ModelSlot("churn", "churn_risk", "cl")
SHA = "ab" * 32
NOW = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
RELEASE = Release(decision_id="d1", version="1", bundle_sha256=SHA, package_sha256="cd" * 32)


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


@pytest.fixture
def store(tmp_path: Path) -> LocalDeploymentStore:
    return LocalDeploymentStore(tmp_path / "deployment")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "model").mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    (folder / "model" / "bundle.json").write_text("[]")
    return folder


def test_a_package_is_copied_once(store: LocalDeploymentStore, package: Path) -> None:
    assert store.package(SHA) is None
    folder = store.publish(SHA, package)
    (package / "package.json").write_text("changed")
    assert store.publish(SHA, package) == folder == store.package(SHA)
    assert (folder / "package.json").read_text() == "{}"
    assert (folder / "model" / "bundle.json").read_text() == "[]"
    assert [path.name for path in folder.parent.iterdir()] == [SHA]


def test_a_copy_that_fails_leaves_nothing(
    store: LocalDeploymentStore, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> None:
        target.mkdir()
        (target / source.name).write_text("half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", fail)
        with pytest.raises(StorageError, match="No space left"):
            store.publish(SHA, package)
    assert store.package(SHA) is None
    assert list((store.root / "bundles").iterdir()) == []
    assert store.publish(SHA, package).is_dir()


def test_what_a_killed_publisher_left_is_swept(store: LocalDeploymentStore, package: Path) -> None:
    left = store.root / "bundles" / ".0123456789abcdef.tmp"
    left.mkdir(parents=True)
    store.publish(SHA, package)
    assert not left.exists()


def test_a_damaged_package_is_kept_aside(store: LocalDeploymentStore, package: Path) -> None:
    store.set_aside(SHA)
    store.publish(SHA, package)
    store.set_aside(SHA)
    assert store.package(SHA) is None
    (kept,) = (store.root / "damaged").iterdir()
    assert (kept / "package.json").read_text() == "{}"


def test_pointers_move_one_generation_at_a_time(store: LocalDeploymentStore) -> None:
    assert store.pointer(SLOT) is None
    for wrong in (2, 3):
        with pytest.raises(StalePointerError):
            store.swap(make_pointer(wrong))
    store.swap(make_pointer(1))
    with pytest.raises(StalePointerError, match="generation 1"):
        store.swap(make_pointer(1))
    store.swap(make_pointer(2, state="withdrawn", serving=None))
    assert store.pointer(SLOT) == make_pointer(2, state="withdrawn", serving=None)


def test_of_many_who_move_a_pointer_one_wins(store: LocalDeploymentStore) -> None:
    def move(number: int) -> bool:
        try:
            store.swap(make_pointer(1, serving=RELEASE.model_copy(update={"version": str(number)})))
        except StalePointerError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(move, range(32)))
    assert sum(won) == 1
    pointer = store.pointer(SLOT)
    assert pointer is not None
    assert pointer.serving is not None
    assert pointer.serving.version == str(won.index(True))


def test_marks_change_with_the_pointer(store: LocalDeploymentStore) -> None:
    assert store.marks() == {}
    store.swap(make_pointer(1))
    first = store.marks()
    assert list(first) == [SLOT]
    assert store.marks() == first
    store.swap(make_pointer(2))
    assert store.marks()[SLOT] != first[SLOT]


@pytest.mark.parametrize("content", ["", "{}", "null", '{"generation": 1}', "\x00\xff"])
def test_a_damaged_pointer_is_refused(store: LocalDeploymentStore, content: str) -> None:
    store.swap(make_pointer(1))
    path = store.root / "pointers" / "churn" / "churn_risk" / "cl.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StorageError, match="cannot be trusted"):
        store.pointer(SLOT)
    with pytest.raises(StorageError, match="cannot be trusted"):
        store.swap(make_pointer(2))


def test_the_pointer_of_another_slot_is_refused(store: LocalDeploymentStore) -> None:
    store.swap(make_pointer(1))
    path = store.root / "pointers" / "churn" / "churn_risk" / "cl.json"
    shutil.copy(path, path.with_name("pe.json"))
    with pytest.raises(StorageError, match=r"churn\.churn_risk\.cl"):
        store.pointer(ModelSlot("churn", "churn_risk", "pe"))


@pytest.mark.parametrize("name", ["..", ".hidden", "a/b", "a\\b", "", "x\0", "ä", "a" * 129])
def test_names_that_leave_the_store_are_refused(store: LocalDeploymentStore, name: str) -> None:
    for slot in (ModelSlot(name, "m", "s"), ModelSlot("u", name, "s"), ModelSlot("u", "m", name)):
        with pytest.raises(StorageError, match="cannot have this name"):
            store.pointer(slot)
    with pytest.raises(StorageError, match="cannot have this name"):
        store.package(name)


@pytest.mark.parametrize("decision_id", ["d1", "a/../../b", "churn.risk:1"])
def test_records_are_kept_by_decision(store: LocalDeploymentStore, decision_id: str) -> None:
    record = ActivationRecord(
        use_case="churn", model="churn_risk", segment="cl", decision_id=decision_id, version="1",
        bundle_sha256=SHA, outcome="failed", generation=0, at_utc=NOW, error="why",
    )  # fmt: skip
    assert store.activation(SLOT, decision_id) is None
    store.report(record)
    assert store.activation(SLOT, decision_id) == record
    again = record.model_copy(update={"outcome": "activated", "error": ""})
    store.report(again)
    assert store.activation(SLOT, decision_id) == again
    assert len(list((store.root / "activations" / "churn" / "churn_risk" / "cl").iterdir())) == 1


def test_a_withdrawn_pointer_serves_nothing() -> None:
    with pytest.raises(ValueError, match="withdrawn"):
        make_pointer(1, serving=None)
    with pytest.raises(ValueError, match="withdrawn"):
        make_pointer(1, state="withdrawn")
