"""Imported once by the fork server of a run; every step process starts as a copy of it.

Belongs here: importing and resolving what steps need. Does not belong here: training or opening a database
(threads and connections do not survive a fork).
"""

import os
import tempfile
import threading
from pathlib import Path

import dagster as dg

from mlops_assets.assets.heavy_libraries import import_heavy_libraries
from resources.mlflow_store import set_mlflow_defaults

# A preload that fails is silent: children find this variable only if it ran to its end.
WARM_FLAG = "MLOPS_PRELOADED"


def warm_up() -> None:
    """Import the heavy libraries, resolve the jobs and run one trivial asset in a throw-away instance."""
    set_mlflow_defaults()
    import_heavy_libraries()
    from mlops_assets.definitions import defs

    defs.get_repository_def().get_all_jobs()

    @dg.asset
    def trivial() -> None: ...

    with tempfile.TemporaryDirectory() as folder:
        # Without a file of its own the instance would greet the user, and report that it was used.
        (Path(folder) / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        with dg.DagsterInstance.local_temp(folder) as instance:
            dg.materialize([trivial], instance=instance, raise_on_error=False)
    os.environ[WARM_FLAG] = str(threading.active_count())


warm_up()
