"""The `mlops` command.

Belongs here: the list of commands and how errors end a command. Does not belong here: any command
(mlops_assets.commands).
"""

from __future__ import annotations

import sys

import click

from mlops_assets.commands.approvals import approvals_commands
from mlops_assets.commands.champions import champions, history, rollback
from mlops_assets.commands.completion import PROGRAM, VARIABLE, completion
from mlops_assets.commands.config import config_commands
from mlops_assets.commands.demo import demo
from mlops_assets.commands.deploy import deploy_commands
from mlops_assets.commands.doctor import doctor
from mlops_assets.commands.feeds import feeds_commands
from mlops_assets.commands.job_runs import CommandInterruptedError
from mlops_assets.commands.mailbox import mailbox_commands
from mlops_assets.commands.mlflow import mlflow
from mlops_assets.commands.new import new_commands
from mlops_assets.commands.output import JSON_FLAG, end_with_error
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
    doctor,
    config_commands,
    new_commands,
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
    completion,
    execute_run,
):
    cli.add_command(command)


def main() -> None:
    """Run the command; a deliberate error is shown (as JSON with `--json`) and ends with its status."""
    is_json = JSON_FLAG in sys.argv[1:]
    try:
        sys.exit(cli.main(prog_name=PROGRAM, complete_var=VARIABLE, standalone_mode=False) or 0)
    except (PlatformError, click.ClickException) as error:
        sys.exit(end_with_error(error, is_json=is_json))
    except click.Abort:  # Ctrl-C between two runs; CommandInterruptedError is the one within a run
        sys.exit(end_with_error(CommandInterruptedError("interrupted"), is_json=is_json))


if __name__ == "__main__":
    main()
