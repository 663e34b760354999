"""A package is what was promoted, byte for byte, and answers as it did when it was packed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from mlops_assets.domain.deployment.package import (
    PACKAGE_FILE,
    read_package,
    read_package_sha256,
    write_package,
)
from mlops_assets.domain.deployment.releases import load_release
from mlops_assets.domain.deployment.self_test import SelfTest, make_self_test, run_self_test
from mlops_assets.domain.deployment_ports import Release
from mlops_assets.domain.errors import DeploymentError, ModelIntegrityError
from mlops_assets.domain.learning.algorithms import ALGORITHMS
from mlops_assets.domain.learning.bundle import save_bundle
from mlops_assets.domain.learning.spec import Task
from tests.unit.domain.deployment.deployment_world import SLOT, DeploymentWorld, make_scorer


def pack(world: DeploymentWorld, folder: Path) -> Release:
    """Write the package of a fresh champion."""
    entry = world.promote(1)
    save_bundle(folder.parent / "bundle", make_scorer(1))
    write_package(folder, folder.parent / "bundle", entry, config={"owner": "team:x"}, model_card=None)
    return Release(
        decision_id=entry.decision_id,
        version=entry.version,
        bundle_sha256=entry.bundle_sha256,
        package_sha256=read_package_sha256(folder),
    )


def test_a_package_is_read_back(world: DeploymentWorld, tmp_path: Path) -> None:
    release = pack(world, tmp_path / "package")
    packed = read_package(tmp_path / "package", SLOT, release)
    assert packed.scorer.bundle_sha256 == release.bundle_sha256
    assert packed.config == {"owner": "team:x"}
    assert packed.card["decision"]["reasons"] == ["gain 0.02"]
    assert packed.self_test == make_self_test(make_scorer(1))
    run_self_test(packed.scorer, packed.self_test)
    index = json.loads((tmp_path / "package" / PACKAGE_FILE).read_text())
    assert index["trained_config_sha256"] == "e" * 64


def test_the_same_promotion_gives_the_same_package(world: DeploymentWorld, tmp_path: Path) -> None:
    release = pack(world, tmp_path / "one" / "package")
    write_package(
        tmp_path / "two",
        tmp_path / "one" / "bundle",
        world.ledger.entries[0],
        config={"owner": "team:x"},
        model_card=None,
    )
    assert read_package_sha256(tmp_path / "two") == release.package_sha256


def flip(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(bytes(content))

    return change


def reseal(folder: Path) -> None:
    """Change the self-test and its hash in the index, as someone would who wants any model to pass."""
    (folder / "self_test.json").write_text('{"rows": [], "scores": []}')
    index = json.loads((folder / PACKAGE_FILE).read_text())
    index["files"]["self_test.json"] = sha256((folder / "self_test.json").read_bytes()).hexdigest()
    (folder / PACKAGE_FILE).write_text(json.dumps(index))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "model": flip("model/model.cbm"),
    "model index": flip("model/bundle.json"),
    "ranges": flip("model/training_ranges.json"),
    "config": flip("config.json"),
    "card": flip("card.json"),
    "self-test": flip("self_test.json"),
    "index": flip("package.json"),
    "resealed": reseal,
    "surplus file": lambda folder: (folder / "extra.pkl").write_bytes(b"x"),
    "missing file": lambda folder: (folder / "card.json").unlink(),
    "no index": lambda folder: (folder / PACKAGE_FILE).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_before_a_loader_runs(
    damage: str, world: DeploymentWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = pack(world, tmp_path / "package")
    DAMAGES[damage](tmp_path / "package")

    def fail(*_: object) -> None:
        pytest.fail("a native loader has seen unverified bytes")

    monkeypatch.setattr(type(ALGORITHMS["catboost"]), "load", fail)
    with pytest.raises(ModelIntegrityError):
        read_package(tmp_path / "package", SLOT, release)


def test_the_package_of_another_slot_is_refused(world: DeploymentWorld, tmp_path: Path) -> None:
    release = pack(world, tmp_path / "package")
    with pytest.raises(ModelIntegrityError, match="'pe'"):
        read_package(tmp_path / "package", dataclasses.replace(SLOT, segment="pe"), release)


@pytest.mark.parametrize("changes", [{"decision_id": "d9"}, {"version": "9"}, {"bundle_sha256": "ab" * 32}])
def test_what_the_ledger_does_not_hold_is_not_loaded(world: DeploymentWorld, changes: dict[str, str]) -> None:
    world.promote(1)
    release = world.update().serving
    assert release is not None
    assert load_release(world.store, world.ledger, SLOT, release).version == "1"
    with pytest.raises(DeploymentError, match="does not hold this promotion"):
        load_release(world.store, world.ledger, SLOT, release.model_copy(update=changes))


def test_a_rejected_version_is_not_loaded(world: DeploymentWorld) -> None:
    world.promote(1)
    release = world.update().serving
    assert release is not None
    entry = world.decide("1", release.bundle_sha256, outcome="rejected")
    with pytest.raises(DeploymentError, match="does not hold this promotion"):
        load_release(
            world.store, world.ledger, SLOT, release.model_copy(update={"decision_id": entry.decision_id})
        )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("algorithm", ["catboost", "hist_gradient_boosting", "linear"])
def test_every_kind_of_model_passes_its_own_self_test(algorithm: str, task: Task) -> None:
    scorer = make_scorer(3, algorithm, task)
    test = SelfTest.from_json(make_self_test(scorer).to_json().encode())
    assert len(test.rows) > 30
    run_self_test(scorer, test)


def test_models_without_ranges_have_a_self_test_too() -> None:
    scorer = dataclasses.replace(make_scorer(1), ranges=None)
    test = make_self_test(scorer)
    assert len(test.rows) == 5
    run_self_test(scorer, test)
    with pytest.raises(DeploymentError, match="scores differ"):
        run_self_test(make_scorer(2), test)


def test_an_empty_self_test_proves_nothing() -> None:
    with pytest.raises(DeploymentError, match="at least one"):
        run_self_test(make_scorer(1), SelfTest((), ()))
