"""`mlops serve`: the scoring service of one data root.

Belongs here: address, and the server's settings. Does not belong here: the service (mlops_assets.serving).
"""

from __future__ import annotations

import gc

import click

from mlops_assets.commands.workspace import open_workspace
from mlops_assets.config.run_plan import slots

STOP_AFTER_S = 10  # for requests that are being answered
# Longer than the 600 s for which load balancers keep a connection: one that is closed here just as the next request
# comes over it is a failed request.
KEEP_ALIVE_S = 620


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port.")
def serve(host: str, port: int) -> None:
    """Answer scoring requests with the deployed champions, and follow the deployment pointers.

    The service has no log-in of its own: beyond this machine, put it behind a proxy that has one.

    Example: mlops serve --port 8001
    """
    import uvicorn

    from mlops_assets.serving.app import build_app

    workspace = open_workspace()
    app = build_app(workspace.platform.deployments, workspace.platform.ledger, slots=slots(workspace.config))
    # What is loaded by now stays for good; full collections would only walk through it while requests wait.
    gc.collect()
    gc.freeze()
    click.echo(f"scoring service on http://{host}:{port} (models: /v1/models, readiness: /readyz)")
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=STOP_AFTER_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
