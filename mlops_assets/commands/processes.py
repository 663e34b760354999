"""`mlops execute-run`, `mlops daemon` and `mlops migrate`: what containers and services start, rather than people.

Belongs here: arguments and output. Does not belong here: what they do (package `resources`).
"""

from __future__ import annotations

import click

from mlops_assets.commands.workspace import open_workspace
from resources.process_lock import open_lock
from resources.run_worker import RunClaimedError, execute_claimed_run, require_run_id


@click.command("execute-run", hidden=True)
@click.argument("run_id")
def execute_run(run_id: str) -> None:
    """Execute a launched run in this process, unless another one does. Exit status 1: the run failed."""
    import dagster as dg

    lock_name = f"run-{require_run_id(run_id)}"
    workspace = open_workspace()
    environment = workspace.config.environment
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
