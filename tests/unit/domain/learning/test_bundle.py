"""Bundles are verified before anything reads them."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.domain.errors import LearningError, ModelIntegrityError
from mlops_assets.domain.learning.algorithms import ALGORITHMS, FitRequest
from mlops_assets.domain.learning.bundle import INDEX_FILE, Scorer, find_kept, load_bundle, save_bundle
from mlops_assets.domain.learning.calibration import Calibration
from mlops_assets.domain.learning.exposure import Exposure, exposure_to_keys
from mlops_assets.domain.learning.verified_files import verify_folder
from tests.unit.domain.learning.samples import FEATURES, ScriptedModel, make_dataset, make_holdout

THROUGH = Exposure(trained_through_day=dt.date(2026, 2, 1))


def _scorer(name: str = "linear") -> Scorer:
    hyperparameters = {"iterations": 10} if name in ("catboost", "hist_gradient_boosting") else {}
    model = ALGORITHMS[name].fit(make_dataset(200), None, FitRequest("binary", hyperparameters))
    return Scorer(name, model, Calibration(0.5, 0.1), THROUGH, {"use_case": "churn"}, {"roc_auc": 0.9})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_loaded_bundle_scores_the_same(name: str, tmp_path: Path) -> None:
    scorer, data = _scorer(name), make_dataset(50, seed=5)
    digest = save_bundle(tmp_path / "bundle", scorer)
    loaded = load_bundle(tmp_path / "bundle", digest)
    np.testing.assert_allclose(loaded.predict(data), scorer.predict(data), rtol=0, atol=1e-12)
    assert loaded.features == tuple(FEATURES)
    assert loaded.categorical == ("plan", "is_roaming")
    assert loaded.stamps == {"use_case": "churn"}
    assert loaded.metrics == {"roc_auc": 0.9}
    assert loaded.exposure == THROUGH or loaded.exposure.trained_through_day == THROUGH.trained_through_day
    assert loaded.bundle_sha256 == digest
    assert list(loaded.importances) == FEATURES


def test_equal_bytes_are_loaded_once_but_verified_each_time(tmp_path: Path) -> None:
    digest = save_bundle(tmp_path / "bundle", _scorer())
    copy = Path(shutil.copytree(tmp_path / "bundle", tmp_path / "copy"))
    loaded = load_bundle(tmp_path / "bundle", digest)
    assert load_bundle(copy, digest) is loaded is find_kept(digest)
    (copy / "preprocessing.json").write_text("{}")
    with pytest.raises(ModelIntegrityError, match="SHA-256"):
        load_bundle(copy, digest)


def test_only_the_last_bundles_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._MOST_KEPT", 3)
    scorer, digests = _scorer("dummy"), []
    for number in range(5):
        digests.append(save_bundle(tmp_path / str(number), replace(scorer, stamps={"number": number})))
        load_bundle(tmp_path / str(number), digests[-1])
    kept = [find_kept(digest) is not None for digest in digests]
    assert kept == [False] * 2 + [True] * 3


def test_keys_seen_survive(tmp_path: Path) -> None:
    digest = save_bundle(tmp_path, replace(_scorer("dummy"), exposure=exposure_to_keys(["a", "b"])))
    loaded = load_bundle(tmp_path, digest).exposure
    assert loaded.key_hashes is not None
    assert loaded.key_hashes.tolist() == exposure_to_keys(["b", "a"]).key_hashes.tolist()  # type: ignore[union-attr]


def _flip_a_bit(folder: Path) -> None:
    path = folder / "model.cbm"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _replace_by_link(folder: Path) -> None:
    content = (folder / "model.cbm").read_bytes()
    (folder / "model.cbm").unlink()
    (folder.parent / "elsewhere").write_bytes(content)
    (folder / "model.cbm").symlink_to(folder.parent / "elsewhere")


def _change_a_stamp(folder: Path) -> None:
    path = folder / INDEX_FILE
    path.write_text(path.read_text().replace("2026-02-01", "2026-01-01"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped bit": _flip_a_bit,
    "truncated": lambda folder: (folder / "model.cbm").write_bytes((folder / "model.cbm").read_bytes()[:100]),
    "missing file": lambda folder: (folder / "calibration.json").unlink(),
    "surplus file": lambda folder: (folder / "extra.pkl").write_bytes(b"x"),
    "surplus folder": lambda folder: (folder / "extra").mkdir(),
    "link": _replace_by_link,
    "changed stamp": _change_a_stamp,
    "no index": lambda folder: (folder / INDEX_FILE).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_before_a_loader_runs(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    digest = save_bundle(folder, _scorer("catboost"))
    DAMAGES[damage](folder)

    def fail(*_: object) -> None:
        pytest.fail("a native loader has seen unverified bytes")

    monkeypatch.setattr(type(ALGORITHMS["catboost"]), "load", fail)
    with pytest.raises(ModelIntegrityError):
        load_bundle(folder, digest)


@pytest.mark.parametrize(
    "name", ["../outside.json", "/etc/hostname", "a/b.json", "..", "a\\b.json", "x\0.json"]
)
def test_names_that_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    save_bundle(tmp_path, _scorer("dummy"))
    index = json.loads((tmp_path / INDEX_FILE).read_text())
    index["files"][name] = "0" * 64
    content = json.dumps(index).encode()
    (tmp_path / INDEX_FILE).write_bytes(content)
    with pytest.raises(ModelIntegrityError, match="are refused"):
        load_bundle(tmp_path, sha256(content).hexdigest())


def test_a_used_folder_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("keep me")
    with pytest.raises(ModelIntegrityError, match="not empty"):
        save_bundle(tmp_path, _scorer("dummy"))
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]


def test_other_features_and_non_finite_predictions_are_refused() -> None:
    with pytest.raises(LearningError, match=r"absent \['topups'\]"):
        _scorer().predict(make_dataset(5).select(["usage_mb", "noise", "plan", "is_roaming"]))
    broken = Scorer("dummy", ScriptedModel(np.array([0.1, np.nan])), None, THROUGH)  # type: ignore[arg-type]
    with pytest.raises(LearningError, match="1 predictions are not finite"):
        broken.predict(make_holdout([0, 1]))


def test_a_stored_version_is_verified_whatever_its_kind(tmp_path: Path) -> None:
    (tmp_path / "model.cbm").write_bytes(b"trees")
    index = json.dumps({"files": {"model.cbm": sha256(b"trees").hexdigest()}}).encode()
    for name in ("bundle.json", "policy.json"):
        (tmp_path / name).write_bytes(index)
        verify_folder(tmp_path, sha256(index).hexdigest())
        with pytest.raises(ModelIntegrityError, match="SHA-256"):
            verify_folder(tmp_path, "0" * 64)
        (tmp_path / "model.cbm").write_bytes(b"trees, changed")
        with pytest.raises(ModelIntegrityError, match="SHA-256"):
            verify_folder(tmp_path, sha256(index).hexdigest())
        (tmp_path / "model.cbm").write_bytes(b"trees")
        (tmp_path / name).unlink()
    with pytest.raises(ModelIntegrityError, match="0 indexes"):
        verify_folder(tmp_path, sha256(index).hexdigest())
    for name in ("bundle.json", "policy.json"):
        (tmp_path / name).write_bytes(index)
    with pytest.raises(ModelIntegrityError, match="2 indexes"):
        verify_folder(tmp_path, sha256(index).hexdigest())
