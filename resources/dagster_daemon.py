"""Dagster's daemon in this process, under leadership.

Belongs here: starting it, and whether its parts report. Does not belong here: who may start it (leader).

It runs in this very process, so that whatever ends the process ends the daemon.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from resources.json_logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import dagster as dg

    from mlops_assets.config.run_models import LogForm


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

    mark_first_event(instance)
    target = WorkspaceFileTarget([str(workspace_file)])
    with (
        _stopped_by_signals(),
        daemon_controller_from_instance(instance, target, code_server_log_level="warning") as controller,
    ):
        configure_logs(logs)  # Dagster has set up its own by now
        controller.check_daemon_loop()


def mark_first_event(instance: dg.DagsterInstance) -> None:
    """Let a daemon that has never run look at whatever ends from now on.

    Dagster's part that tries failed runs again takes the newest event at its own first look as the beginning. If the
    very first daemon is killed before that, the next one fails the killed run before it looks: nobody tries it again.
    """
    from dagster._daemon.auto_run_reexecution.event_log_consumer import (
        DAGSTER_EVENT_TYPES,
        _create_cursor_key,
    )

    keys = {_create_cursor_key(kind) for kind in DAGSTER_EVENT_TYPES}
    storage = instance.daemon_cursor_storage
    missing = keys - {key for key, value in storage.get_cursor_values(keys).items() if value}
    if missing:
        newest = instance.event_log_storage.get_maximum_record_id() or 0
        storage.set_cursor_values(dict.fromkeys(missing, str(newest)))


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
