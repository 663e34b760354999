"""Dagster's daemon in this process, under leadership.

Belongs here: starting it, and whether its parts report. Does not belong here: who may start it (leader).

It runs in this very process, so that whatever ends the process ends the daemon.
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from resources.json_logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    import dagster as dg
    from dagster._core.workspace.context import IWorkspaceProcessContext
    from dagster._daemon.daemon import DagsterDaemon

    from mlops_assets.config.run_models import LogForm

_FORGOTTEN_WITHIN = dt.timedelta(hours=1)  # older failures are history: a new daemon must not repeat them


def run_daemon(instance: dg.DagsterInstance, workspace_file: Path, logs: LogForm) -> None:
    """Run the daemon until the process is told to stop.

    Args:
        instance: whose sensors, schedules and queue it looks after.
        workspace_file: names the code to load.
        logs: form of the lines.

    Raises:
        Exception: a part of the daemon has stopped reporting; the process has to be started again.
    """
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._daemon.controller import daemon_controller_from_instance

    target = WorkspaceFileTarget([str(workspace_file)])
    with (
        _stopped_by_signals(),
        daemon_controller_from_instance(
            instance, target, gen_daemons=make_daemons, code_server_log_level="warning"
        ) as controller,
    ):
        configure_logs(logs)  # Dagster has set up its own by now
        controller.check_daemon_loop()


def make_daemons(instance: dg.DagsterInstance) -> Iterator[DagsterDaemon[Any]]:
    """Yield the parts of Dagster's daemon; the one that tries failed runs again forgets none.

    It follows events, and looks at a run as it is when its failure is read: if the run's record is not yet updated, or
    if this was the very first look of a daemon, the run is never tried again. So after each round it also looks for
    runs that are marked to be tried again and have not been.
    """
    from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
        consume_new_runs_for_automatic_reexecution,
    )
    from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
    from dagster._daemon.controller import create_daemons_from_instance

    class FailedRunsDaemon(EventLogConsumerDaemon):
        def run_iteration(
            self, workspace_process_context: IWorkspaceProcessContext
        ) -> Generator[Any, None, None]:
            yield from super().run_iteration(workspace_process_context)
            forgotten = find_forgotten_runs(instance)
            yield from consume_new_runs_for_automatic_reexecution(
                workspace_process_context, forgotten, self._logger
            )

    for daemon in create_daemons_from_instance(instance):
        yield FailedRunsDaemon() if isinstance(daemon, EventLogConsumerDaemon) else daemon


def find_forgotten_runs(instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    """Return the runs that failed within the last hour, are to be tried again, and have not been."""
    import dagster as dg
    from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG

    failed = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={WILL_RETRY_TAG: "true"},
        updated_after=dt.datetime.now(dt.UTC) - _FORGOTTEN_WITHIN,
    )
    records = instance.get_run_records(filters=failed)
    return [one for one in records if AUTO_RETRY_RUN_ID_TAG not in one.dagster_run.tags]


def find_silent_daemons(instance: dg.DagsterInstance) -> list[str]:
    """Return which parts of the daemon do not report, or report errors; says so if the database is away."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        statuses = instance.get_daemon_statuses().values()
    except SQLAlchemyError as error:
        return [f"Dagster's database does not answer: {(str(error).splitlines() or [''])[0]}"]
    return [f"{one.daemon_type} does not report" for one in statuses if one.required and not one.healthy]


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM end the daemon as Ctrl-C does: runs that were started go on."""
    from dagster._utils.interrupts import capture_interrupts

    with capture_interrupts():
        try:
            yield
        except KeyboardInterrupt:
            return
