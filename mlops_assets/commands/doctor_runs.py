"""What `mlops doctor` looks at of Dagster: its schema, runs that nobody executes, the daemon.

Belongs here: checks that read Dagster's history. Does not belong here: opening it for looking
(resources.store_inspection), ending runs (resources.own_runs).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_assets.commands.findings import Finding, ok, problem, warning
from mlops_assets.commands.workspace import Workspace
from resources.own_runs import find_deserted_runs, unfinished_runs
from resources.store_inspection import existing_instance

if TYPE_CHECKING:
    import dagster as dg

_IDS_SHOWN = 3


def check_history(workspace: Workspace) -> Iterator[Finding]:
    """Look at Dagster's schema, at runs that have begun and not ended, and at the daemon."""
    with existing_instance(workspace.config.environment, workspace.dagster_home) as instance:
        if instance is None:
            yield ok("Dagster", f"no run has been recorded yet in {workspace.dagster_home}")
            return
        found, newest = instance.run_storage.alembic_version() or (None, None)
        if found != newest:
            told = f"its tables are at revision {found}; `mlops migrate` would bring them to {newest}"
            yield warning("Dagster", told if found else "it has no tables yet", "mlops migrate")
            return
        yield ok("Dagster", f"its tables are at revision {found}, that of this release")
        yield from _check_runs(instance)
        yield from _check_daemon(instance, is_expected=workspace.config.environment.database.kind != "sqlite")


def _check_runs(instance: dg.DagsterInstance) -> Iterator[Finding]:
    deserted = {run.run_id for run, _ in find_deserted_runs(instance)}
    living = [run for run in unfinished_runs(instance) if run.run_id not in deserted]
    lost = [run for run in living if _has_lost_worker(instance, run)]
    if deserted:
        yield warning(
            "runs",
            f"{len(deserted)} count as under way, but their command was killed: {_ids(sorted(deserted))}",
            "mlops run",
        )
    if lost:
        yield warning(
            "runs",
            f"the worker of {len(lost)} is gone: {_ids([run.run_id for run in lost])}",
            "mlops daemon",
        )
    if not deserted and not lost:
        yield ok("runs", f"{len(living)} under way" if living else "none is under way")


def _has_lost_worker(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    from dagster._core.launcher.base import WorkerStatus

    launcher = instance.run_launcher
    if not launcher.supports_check_run_worker_health:
        return False
    return launcher.check_run_worker_health(run).status in {WorkerStatus.FAILED, WorkerStatus.NOT_FOUND}


def _ids(ids: list[str]) -> str:
    more = f" and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return ", ".join(one[:8] for one in ids[:_IDS_SHOWN]) + more


def _check_daemon(instance: dg.DagsterInstance, *, is_expected: bool) -> Iterator[Finding]:
    """Say whether a daemon reports, where one has ever worked or must work, and what waits for it."""
    import dagster as dg

    queued = instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    beats = instance.get_daemon_heartbeats().values()
    if not beats and not is_expected and not queued:
        yield ok("daemon", "none has worked here; `mlops run` needs none")
        return
    silent = [
        one.daemon_type for one in instance.get_daemon_statuses().values() if one.required and not one.healthy
    ]
    if not silent:
        yield ok("daemon", "all its parts report")
        return
    last = max((beat.timestamp for beat in beats), default=None)
    told = "it has never reported"
    if last is not None:
        told = f"it has not reported since {dt.datetime.fromtimestamp(last, dt.UTC):%Y-%m-%d %H:%M} UTC"
    waits = f", and {queued} runs wait for it" if queued else ""
    make = problem if queued or is_expected else warning
    yield make("daemon", f"{told}{waits}", "mlops daemon")
