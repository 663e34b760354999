"""The deployment store in a folder: what a copy that fails or is killed leaves; beside the contract."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from resources.deployment_store import LocalDeploymentStore
from tests.unit.resources import test_deployment_store_contract
from tests.unit.resources.test_deployment_store_contract import SHA, make_record

package = test_deployment_store_contract.package


@pytest.fixture
def store(tmp_path: Path) -> LocalDeploymentStore:
    return LocalDeploymentStore(tmp_path / "deployment")


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


def test_a_damaged_package_is_kept(store: LocalDeploymentStore, package: Path) -> None:
    store.publish(SHA, package)
    store.set_aside(SHA)
    (kept,) = (store.root / "damaged").iterdir()
    assert (kept / "package.json").read_text() == "{}"


def test_a_damaged_package_that_cannot_be_moved_is_said(
    store: LocalDeploymentStore, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path, __: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    store.publish(SHA, package)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(StorageError, match=r"Permission denied.*owner"):
            store.set_aside(SHA)
    assert store.package(SHA) is not None


def test_a_record_has_one_file(store: LocalDeploymentStore) -> None:
    for decision_id in ("a/../../b", "a/../../b", "d1"):
        store.report(make_record(decision_id))
    assert len(list((store.root / "activations" / "churn" / "churn_risk" / "cl").iterdir())) == 2
