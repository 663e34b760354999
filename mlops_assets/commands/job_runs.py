"""Jobs of the graph run to their end by a command: one here, or several segments' beside each other.

Belongs here: executing a job, what is told of it, the processes in which independent runs go on at once. Does not
belong here: which jobs are due, and in what order (replay.py).

Segments share no model, so the trainings that one sensor asks for in one tick do not touch each other: each gets a
process with its share of the cores. The stores they meet in (ledger, MLflow, outbox, lake) are made for many processes.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from mlops_assets.assets.heavy_libraries import import_heavy_libraries
from mlops_assets.commands.stop_signals import noted_stop_signals
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config import names
from mlops_assets.config.run_plan import all_slots
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from resources.own_runs import TAG_PROCESS, own_process

if TYPE_CHECKING:
    import dagster as dg

    from mlops_assets.config.models import ProjectConfig

# Run logs stay in Dagster's event log; the terminal shows one line a day.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class CommandInterruptedError(click.ClickException):
    """Somebody stopped the command; nothing half-written is visible, and it goes on where it was stopped."""

    exit_code = 130

    def __init__(self, message: str = "interrupted; the same command goes on from here") -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Refusal:
    """A file that was not used, why, and whether it was `missing`, `held` or `refused`."""

    feed: str
    geography: str
    reason: str
    state: str


@dataclass(frozen=True)
class JobRun:
    """A job to run: its partition, tags, and the keys of the assets to run if not all."""

    job_name: str
    partition_key: str | None
    tags: Mapping[str, str]
    only: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class JobResult:
    """Whether a run succeeded, the files it did not use, its failures, and what it decided about models."""

    succeeded: bool
    refused: tuple[Refusal, ...]
    failures: tuple[str, ...]
    decisions: tuple[LedgerEntry, ...] = ()


@dataclass
class JobRunner:
    """Runs jobs of a workspace; `instance` records them."""

    workspace: Workspace
    instance: dg.DagsterInstance
    _jobs: dict[str, dg.JobDefinition] = field(default_factory=dict)
    _stack: ExitStack | None = None
    _kept: dict[int, ProcessPoolExecutor] = field(default_factory=dict)  # by the number of its processes

    def execute(self, run: JobRun) -> JobResult:
        """Run a job in this process.

        Raises:
            CommandInterruptedError: SIGINT or SIGTERM came while it ran.
        """
        import dagster as dg

        job = self._job(run.job_name)
        ledger = self.workspace.platform.ledger
        before = {slot: len(ledger.history(slot)) for slot in decided_slots(self.workspace.config, run)}
        with noted_stop_signals() as signals:
            result = job.execute_in_process(
                partition_key=run.partition_key,
                instance=self.instance,
                raise_on_error=False,
                tags={**run.tags, TAG_PROCESS: own_process()},
                run_config=QUIET,
                asset_selection=[dg.AssetKey(key) for key in run.only] or None,
            )
            if signals.has_come or _is_interrupted(result):
                raise CommandInterruptedError
        decided = (entry for slot, known in before.items() for entry in ledger.history(slot)[known:])
        return JobResult(result.success, tuple(_refused(result)), tuple(_failures(result)), tuple(decided))

    def asset_keys(self, job_name: str) -> tuple[tuple[str, ...], ...]:
        """Return the keys of the assets that a job builds, sorted."""
        return tuple(sorted(tuple(key.path) for key in self._job(job_name).asset_layer.executable_asset_keys))

    def _job(self, job_name: str) -> dg.JobDefinition:
        if job_name not in self._jobs:
            self._jobs[job_name] = self.workspace.definitions.resolve_job_def(job_name)
        return self._jobs[job_name]

    def execute_chains(self, chains: Sequence[Sequence[JobRun]]) -> list[list[JobResult]]:
        """Run chains of jobs, each chain in its order, independent ones in processes beside each other.

        Raises:
            CommandInterruptedError: SIGINT or SIGTERM came while they ran.
        """
        workers = self._processes(len(chains))
        if workers < 2:
            return [[self.execute(run) for run in chain] for chain in chains]
        config = _share_cores(self.workspace.config, workers)
        with self._training_pool(workers) as pool:
            running = pool.map(execute_in_worker, itertools.repeat(config), chains)
            if self._stack is not None:  # there will be more runs, which ask here what is trained there
                import_heavy_libraries()
            return list(running)

    def serve(self, workspace: Workspace) -> JobRunner:
        """Return what runs the jobs of another configuration of this data root, in the processes that are kept here."""
        return JobRunner(workspace, self.instance, _stack=self._stack, _kept=self._kept)

    @contextmanager
    def keep_processes(self) -> Iterator[None]:
        """Let the processes of one call of `execute_chains` wait for the next: starting them takes seconds."""
        with ExitStack() as stack:
            self._stack = stack
            try:
                yield
            finally:
                self._stack, self._kept = None, {}

    def start_processes(self, workers: int, job_names: Sequence[str]) -> None:
        """Start the processes of later calls of `execute_chains` now, within `keep_processes`, to run these jobs."""
        if (workers := self._processes(workers)) > 1:
            with self._training_pool(workers) as pool:
                for _ in range(workers):
                    pool.submit(prepare_training, job_names)

    def _processes(self, chains: int) -> int:
        return min(chains, self.workspace.config.environment.executor.cores)

    @contextmanager
    def _training_pool(self, workers: int) -> Iterator[ProcessPoolExecutor]:
        if self._stack is None:
            with self.open_pool(workers) as pool:
                yield pool
            return
        if workers not in self._kept:
            self._kept[workers] = self._stack.enter_context(self.open_pool(workers))
        yield self._kept[workers]

    @contextmanager
    def open_pool(self, workers: int, shares: int | None = None) -> Iterator[ProcessPoolExecutor]:
        """Open processes that execute jobs of this workspace (`execute_in_worker`), each with its share of the cores.

        Args:
            workers: number of processes.
            shares: into how many parts the cores are divided; default: one for each process.

        Raises:
            click.ClickException: one of them was killed.
        """
        context = multiprocessing.get_context("spawn")
        arguments = (self.workspace.home, _share_cores(self.workspace.config, shares or workers))
        others = set(multiprocessing.active_children())
        with ProcessPoolExecutor(workers, context, _open_worker, arguments) as pool:
            try:
                yield pool
            except BrokenProcessPool as error:
                raise click.ClickException(
                    "a process of a run was killed, perhaps for want of memory; the same command goes on from here"
                ) from error
            except BaseException:
                # Without this, leaving the block would wait for runs that nobody wants any more.
                for child in set(multiprocessing.active_children()) - others:
                    child.terminate()
                raise


def decided_slots(config: ProjectConfig, run: JobRun) -> list[ModelSlot]:
    """Return the slots that a training decides about; none for other jobs."""
    return [
        slot
        for slot in all_slots(config)
        if (names.training_job(slot.use_case), slot.segment) == (run.job_name, run.partition_key)
    ]


def _share_cores(config: ProjectConfig, workers: int) -> ProjectConfig:
    executor = config.environment.executor
    executor = executor.model_copy(update={"cores": max(1, executor.cores // workers)})
    return config.with_environment(executor=executor)


_opened: dict[int, JobRunner] = {}  # of a worker: its process and what it runs with


def _open_worker(home: Path, config: ProjectConfig) -> None:
    Finalize(None, _end_worker, exitpriority=-1)
    follow_parent()
    workspace = Workspace(home, config)
    _opened[os.getpid()] = JobRunner(workspace, workspace.open_instance())


def follow_parent() -> None:
    """Let this process end as soon as the command that started it is killed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose parent was killed: nobody would read what it makes, and the next command makes it again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end_worker() -> None:
    """End a worker as a forked one ends: at the end of an interpreter DuckDB would call its own types leaks."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def worker_runner() -> JobRunner:
    """Return what runs jobs in this process, which is one of `JobRunner.open_pool`."""
    return _opened[os.getpid()]


def load_jobs(job_names: Sequence[str]) -> None:
    """Load the graph into a process of `JobRunner.open_pool`, and jobs of it."""
    for name in job_names:
        worker_runner().asset_keys(name)


def prepare_training(job_names: Sequence[str]) -> None:
    """Load all that jobs that train need into a process of `JobRunner.open_pool`."""
    import_heavy_libraries()
    load_jobs(job_names)


def execute_in_worker(config: ProjectConfig, chain: Sequence[JobRun]) -> list[JobResult]:
    """Run a chain of jobs by a configuration, in a process of `JobRunner.open_pool`."""
    runner = worker_runner()
    if runner.workspace.config != config:
        runner = _opened[os.getpid()] = runner.serve(Workspace(runner.workspace.home, config))
    return [runner.execute(run) for run in chain]


def _refused(result: dg.ExecuteInProcessResult) -> Iterator[Refusal]:
    for check in result.get_asset_check_evaluations():
        if not check.passed and check.check_name == names.CHECK_DELIVERY:
            by_geography = cast("dict[str, list[str]]", check.metadata[names.REFUSED_METADATA].value)
            states = cast("dict[str, str]", check.metadata[names.STATES_METADATA].value)
            feed = check.asset_key.path[-1]
            for geography, reasons in by_geography.items():
                yield from (Refusal(feed, geography, reason, states[geography]) for reason in reasons)


def _is_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    """Return whether SIGINT or SIGTERM ended the run; Dagster takes it for a failure and would go on with the next."""
    from dagster._core.events import RunFailureReason

    ended = result.filter_events(lambda event: event.is_job_failure)
    return any(
        event.job_failure_data.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION for event in ended
    )


def _failures(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.filter_events(lambda e: e.is_step_failure):
        error = event.step_failure_data.error
        cause = error.cause if error and error.cause else error
        yield f"{event.step_key}: {cause.message.strip().splitlines()[0] if cause else 'failed'}"
