"""What every model registry promises: the same assertions over MLflow on SQLite and the fake."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mlops_assets.domain.errors import LearningError, RegistryError, StorageError
from mlops_assets.domain.ports import ModelRegistry
from resources.mlflow_registry import MlflowRegistry
from tests.fakes.model_registry import FakeModelRegistry

NAME = "churn.churn_30d.cl"
SHA256 = hashlib.sha256(b"trees").hexdigest()


@pytest.fixture(scope="module")
def mlflow_registry(tmp_path_factory: pytest.TempPathFactory) -> MlflowRegistry:
    home = tmp_path_factory.mktemp("mlflow")
    return MlflowRegistry(f"sqlite:///{home}/state/mlflow.db", str(home / "artifacts"))


@pytest.fixture(params=["mlflow", "fake"])
def registry(request: pytest.FixtureRequest) -> ModelRegistry:
    return request.getfixturevalue("mlflow_registry") if request.param == "mlflow" else FakeModelRegistry()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "parts").mkdir(parents=True)
    (folder / "model.cbm").write_bytes(b"trees")
    (folder / "parts" / "preprocessing.json").write_text("{}")
    return folder


def log_bundle(registry: ModelRegistry, bundle: Path) -> str:
    with registry.run("churn", "catboost", {"segment": "cl"}) as run:
        run.params({"depth": 6, "loss": "Logloss", "weights": [1, 2]})
        run.metrics({"roc_auc": 0.81})
        run.tags({"split": "holdout"})
        run.folder(bundle, "bundle")
    return run.run_id


def test_a_registered_bundle_comes_back_whole(registry: ModelRegistry, bundle: Path, tmp_path: Path) -> None:
    run_id = log_bundle(registry, bundle)
    made = registry.register(NAME, run_id, "bundle", SHA256, {"corpus_sha256": "12" * 32})
    assert (made.name, made.run_id, made.bundle_sha256) == (NAME, run_id, SHA256)
    assert made.tags["corpus_sha256"] == "12" * 32
    assert registry.version(NAME, made.version) == made
    target = registry.download(made, tmp_path / "a" / "copy")
    assert target == tmp_path / "a" / "copy"
    copied = {
        path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()
    }
    assert copied == {"model.cbm": b"trees", "parts/preprocessing.json": b"{}"}
    assert [path.name for path in target.parent.iterdir()] == ["copy"]


def test_registering_twice_gives_one_version(registry: ModelRegistry, bundle: Path) -> None:
    run_id = log_bundle(registry, bundle)
    first = registry.register(NAME, run_id, "bundle", SHA256, {"git_commit": "one"})
    again = registry.register(NAME, run_id, "bundle", SHA256, {"git_commit": "two"})
    assert again == first
    other = registry.register(NAME, log_bundle(registry, bundle), "bundle", SHA256, {})
    assert int(other.version) == int(first.version) + 1


def test_nothing_is_registered_without_files(registry: ModelRegistry, bundle: Path) -> None:
    run_id = log_bundle(registry, bundle)
    with pytest.raises(RegistryError, match="nothing to register"):
        registry.register(NAME, run_id, "elsewhere", SHA256, {})
    with pytest.raises(RegistryError):
        registry.register(NAME, "0" * 32, "bundle", SHA256, {})


def test_unknown_versions_are_named(registry: ModelRegistry) -> None:
    for version in ("4711", "latest"):
        with pytest.raises(RegistryError, match=f"version {version}"):
            registry.version("no.such.model", version)


def test_a_download_overwrites_nothing(registry: ModelRegistry, bundle: Path, tmp_path: Path) -> None:
    made = registry.register(NAME, log_bundle(registry, bundle), "bundle", SHA256, {})
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "precious").write_bytes(b"x")
    with pytest.raises(StorageError):
        registry.download(made, tmp_path / "target")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["precious"]


def test_a_metric_that_is_not_finite_is_refused(registry: ModelRegistry) -> None:
    with pytest.raises(LearningError, match="roc_auc"), registry.run("churn", "dummy", {}) as run:
        run.metrics({"roc_auc": float("nan")})


def test_aliases_follow_the_ledger(registry: ModelRegistry, bundle: Path) -> None:
    name = "alias.model.cl"
    one, two = (registry.register(name, log_bundle(registry, bundle), "bundle", SHA256, {}) for _ in range(2))
    registry.project_aliases(name, champion=one.version, challenger=two.version)
    assert registry.aliases(name) == {"champion": one.version, "challenger": two.version}  # type: ignore[attr-defined]
    registry.project_aliases(name, champion=two.version, challenger=None)
    assert registry.aliases(name) == {"champion": two.version}  # type: ignore[attr-defined]
    registry.project_aliases(name, champion=None, challenger=None)
    assert registry.aliases(name) == {}  # type: ignore[attr-defined]
    with pytest.raises(RegistryError):
        registry.project_aliases(name, champion="99", challenger=None)
    with pytest.raises(RegistryError):
        registry.project_aliases("never.registered.cl", champion="1", challenger=None)


def test_a_link_names_the_run(registry: ModelRegistry, bundle: Path) -> None:
    run_id = log_bundle(registry, bundle)
    assert run_id in registry.run_url(run_id)


def test_a_missing_folder_is_not_uploaded(registry: ModelRegistry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no folder"), registry.run("churn", "x", {}) as run:
        run.folder(tmp_path / "absent", "bundle")
