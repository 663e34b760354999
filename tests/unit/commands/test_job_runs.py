"""Processes in which segments are trained: when they are started, and when they end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from mlops_assets.commands.job_runs import JobResult, JobRun, JobRunner, prepare_training
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig

_DONE = JobResult(succeeded=True, refused=(), failures=())


class _Pool:
    """Stands for processes; every job succeeds at once."""

    asked: ClassVar[list[tuple[object, Sequence[str]]]] = []
    configs: ClassVar[list[ProjectConfig]] = []

    def map(
        self, _execute: object, configs: Iterator[ProjectConfig], chains: Sequence[Sequence[JobRun]]
    ) -> list[list[JobResult]]:
        """Note by which configuration each chain is run."""
        self.configs.extend(config for config, _ in zip(configs, chains, strict=False))
        return [[_DONE for _ in chain] for chain in chains]

    def submit(self, act: object, job_names: Sequence[str]) -> None:
        """Note what is asked of a process."""
        self.asked.append((act, job_names))


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobRunner:
    config = load_project()
    executor = config.environment.executor.model_copy(update={"cores": 4})
    found = JobRunner(Workspace(tmp_path, config.with_environment(executor=executor)), cast("Any", None))
    log: list[str] = []
    monkeypatch.setattr(found, "log", log, raising=False)

    @contextmanager
    def open_pool(workers: int, shares: int | None = None) -> Iterator[_Pool]:
        del shares
        log.append(f"start {workers}")
        try:
            yield _Pool()
        finally:
            log.append(f"end {workers}")

    monkeypatch.setattr(found, "open_pool", open_pool)
    return found


def _chains(number: int) -> list[list[JobRun]]:
    return [[JobRun("train", f"segment {one}", {})] for one in range(number)]


def test_they_end_with_the_call(runner: JobRunner) -> None:
    assert runner.execute_chains(_chains(2)) == [[_DONE], [_DONE]]
    runner.execute_chains(_chains(2))
    assert cast("Any", runner).log == ["start 2", "end 2"] * 2


def test_they_wait_for_the_next_call_if_they_are_kept(runner: JobRunner) -> None:
    with runner.keep_processes():
        for number in (2, 3, 2, 3):
            runner.execute_chains(_chains(number))
    assert cast("Any", runner).log == ["start 2", "start 3", "end 3", "end 2"]
    runner.execute_chains(_chains(2))
    assert cast("Any", runner).log[-2:] == ["start 2", "end 2"]


def test_they_end_with_a_failure(runner: JobRunner) -> None:
    def fail() -> None:
        with runner.keep_processes():
            runner.execute_chains(_chains(2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert cast("Any", runner).log == ["start 2", "end 2"]


def test_they_may_be_started_before_they_are_needed(runner: JobRunner) -> None:
    _Pool.asked.clear()
    with runner.keep_processes():
        runner.start_processes(1, ["train"])
        assert cast("Any", runner).log == [], "one chain is run here"
        runner.start_processes(2, ["train"])
        assert _Pool.asked == [(prepare_training, ["train"])] * 2
        runner.execute_chains(_chains(2))
    assert cast("Any", runner).log == ["start 2", "end 2"]


def test_they_serve_another_configuration_too(runner: JobRunner) -> None:
    _Pool.configs.clear()
    config = runner.workspace.config
    one = config.model_copy(update={"geographies": {"cl": config.geographies["cl"]}})
    with runner.keep_processes():
        runner.execute_chains(_chains(2))
        runner.serve(Workspace(runner.workspace.home, one)).execute_chains(_chains(2))
    assert cast("Any", runner).log == ["start 2", "end 2"]
    assert [set(each.geographies) for each in _Pool.configs] == [set(config.geographies)] * 2 + [{"cl"}] * 2
    assert {each.environment.executor.cores for each in _Pool.configs} == {2}, (
        "each has its share of the cores"
    )
