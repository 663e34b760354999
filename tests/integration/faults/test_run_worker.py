"""The worker of a run: only one of them executes it, and it says which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository

from mlops_assets.config import names
from mlops_assets.config.run_models import RunsConfig
from mlops_assets.domain.errors import PlatformError
from resources.process_lock import FileLock
from resources.run_worker import RunClaimedError, execute_claimed_run
from tests.integration.faults import small_graph
from tests.integration.faults.run_world import MODULE, PROJECT

RUNS = RunsConfig(kind="cloud_run", project="test-project", region="test-region1")
EXECUTION = "projects/test-project/locations/test-region1/jobs/run-s/executions/run-s-1"


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance that DAGSTER_HOME names, in a process that Cloud Run has started."""
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    monkeypatch.setenv("CLOUD_RUN_JOB", "run-s")
    monkeypatch.setenv("CLOUD_RUN_EXECUTION", "run-s-1")
    with dg.instance_for_test(temp_dir=str(tmp_path)) as found:
        yield found


@pytest.fixture
def run_id(instance: dg.DagsterInstance) -> str:
    """A launched run of the small graph."""
    repository = ReconstructableRepository.for_module(MODULE, "defs", str(PROJECT))
    job = repository.get_reconstructable_job(small_graph.JOB)
    status, origin = dg.DagsterRunStatus.STARTING, job.get_python_origin()
    return instance.create_run_for_job(job.get_definition(), status=status, job_code_origin=origin).run_id


def steps(home: Path) -> list[str]:
    """Return the steps that began."""
    log = home / "steps.log"
    return [line.split()[1] for line in log.read_text().splitlines()] if log.exists() else []


def test_a_claimed_run_is_left_to_the_other_worker(
    instance: dg.DagsterInstance, run_id: str, tmp_path: Path
) -> None:
    held, wanted = FileLock(tmp_path / "claim"), FileLock(tmp_path / "claim")
    assert held.try_acquire()
    with pytest.raises(RunClaimedError, match=r"executed by process \d+"):
        execute_claimed_run(instance, run_id, wanted, RUNS)
    assert steps(tmp_path) == []
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert names.TAG_WORKER not in run.tags, "the other worker is the run's"
    held.release()
    assert execute_claimed_run(instance, run_id, wanted, RUNS) == dg.DagsterRunStatus.SUCCESS
    assert steps(tmp_path) == ["first", "second"]
    # Whoever comes later finds the run finished.
    assert execute_claimed_run(instance, run_id, wanted, RUNS) == dg.DagsterRunStatus.SUCCESS
    assert steps(tmp_path) == ["first", "second"]
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags[names.TAG_WORKER] == EXECUTION


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE])
def test_a_run_that_is_over_is_not_executed(
    instance: dg.DagsterInstance, run_id: str, tmp_path: Path, status: dg.DagsterRunStatus
) -> None:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    end = (
        instance.report_run_canceled if status == dg.DagsterRunStatus.CANCELED else instance.report_run_failed
    )
    end(run)
    assert execute_claimed_run(instance, run_id, FileLock(tmp_path / "claim"), RUNS) == status
    assert steps(tmp_path) == []


def test_an_unknown_run_is_said(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "claim")
    with pytest.raises(PlatformError, match="no such run"):
        execute_claimed_run(instance, "0f0f0f0f-1111-4222-8333-444455556666", lock, RUNS)
    assert lock.try_acquire(), "the claim was given back"
    lock.release()
