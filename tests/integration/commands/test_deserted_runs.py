"""A command that is killed leaves a run that the next command ends; one that is asked to end, ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.commands.sensor_ticks import _is_done
from resources.own_runs import (
    TAG_PROCESS,
    fail_deserted_runs,
    find_deserted_runs,
    own_process,
    unfinished_runs,
)
from tests.conventions.repository import ROOT
from tests.integration.commands.one_asset_run import RUN_KEY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
PATIENCE_S = 120


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance with stores of its own, that a command shares."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@contextmanager
def command(folder: Path, way: str) -> Iterator[subprocess.Popen[str]]:
    """Start a command and yield it once its run has begun."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DAGSTER_HOME": str(folder)}
    words = [sys.executable, "-m", "tests.integration.commands.one_asset_run", str(folder), way]
    with subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


def has_outcome(instance: dg.DagsterInstance) -> bool:
    """Whether a request with the command's run key counts as met or under way."""
    return _is_done(instance, dg.RunRequest(run_key=RUN_KEY))


def test_run_of_a_killed_command_is_failed_and_its_request_is_open_again(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with command(tmp_path, "sleep") as process:
        assert list(fail_deserted_runs(instance)) == [], "a run whose process lives is left alone"
        (run,) = unfinished_runs(instance)
        process.kill()
        process.wait(PATIENCE_S)
    assert has_outcome(instance), "the records say that it goes on"
    assert [one.run_id for one, _ in find_deserted_runs(instance)] == [run.run_id]
    (told,) = fail_deserted_runs(instance)
    assert run.run_id in told
    assert f"its process {process.pid} is gone" in told
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == dg.DagsterRunStatus.FAILURE
    assert not has_outcome(instance)
    assert list(fail_deserted_runs(instance)) == []


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {TAG_PROCESS: "boot/pid:[1]/elsewhere@1@0.0"},
        {TAG_PROCESS: "nonsense"},
        {TAG_PROCESS: own_process().rsplit("@", 2)[0] + "@one@now"},
        {TAG_PROCESS: own_process()},
    ],
    ids=["launched", "other machine", "nonsense", "no numbers", "alive"],
)
def test_run_that_may_live_is_left_alone(instance: dg.DagsterInstance, tags: dict[str, str]) -> None:
    from dagster._core.test_utils import create_run_for_test

    run = create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert list(fail_deserted_runs(instance)) == []
    again = instance.get_run_by_id(run.run_id)
    assert again is not None
    assert again.status == dg.DagsterRunStatus.STARTED


def test_number_of_a_process_that_was_given_again_is_no_life(instance: dg.DagsterInstance) -> None:
    from dagster._core.test_utils import create_run_for_test

    machine = own_process().rsplit("@", 2)[0]
    tags = {TAG_PROCESS: f"{machine}@{os.getpid()}@1.0"}  # this process did not live in 1970
    create_run_for_test(instance, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert len(list(fail_deserted_runs(instance))) == 1


@pytest.mark.parametrize("way", ["sleep", "mask"])
def test_command_that_is_asked_to_end_ends(instance: dg.DagsterInstance, tmp_path: Path, way: str) -> None:
    """Also where the work turns the interruption into an error of its own, which looks like any failed step."""
    with command(tmp_path, way) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 130
    assert unfinished_runs(instance) == []


def test_word_that_comes_as_the_run_ends_is_heard(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    with command(tmp_path, "late") as process:
        assert process.wait(PATIENCE_S) == 130
    (run,) = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.SUCCESS, "Dagster has dropped the signal"
