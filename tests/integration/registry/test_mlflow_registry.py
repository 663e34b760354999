"""MLflow on SQLite for real: first use, nesting, failure, competition, upgrade, silence."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.domain.errors import RegistryError, StorageError
from resources.mlflow_registry import MlflowRegistry
from tests.integration.registry.older_store import make_older_store

PROJECT = Path(__file__).parents[3]
NAME = "churn.churn_30d.cl"
SHA256 = "ab" * 32

# Several processes want a store that does not exist yet, and all register the same bundle.
_FIRST_USE = """
import sys
from pathlib import Path
from resources.mlflow_registry import MlflowRegistry
home = Path(sys.argv[1])
registry = MlflowRegistry(f"sqlite:///{home}/mlflow.db", str(home / "artifacts"))
with registry.run("churn", "worker", {}) as run:
    run.metrics({"roc_auc": 0.5})
    run.folder(home / "bundle", "bundle")
print(registry.register("churn.churn_30d.cl", run.run_id, "bundle", "ab" * 32, {}).version)
from mlflow.telemetry.client import get_telemetry_client
print("telemetry client:", get_telemetry_client())
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    (folder / "bundle").mkdir()
    (folder / "bundle" / "model.cbm").write_bytes(b"trees")
    return folder


@pytest.fixture(scope="module")
def registry(home: Path) -> MlflowRegistry:
    opened = MlflowRegistry(f"sqlite:///{home}/store/mlflow.db", str(home / "artifacts"))
    opened.open()
    return opened


def read_rows(registry: MlflowRegistry, query: str, *parameters: str) -> list[tuple[Any, ...]]:
    file = registry.tracking_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query, parameters).fetchall()


def test_importing_the_resource_does_not_import_mlflow() -> None:
    code = "import sys, resources.mlflow_registry; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=PROJECT).returncode == 0


def test_a_run_is_written_completely(registry: MlflowRegistry) -> None:
    with registry.run("churn", "parent", {"dagster.run_id": "r1"}) as parent:
        pass
    with registry.run("churn", "catboost", {"split": "holdout"}, parent_run_id=parent.run_id) as child:
        child.params({"depth": 6, "weights": {"b": 1, "a": [2]}, "loss": "Logloss"})
        child.metrics({"roc_auc": 0.75})
    params = dict(read_rows(registry, "SELECT key, value FROM params WHERE run_uuid = ?", child.run_id))
    assert params == {"depth": "6", "weights": '{"a": [2], "b": 1}', "loss": "Logloss"}
    tags = dict(read_rows(registry, "SELECT key, value FROM tags WHERE run_uuid = ?", child.run_id))
    assert tags["mlflow.parentRunId"] == parent.run_id
    assert tags["split"] == "holdout"
    metrics = read_rows(registry, "SELECT key, value FROM metrics WHERE run_uuid = ?", child.run_id)
    assert metrics == [("roc_auc", 0.75)]
    (status,) = read_rows(registry, "SELECT status, name FROM runs WHERE run_uuid = ?", child.run_id)
    assert status == ("FINISHED", "catboost")


def test_many_values_fit_in_one_run(registry: MlflowRegistry) -> None:
    with registry.run("churn", "wide", {}) as run:
        run.params({f"p{number}": number for number in range(250)})
        run.metrics({f"m{number}": float(number) for number in range(1200)})
    (params,) = read_rows(registry, "SELECT count(*) FROM params WHERE run_uuid = ?", run.run_id)
    (metrics,) = read_rows(registry, "SELECT count(*) FROM metrics WHERE run_uuid = ?", run.run_id)
    assert (params, metrics) == ((250,), (1200,))


def test_a_failed_block_marks_its_run_failed_and_keeps_what_it_recorded(registry: MlflowRegistry) -> None:
    with suppress(ZeroDivisionError), registry.run("churn", "broken", {}) as run:
        run.params({"depth": 3})
        run.metrics({"share": 1 / len([])})
    (row,) = read_rows(registry, "SELECT status FROM runs WHERE run_uuid = ?", run.run_id)
    assert row == ("FAILED",)
    assert read_rows(registry, "SELECT value FROM params WHERE run_uuid = ?", run.run_id) == [("3",)]


def test_a_run_whose_values_are_refused_does_not_stay_running(registry: MlflowRegistry) -> None:
    with pytest.raises(RegistryError, match="MLflow refused"), registry.run("churn", "long", {}) as run:
        run.params({"depth" * 100: 6})
    ((status,),) = read_rows(registry, "SELECT status FROM runs WHERE run_uuid = ?", run.run_id)
    assert status == "FAILED"


def test_mlflows_global_state_is_left_alone(registry: MlflowRegistry) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    with registry.run("churn", "x", {}):
        assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == before


def test_experiments_put_their_files_below_the_artifact_root(registry: MlflowRegistry, home: Path) -> None:
    with registry.run("churn / ñ", "x", {}) as run:
        run.folder(home / "bundle", "bundle")
    found = [path.relative_to(home / "artifacts") for path in (home / "artifacts").rglob("model.cbm")]
    assert any(run.run_id in path.parts for path in found)
    assert not (Path.cwd() / "mlruns").exists()


