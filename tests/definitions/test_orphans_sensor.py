"""The sensor of orphans: runs without a worker and workers without a run are ended once, live ones never."""

import datetime as dt
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.test_utils import create_run_for_test
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from mlops_assets.config import names
from sensors import orphans
from sensors.orphans import build_orphans_sensor


class ToldLauncher(RunLauncher, ConfigurableClass):
    """Says what it is told about every run, and notes what it has to stop."""

    health = WorkerStatus.RUNNING
    knows = True
    stopped: list[str]
    ends_meanwhile = False

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data, self.stopped = inst_data, []
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "ToldLauncher":
        return cls(inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        raise NotImplementedError

    def terminate(self, run_id: str) -> bool:
        self.stopped.append(run_id)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return self.knows

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if self.ends_meanwhile:
            self._instance.report_run_canceled(run)
        return CheckRunHealthResult(self.health, run_worker_id="a worker")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    settings = {"module": __name__, "class": "ToldLauncher"}
    with dg.instance_for_test(temp_dir=str(tmp_path), overrides={"run_launcher": settings}) as found:
        yield found


def launcher(instance: dg.DagsterInstance) -> ToldLauncher:
    found = instance.run_launcher
    assert isinstance(found, ToldLauncher)
    return found


def tick(instance: dg.DagsterInstance) -> str:
    with dg.build_sensor_context(instance=instance) as context:
        found = build_orphans_sensor().evaluate_tick(context)
    assert not found.run_requests
    return found.skip_message or ""


def make_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, *, is_known: bool = True) -> str:
    tags = {names.TAG_EXECUTION: "executions/1"} if is_known else {}
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=tags)
    if status == dg.DagsterRunStatus.FAILURE:
        instance.report_run_failed(run)
    elif status == dg.DagsterRunStatus.CANCELED:
        instance.report_run_canceled(run)
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize("health", [one for one in WorkerStatus if one != WorkerStatus.SUCCESS])
def test_a_run_is_left_alone_unless_its_worker_has_ended_well(
    instance: dg.DagsterInstance, health: WorkerStatus
) -> None:
    run_id = make_run(instance, dg.DagsterRunStatus.STARTED)
    launcher(instance).health = health
    assert tick(instance) == "every unfinished run has its worker"
    assert status_of(instance, run_id) == dg.DagsterRunStatus.STARTED


def test_a_run_whose_worker_has_ended_without_a_word_is_failed_once(instance: dg.DagsterInstance) -> None:
    run_id = make_run(instance, dg.DagsterRunStatus.STARTED)
    launcher(instance).health = WorkerStatus.SUCCESS
    said = tick(instance)
    assert run_id in said
    assert "without saying how" in said
    assert status_of(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert tick(instance) == "every unfinished run has its worker"
    failures = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert len(failures) == 1


def test_a_run_that_ends_while_its_worker_is_asked_is_left_as_it_is(instance: dg.DagsterInstance) -> None:
    run_id = make_run(instance, dg.DagsterRunStatus.STARTED)
    launcher(instance).health, launcher(instance).ends_meanwhile = WorkerStatus.SUCCESS, True
    tick(instance)
    assert status_of(instance, run_id) == dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
def test_a_worker_that_outlives_its_run_is_stopped(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, status: dg.DagsterRunStatus
) -> None:
    run_id = make_run(instance, status)
    assert tick(instance) == "every unfinished run has its worker", "it may still be saying goodbye"
    monkeypatch.setattr(orphans, "GRACE", dt.timedelta(seconds=-60))
    assert run_id in tick(instance)
    assert launcher(instance).stopped == [run_id]
    launcher(instance).health = WorkerStatus.FAILED
    tick(instance)
    launcher(instance).health = WorkerStatus.RUNNING
    tick(instance)
    assert launcher(instance).stopped == [run_id], "once it has ended it is not asked after again"


def test_runs_without_a_known_worker_are_nobodys(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "GRACE", dt.timedelta(seconds=-60))
    make_run(instance, dg.DagsterRunStatus.FAILURE, is_known=False)
    tick(instance)
    assert launcher(instance).stopped == []


def test_a_launcher_that_cannot_tell_ends_nothing(instance: dg.DagsterInstance) -> None:
    run_id = make_run(instance, dg.DagsterRunStatus.STARTED)
    launcher(instance).knows, launcher(instance).health = False, WorkerStatus.SUCCESS
    assert "cannot say" in tick(instance)
    assert status_of(instance, run_id) == dg.DagsterRunStatus.STARTED
