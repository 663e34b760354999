"""Runs in Cloud Run: started once whatever is lost, never taken for dead while they live, stopped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import dagster as dg
import pytest
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._core.test_utils import create_run_for_test

from mlops_assets.config import names
from mlops_assets.domain.errors import ConfigError
from resources import cloud_run_api, cloud_run_launcher
from resources.cloud_run_api import (
    RUN_VARIABLE,
    CloudRunApi,
    CloudRunBusyError,
    CloudRunRefusedError,
)
from resources.cloud_run_launcher import CloudRunLauncher
from tests.integration.cloud.cloud_run_server import PARENT, CloudRunServer


@pytest.fixture(scope="module")
def server() -> Iterator[CloudRunServer]:
    """One stand-in for all tests."""
    server = CloudRunServer()
    yield server
    server.stop()


@pytest.fixture
def cloud_run(server: CloudRunServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudRunServer]:
    """Cloud Run with its three jobs and no execution; at the end nothing wrong may have been asked of it."""
    monkeypatch.setattr(cloud_run_launcher, "_WAIT_S", 0.05)
    server.reset()
    yield server
    assert server.complaints == []


@pytest.fixture(scope="module")
def instance(
    server: CloudRunServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance that launches there, patient for a second."""
    config = {
        "project": "test-project",
        "region": "test-region1",
        "jobs": {"s": "run-s", "m": "run-m", "l": "run-l"},
        "patience_s": 1.0,
    }
    settings = {"module": "resources.cloud_run_launcher", "class": "CloudRunLauncher", "config": config}
    folder = str(tmp_path_factory.mktemp("dagster"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cloud_run_launcher.EMULATOR_VARIABLE, server.url)
        with dg.instance_for_test(temp_dir=folder, overrides={"run_launcher": settings}) as found:
            yield found


class Launched:
    """A run that was launched."""

    def __init__(self, instance: dg.DagsterInstance, tags: Mapping[str, str] | None = None) -> None:
        run = create_run_for_test(
            instance, job_name="daily_graph", status=dg.DagsterRunStatus.STARTING, tags=dict(tags or {})
        )
        self.instance, self.run_id = instance, run.run_id
        self.launch()

    def launch(self) -> None:
        """Launch it once more."""
        self.instance.run_launcher.launch_run(LaunchRunContext(self.run, None))

    @property
    def run(self) -> dg.DagsterRun:
        """The run as it is now."""
        found = self.instance.get_run_by_id(self.run_id)
        assert found is not None
        return found

    @property
    def execution(self) -> str:
        """The execution that the launcher knows."""
        return self.run.tags[names.TAG_EXECUTION]

    @property
    def health(self) -> WorkerStatus:
        """What the launcher says about it."""
        return self.instance.run_launcher.check_run_worker_health(self.run).status

    def says(self, text: str) -> bool:
        """Whether its log has a text."""
        return any(text in record.message for record in self.instance.all_logs(self.run_id))


@pytest.mark.parametrize(
    ("size", "job"), [(None, "run-m"), ("s", "run-s"), ("m", "run-m"), ("l", "run-l"), ("huge", "run-m")]
)
def test_a_run_starts_in_the_job_of_its_size(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer, size: str | None, job: str
) -> None:
    launched = Launched(instance, {names.TAG_SIZE: size} if size else None)
    (execution,) = cloud_run.executions.values()
    assert execution.name.startswith(f"{PARENT}/{job}/")
    assert execution.arguments == ["mlops", "execute-run", launched.run_id]
    assert execution.variables == {RUN_VARIABLE: launched.run_id}
    assert launched.execution == execution.name
    assert launched.health == WorkerStatus.RUNNING


@pytest.mark.parametrize("fault", ["lose", "page"])
def test_a_lost_answer_starts_nothing_twice(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer, fault: str
) -> None:
    faults = itertools.chain([fault], itertools.repeat(None))
    cloud_run.fault = lambda *_: next(faults)
    launched = Launched(instance)
    assert [one.name for one in cloud_run.executions.values()] == [launched.execution]
    assert cloud_run.count(":run") == 1


def test_an_answer_that_comes_too_late_starts_nothing_twice(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_run_api, "_ANSWER_S", 0.1)
    faults = itertools.chain(["hang"], itertools.repeat(None))
    cloud_run.fault = lambda *_: next(faults)

    def wait(_: object) -> None:
        cloud_run.fault = lambda *_: None

    cloud_run.on_start = wait
    launched = Launched(instance)
    assert names.TAG_EXECUTION in launched.run.tags
    # The first request is carried out after its answer was given up; the look may be earlier than that.
    assert 1 <= len(cloud_run.executions) <= 2


@pytest.mark.parametrize("fault", [500, 503, "drop", 429])
def test_a_busy_service_is_asked_again(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer, fault: int | str
) -> None:
    faults = itertools.chain([fault, fault], itertools.repeat(None))
    cloud_run.fault = lambda *_: next(faults)
    launched = Launched(instance)
    # Of this run: a request that an earlier test gave up may still be carried out.
    own = [one for one in cloud_run.executions.values() if one.variables[RUN_VARIABLE] == launched.run_id]
    assert len(own) == 1


def test_a_second_launch_adopts_the_execution_of_the_first(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer
) -> None:
    launched = Launched(instance)
    first = launched.execution
    launched.launch()
    assert len(cloud_run.executions) == 1
    assert launched.execution == first


def test_the_execution_is_found_on_a_later_page(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer
) -> None:
    launched = Launched(instance)
    api, job = CloudRunApi(cloud_run.url), f"{PARENT}/run-m"
    for number in range(250):
        api.start(job, ["other"], f"other-{number}")
    found = api.find(job, launched.run_id)
    assert found is not None
    assert found.name == launched.execution
    assert api.find(job, "nobody") is None


def test_a_run_whose_start_stays_unknown_is_not_failed(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer
) -> None:
    cloud_run.fault = lambda method, _: "lose" if method == "POST" else 503
    launched = Launched(instance)
    assert launched.run.status == dg.DagsterRunStatus.STARTING
    assert len(cloud_run.executions) == 1
    assert launched.health == WorkerStatus.RUNNING
    assert launched.says("does not say whether it started")


def test_a_service_that_refuses_or_is_not_there_fails_the_launch(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer
) -> None:
    cloud_run.jobs.clear()
    with pytest.raises(CloudRunRefusedError, match="deploy the jobs"):
        Launched(instance)
    cloud_run.fault = lambda *_: 403
    with pytest.raises(CloudRunRefusedError, match="service account"):
        CloudRunApi(cloud_run.url).start(f"{PARENT}/run-m", [], "a run")
    assert cloud_run.executions == {}


def test_without_a_connection_nothing_was_started() -> None:
    server = CloudRunServer()
    server.stop()
    with pytest.raises(CloudRunBusyError):
        CloudRunApi(server.url).start(f"{PARENT}/run-m", [], "a run")


@pytest.mark.parametrize("fault", [500, 503, 429, 401, 403, 404, "drop", "page", "lose"])
def test_silence_never_counts_as_death(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer, fault: int | str
) -> None:
    launched = Launched(instance)
    cloud_run.fault = lambda *_: fault
    assert launched.health == WorkerStatus.RUNNING


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("running", WorkerStatus.RUNNING),
        ("succeeded", WorkerStatus.SUCCESS),
        ("failed", WorkerStatus.FAILED),
        ("unstartable", WorkerStatus.FAILED),
    ],
)
def test_what_cloud_run_says_counts(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer, state: str, expected: WorkerStatus
) -> None:
    launched = Launched(instance)
    (execution,) = cloud_run.executions.values()
    execution.state = state
    assert launched.health == expected
    told = instance.run_launcher.get_run_worker_debug_info(launched.run)
    assert told is not None
    assert execution.name in told


