"""The `mlops` command.

Belongs here: the list of commands and how errors end a command. Does not belong here: any command
(mlops_assets.commands).
"""

from __future__ import annotations

import sys

import click

from mlops_assets.commands.approvals import approvals_commands
from mlops_assets.commands.champions import champions, history, rollback
from mlops_assets.commands.config import config_commands
from mlops_assets.commands.demo import demo
from mlops_assets.commands.deploy import deploy_commands
from mlops_assets.commands.feeds import feeds_commands
from mlops_assets.commands.mailbox import mailbox_commands
from mlops_assets.commands.mlflow import mlflow
from mlops_assets.commands.processes import daemon, execute_run, migrate
from mlops_assets.commands.reproduce import reproduce
from mlops_assets.commands.run import run, train
from mlops_assets.commands.sandbox import sandbox_commands
from mlops_assets.commands.serve import serve
from mlops_assets.commands.watch import watch
from mlops_assets.domain.errors import PlatformError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="mlops-assets")
def cli() -> None:
    """Run and look after the asset graph.

    MLOPS_HOME is the folder of all data (default ./var), MLOPS_ENVIRONMENT the environment (default local),
    MLOPS_CONFIG_PATHS adds config folders.
    """


for command in (
    config_commands,
    feeds_commands,
    sandbox_commands,
    run,
    train,
    watch,
    demo,
    mailbox_commands,
    deploy_commands,
    serve,
    mlflow,
    approvals_commands,
    champions,
    history,
    rollback,
    reproduce,
    migrate,
    daemon,
    execute_run,
):
    cli.add_command(command)


def main() -> None:
    """Run the command; a deliberate error is shown as text and ends with status 1."""
    try:
        cli(standalone_mode=True)
    except PlatformError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
