"""Whether a run's process lives: never wrong about one that does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import WorkerStatus
from dagster._core.test_utils import create_run_for_test

from resources.local_launcher import TAG_MACHINE, is_alive, own_machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance with the launcher of deploy/local/dagster.yaml."""
    settings = {"module": "resources.local_launcher", "class": "LocalRunLauncher"}
    folder = str(tmp_path_factory.mktemp("dagster"))
    with dg.instance_for_test(temp_dir=folder, overrides={"run_launcher": settings}) as found:
        yield found


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def health(instance: dg.DagsterInstance, machine: str, pid: int | None) -> WorkerStatus:
    """Return what the launcher says about a run of that machine and process."""
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags={TAG_MACHINE: machine})
    instance.report_engine_event("Launching.", run)
    if pid is not None:
        instance.report_engine_event("Started process for run.", run, EngineEventData.in_process(pid))
    return instance.run_launcher.check_run_worker_health(run).status


def test_a_process_lives_until_it_is_killed(
    instance: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    assert health(instance, own_machine(), process.pid) == WorkerStatus.RUNNING
    process.kill()  # and nobody waits for it: it is a zombie
    deadline_s = time.monotonic() + PATIENCE_S
    while is_alive(process.pid, time.time()):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert health(instance, own_machine(), process.pid) == WorkerStatus.FAILED
    process.wait()
    assert health(instance, own_machine(), process.pid) == WorkerStatus.FAILED


def test_a_number_that_was_used_again_is_another_process(process: subprocess.Popen[bytes]) -> None:
    assert is_alive(process.pid, time.time())
    assert not is_alive(process.pid, time.time() - 3600)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda boot, _, host: f"{boot}/pid:[1]/{host}", WorkerStatus.RUNNING),  # another container
        (lambda boot, space, _: f"{boot}/{space}/elsewhere", WorkerStatus.RUNNING),
        (lambda _, space, host: f"an-older-start/{space}/{host}", WorkerStatus.FAILED),
        (lambda *_: "", WorkerStatus.RUNNING),
        (lambda *_: "//", WorkerStatus.RUNNING),
    ],
    ids=["namespace", "machine", "restart", "unknown", "untold"],
)
def test_what_cannot_be_seen_counts_as_alive(
    instance: dg.DagsterInstance, change: object, expected: WorkerStatus
) -> None:
    assert callable(change)
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    there = change(*own_machine().split("/"))
    assert health(instance, there, int(gone.stdout)) == expected


def test_a_run_whose_process_is_not_noted_counts_as_alive(instance: dg.DagsterInstance) -> None:
    assert health(instance, own_machine(), None) == WorkerStatus.RUNNING


def test_this_process_lives() -> None:
    assert is_alive(os.getpid(), time.time())
    assert Path("/proc/self/ns/pid").is_symlink()
