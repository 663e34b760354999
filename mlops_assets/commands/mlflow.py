"""`mlops mlflow`: the pages of the model registry of an environment.

Belongs here: address, what the server is told. Does not belong here: what is registered (resources.mlflow_registry).
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import click

from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.domain.errors import ConfigError

STORE_VARIABLE = "MLFLOW_BACKEND_STORE_URI"
ARTIFACTS_VARIABLE = "MLFLOW_DEFAULT_ARTIFACT_ROOT"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port.")
def mlflow(host: str, port: int) -> None:
    """Show tracked runs and model versions in a browser.

    The pages have no log-in of their own, and whoever sees them may change what they show: beyond this machine, put
    them behind a proxy that has one. Who is champion is in the promotion ledger, which they do not reach.

    Example: mlops mlflow --port 5001
    """
    workspace = open_workspace()
    os.environ |= server_environment(workspace)
    # This process becomes the server, so that a signal reaches it.
    os.execvp("mlflow", server_command(workspace, host, port))  # noqa: S606, S607 - fixed words, no shell


def server_command(workspace: Workspace, host: str, port: int) -> list[str]:
    """Return the words of the command; none of them is secret, since every process of the machine can read them."""
    pages = urlsplit(workspace.config.environment.registry.pages_url)
    # MLflow refuses requests for hosts that it does not know, against pages that rebind a name to this machine.
    names = ["localhost", "127.0.0.1", *([pages.netloc] if pages.netloc else [])]
    allowed = ",".join(f"{name}{suffix}" for name in names for suffix in ("", ":*"))
    return [
        "mlflow",
        "server",
        *("--host", host, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", allowed, "--no-serve-artifacts"),
    ]


def server_environment(workspace: Workspace) -> dict[str, str]:
    """Return what the server reads from its environment: the database's address with its password, no telemetry.

    Raises:
        ConfigError: there is no registry yet on this machine, or the password of the server's is not set.
    """
    return {
        STORE_VARIABLE: _store_address(workspace),
        ARTIFACTS_VARIABLE: workspace.where(workspace.config.environment.registry.artifacts),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _store_address(workspace: Workspace) -> str:
    from resources.database_address import make_address

    environment = workspace.config.environment
    if environment.database.kind == "postgresql":
        address = make_address(environment.database, environment.database.mlflow)()
        return address.render_as_string(hide_password=False)
    file = workspace.home / environment.registry.database
    if not file.exists():
        raise ConfigError(
            "nothing was tracked yet", where=str(file), remedy="run `mlops run` or `mlops train` first"
        )
    return f"sqlite:///{file}"
