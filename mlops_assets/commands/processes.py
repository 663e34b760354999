"""`mlops execute-run`, `mlops daemon` and `mlops migrate`: what containers and services start, rather than people.

Belongs here: arguments and output. Does not belong here: what they do (package `resources`).
"""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.workspace import open_workspace
from mlops_assets.config.loader import PROJECT_CONFIGS
from resources.health_pages import serve_health
from resources.json_logs import configure_logs
from resources.leader import LOCK_NAME, TAKE_OVER_S, Leadership
from resources.process_lock import open_lock
from resources.run_worker import RunClaimedError, execute_claimed_run, require_run_id

if TYPE_CHECKING:
    import dagster as dg

    from mlops_assets.config.run_models import LogForm


@click.command("execute-run", hidden=True)
@click.argument("run_id")
def execute_run(run_id: str) -> None:
    """Execute a launched run in this process, unless another one does. Exit status 1: the run failed."""
    import dagster as dg

    lock_name = f"run-{require_run_id(run_id)}"
    workspace = open_workspace()
    environment = workspace.config.environment
    configure_logs(environment.logs)
    with workspace.open_instance() as instance:
        lock = open_lock(environment, workspace.home, lock_name)
        try:
            status = execute_claimed_run(instance, run_id, lock, environment.runs)
        except RunClaimedError as claimed:  # the other worker's status counts
            click.echo(str(claimed))
            return
    click.echo(f"run {run_id}: {status.value}")
    if status != dg.DagsterRunStatus.SUCCESS:
        raise SystemExit(1)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the health pages.")
@click.option(
    "--health-port", type=click.IntRange(0, 65535), help="Port of /healthz and /readyz; none if not given."
)
@click.option(
    "--workspace",
    "workspace_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=PROJECT_CONFIGS.parent / "workspace.yaml",
    help="Names the code whose runs are looked after; the platform's own if not given.",
)
def daemon(host: str, health_port: int | None, workspace_file: Path) -> None:
    """Run Dagster's daemon, as the only one of the environment.

    A second one waits until the first has ended. Exit status 1: it may no longer be the only one; start it again.

    Example: mlops daemon --health-port 8080
    """
    from resources.dagster_daemon import find_silent_daemons, run_daemon

    workspace = open_workspace()
    environment = workspace.config.environment
    _log_to_console(environment.logs)
    is_shared = environment.database.kind == "postgresql"
    lock = open_lock(environment, workspace.home, LOCK_NAME)
    leadership = Leadership(lock, take_over_s=TAKE_OVER_S if is_shared else 0.0)
    opened: list[dg.DagsterInstance] = []

    def problems() -> list[str]:
        if leadership.state != "leading" or not opened:
            return [f"this process is {leadership.state}"]
        return find_silent_daemons(opened[0])

    with ExitStack() as stack:
        if health_port is not None:
            stack.enter_context(
                serve_health(host, health_port, lambda: {"daemon": leadership.state}, problems)
            )
        leadership.wait()
        stack.callback(leadership.stop)
        instance = stack.enter_context(workspace.open_instance())
        opened.append(instance)
        run_daemon(instance, workspace_file, environment.logs)


@click.command()
@with_json
def migrate(*, out: Output) -> None:
    """Bring every store of the environment to the schema of this release; run it before anything else starts.

    Example: mlops migrate
    """
    from resources.migration import LOCK_NAME as MIGRATION
    from resources.migration import migrate_stores

    workspace = open_workspace()
    environment = workspace.config.environment
    configure_logs(environment.logs)
    lock = open_lock(environment, workspace.home, MIGRATION)
    lines = []
    for line in migrate_stores(workspace.platform, workspace.open_instance, lock):
        if not out.is_json:  # a person sees each as it is done: a large one takes time
            click.echo(line)
        lines.append(line)
    if out.is_json:
        stores = [dict(zip(("store", "state"), line.split(": ", 1), strict=True)) for line in lines]
        out.tell(stores, "")


def _log_to_console(form: LogForm) -> None:
    """Let the process say what it does, in words or in JSON."""
    if form == "text":
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stdout)
        logging.getLogger("alembic").setLevel(logging.WARNING)
    configure_logs(form)