def test_parallel_first_use_of_a_fresh_store(home: Path) -> None:
    fresh = home / "fresh"
    shutil.copytree(home / "bundle", fresh / "bundle")
    # MLflow keeps its reporting channel shut in tests by itself; we want to see that ours is.
    environment = {
        key: value for key, value in os.environ.items() if key not in {"CI", "PYTEST_CURRENT_TEST"}
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _FIRST_USE, str(fresh)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        for _ in range(2)
    ]
    results = [worker.communicate(timeout=120) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], results
    assert [errors for _, errors in results] == ["", ""]
    assert sorted(answer.splitlines()[0] for answer, _ in results) == ["1", "2"]
    assert all("telemetry client: None" in answer for answer, _ in results)
    assert sorted(path.name for path in fresh.iterdir() if path.is_file()) == ["mlflow.db", "mlflow.db.lock"]


def test_threads_share_a_registry_and_register_once(registry: MlflowRegistry, home: Path) -> None:
    with registry.run("churn", "shared", {}) as run:
        run.folder(home / "bundle", "bundle")
    barrier = threading.Barrier(8)

    def register(_worker: int) -> str:
        barrier.wait()
        with registry.run("race", "thread", {}) as own:
            own.metrics({"m": 1.0})
        return registry.register("race.model.cl", run.run_id, "bundle", SHA256, {}).version

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(register, range(8))) == {"1"}
    (count,) = read_rows(registry, "SELECT count(*) FROM experiments WHERE name = 'race'")
    assert count == (1,)


def test_links_lead_to_the_pages_if_there_are_any(registry: MlflowRegistry) -> None:
    with registry.run("churn", "x", {}) as run:
        pass
    served = MlflowRegistry(registry.tracking_uri, ui_url="http://127.0.0.1:5000/")
    url = served.run_url(run.run_id)
    assert url.startswith("http://127.0.0.1:5000/#/experiments/")
    assert url.endswith(f"/runs/{run.run_id}")


def test_a_deleted_experiment_says_how_to_restore_it(registry: MlflowRegistry) -> None:
    with registry.run("doomed", "x", {}):
        pass
    from mlflow import MlflowClient

    client = MlflowClient(registry.tracking_uri)
    experiment = client.get_experiment_by_name("doomed")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    another = MlflowRegistry(registry.tracking_uri)
    with pytest.raises(RegistryError, match="experiments restore"), another.run("doomed", "x", {}):
        pass


def test_lost_artifacts_are_reported_and_leave_no_rest(registry: MlflowRegistry, home: Path) -> None:
    with registry.run("lost", "x", {}) as run:
        run.folder(home / "bundle", "bundle")
    made = registry.register("lost.model.cl", run.run_id, "bundle", SHA256, {})
    shutil.rmtree(home / "artifacts" / "lost")
    with pytest.raises(RegistryError, match=r"lost\.model\.cl|gone"):
        registry.download(made, home / "downloads" / "lost")
    assert list((home / "downloads").iterdir()) == []


def test_a_disk_without_room_is_not_taken_for_a_lost_bundle(
    registry: MlflowRegistry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry.run("churn", "fits", {}) as run:
        run.folder(home / "bundle", "bundle")
    version = registry.register("churn.room.cl", run.run_id, "bundle", SHA256, {})

    def fill(**_: str) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", fill)
    with pytest.raises(StorageError, match=r"disk.*is full.*free space"):
        registry.download(version, home / "fetched")
    assert not (home / "fetched").exists()


def test_a_version_without_a_hash_is_not_handed_out(registry: MlflowRegistry) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(registry.tracking_uri, registry.tracking_uri)
    client.create_registered_model("foreign.model.cl")
    client.create_model_version("foreign.model.cl", "file:///tmp/somewhere", await_creation_for=0)
    with pytest.raises(RegistryError, match="no hash"):
        registry.version("foreign.model.cl", "1")


@pytest.mark.parametrize("name", ["", "a/b", "a' or name = 'b", "-x", "a\n"])
def test_names_that_need_quoting_are_refused(registry: MlflowRegistry, name: str) -> None:
    with pytest.raises(RegistryError, match="plain name"):
        registry.register(name, "0" * 32, "bundle", SHA256, {})


@pytest.mark.parametrize("path", ["/etc", "../other", ""])
def test_bundle_paths_stay_inside_the_run(registry: MlflowRegistry, home: Path, path: str) -> None:
    with registry.run("churn", "x", {}) as run:
        run.folder(home / "bundle", "bundle")
    with pytest.raises(RegistryError, match="nothing to register"):
        registry.register(NAME, run.run_id, path, SHA256, {})


def test_an_older_store_is_upgraded_after_a_copy_was_kept(home: Path) -> None:
    folder = home / "old"
    folder.mkdir()
    uri = f"sqlite:///{folder}/mlflow.db"
    revision = make_older_store(uri)
    with MlflowRegistry(uri).run("churn", "after", {}) as run:
        run.metrics({"roc_auc": 0.5})
    assert (folder / f"mlflow.db.before-{revision}").is_file()


def test_a_damaged_store_is_explained_and_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"this was a database once" * 100)
    with pytest.raises(RegistryError, match="cannot be opened") as caught:
        MlflowRegistry(f"sqlite:///{database}").open()
    assert str(database) in str(caught.value)
    assert database.read_bytes() == b"this was a database once" * 100


def test_opening_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        MlflowRegistry(f"sqlite:///{tmp_path}/mlflow.db").open()
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []
