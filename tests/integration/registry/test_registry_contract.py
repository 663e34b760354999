"""What every model registry promises: the same assertions over MLflow on SQLite and the fake."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mlops_assets.domain.errors import LearningError, RegistryError, StorageError
from mlops_assets.domain.ports import FinishedRun, ModelRegistry
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


def make_children(bundle: Path) -> list[FinishedRun]:
    return [
        FinishedRun(
            "good", {"depth": 3, "loss": "Logloss"}, {"auc": 0.8, "cpu_seconds": 0.1}, {"group": "arda"},
            folder=bundle, artifact_path="bundle",
        ),
        FinishedRun("bad", {"depth": 9}, {}, {"group": "arda", "error": "no rows"}, is_failed=True),
    ]  # fmt: skip


def test_children_are_tracked_under_their_parent(
    registry: ModelRegistry, bundle: Path, tmp_path: Path
) -> None:
    with registry.run("fleet", "parent", {}) as parent:
        ids = registry.track_children("fleet", parent.run_id, make_children(bundle))
    assert len(set(ids)) == 2
    made = registry.register("fleet.failure.cl.arda", ids[0], "bundle", SHA256, {})
    assert (registry.download(made, tmp_path / "copy") / "model.cbm").read_bytes() == b"trees"
    with pytest.raises(RegistryError):
        registry.register("fleet.failure.cl.arda", ids[1], "bundle", SHA256, {})
    assert registry.track_children("fleet", parent.run_id, []) == []


def test_a_child_with_a_figure_that_is_none_is_refused(registry: ModelRegistry) -> None:
    runs = [FinishedRun("good", metrics={"auc": 0.8}), FinishedRun("bad", metrics={"auc": float("nan")})]
    with registry.run("fleet", "parent", {}) as parent, pytest.raises(LearningError, match="auc"):
        registry.track_children("fleet", parent.run_id, runs)


def test_one_transaction_leaves_what_single_calls_leave(
    mlflow_registry: MlflowRegistry, bundle: Path
) -> None:
    """MLflow's own client reads both alike; otherwise a release of MLflow has changed its tables."""
    with mlflow_registry.run("fleet", "parent", {}) as parent:
        at_once = mlflow_registry.track_children("fleet", parent.run_id, make_children(bundle))
        one_by_one = [
            mlflow_registry._track_child("fleet", parent.run_id, child) for child in make_children(bundle)
        ]
    client = mlflow_registry._client()

    def read(run_id: str) -> dict[str, object]:
        run = client.get_run(run_id)
        ignored = {"run_id", "run_uuid", "start_time", "end_time", "artifact_uri", "user_id"}
        info = {name: value for name, value in dict(run.info).items() if name not in ignored}
        tags = {name: value for name, value in run.data.tags.items() if name != "mlflow.user"}
        files = sorted(item.path for item in client.list_artifacts(run_id, "bundle"))
        points = {
            name: [(point.value, point.step) for point in client.get_metric_history(run_id, name)]
            for name in run.data.metrics
        }
        return {"info": info, "tags": tags, "params": run.data.params, "metrics": points, "files": files}

    assert [read(run_id) for run_id in at_once] == [read(run_id) for run_id in one_by_one]
    experiment = client.get_run(parent.run_id).info.experiment_id
    found = client.search_runs([experiment], "metrics.auc > 0.5 and tags.group = 'arda'")
    assert {at_once[0], one_by_one[0]} <= {run.info.run_id for run in found}