def test_an_execution_that_is_gone_has_failed(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer
) -> None:
    launched = Launched(instance)
    cloud_run.executions.clear()
    assert launched.health == WorkerStatus.FAILED


def test_the_execution_that_claimed_the_run_counts(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer
) -> None:
    launched = Launched(instance)
    other = CloudRunApi(cloud_run.url).start(f"{PARENT}/run-m", [], "another")
    cloud_run.executions[launched.execution].state = "succeeded"
    instance.add_run_tags(launched.run_id, {names.TAG_WORKER: other})
    assert launched.health == WorkerStatus.RUNNING


def test_a_live_run_is_stopped(instance: dg.DagsterInstance, cloud_run: CloudRunServer) -> None:
    launched = Launched(instance)
    assert instance.run_launcher.terminate(launched.run_id)
    (execution,) = cloud_run.executions.values()
    assert execution.is_cancelled
    assert launched.run.status == dg.DagsterRunStatus.CANCELING, "the worker says when it has stopped"
    assert not instance.run_launcher.terminate(launched.run_id), "it is over"
    assert launched.run.status == dg.DagsterRunStatus.CANCELED


def test_what_is_left_of_a_finished_run_is_stopped(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer
) -> None:
    launched = Launched(instance)
    instance.report_run_failed(launched.run)
    assert instance.run_launcher.terminate(launched.run_id)
    (execution,) = cloud_run.executions.values()
    assert execution.is_cancelled
    assert launched.run.status == dg.DagsterRunStatus.FAILURE


def test_a_run_that_cannot_be_stopped_now_says_so(
    instance: dg.DagsterInstance, cloud_run: CloudRunServer
) -> None:
    launched = Launched(instance)
    cloud_run.fault = lambda *_: 503
    assert not instance.run_launcher.terminate(launched.run_id)
    assert launched.run.status == dg.DagsterRunStatus.CANCELING
    assert launched.says("could not be stopped")


@pytest.mark.parametrize(
    "endpoint", ["http://run.example", "https://127.0.0.1", "ftp://localhost", "http://10.0.0.1"]
)
def test_credentials_go_to_google_only(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="not the address"):
        CloudRunApi(endpoint)


def test_dagster_opens_it_as_rendered(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_launcher, CloudRunLauncher)
    assert instance.run_launcher.supports_check_run_worker_health
