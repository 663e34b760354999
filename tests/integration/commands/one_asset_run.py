"""A command that executes one run, in a process that tests can end as they like.

`python one_asset_run.py FOLDER sleep` works until it is killed; with `mask` the work turns whatever interrupts it into
an error of its own, as a query engine does; with `late` it is asked to end as the run ends.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg

from mlops_assets.commands.job_runs import CommandInterruptedError, JobRun, JobRunner
from mlops_assets.config.loader import load_project
from mlops_assets.domain.errors import EngineError

JOB = "one_asset"
RUN_KEY = "one/of/a/kind"


def build_definitions(way: str) -> dg.Definitions:
    """Return a graph of one asset."""

    @dg.asset(name="work")
    def work() -> None:
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        if way != "late":
            _work_long(masks=way == "mask")

    return dg.Definitions([work], jobs=[dg.define_asset_job(JOB, [work])])


def _work_long(*, masks: bool) -> None:
    try:
        time.sleep(120)
    except BaseException as error:
        if not masks:
            raise
        raise EngineError("the query was interrupted") from error


def build_workspace(way: str) -> Any:
    """Return what a job runner asks of a workspace."""
    platform = SimpleNamespace(ledger=None)
    return SimpleNamespace(definitions=build_definitions(way), config=load_project(), platform=platform)


def end_late(instance: dg.DagsterInstance) -> None:
    """Let this process be asked to end once the run is over: what comes then, Dagster drops."""
    record = instance.handle_new_event

    def record_and_ask(event: Any, **more: Any) -> None:
        record(event, **more)
        if event.is_dagster_event and event.get_dagster_event().is_job_success:
            os.kill(os.getpid(), signal.SIGTERM)

    cast("Any", instance).handle_new_event = record_and_ask


def main(folder: Path, way: str) -> int:
    """Execute the run and return the exit status of the command."""
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        if way == "late":
            end_late(instance)
        runner = JobRunner(cast("Any", build_workspace(way)), instance)
        try:
            done = runner.execute(JobRun(JOB, None, {"dagster/run_key": RUN_KEY}))
        except CommandInterruptedError as error:
            return error.exit_code
    return 0 if done.succeeded else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
