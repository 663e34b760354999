"""The worker of one run: claims it, says where it runs, executes it.

Belongs here: what makes sure that a run is executed by one worker only. Does not belong here: executing (Dagster), or
starting workers (cloud_run_launcher).

Two workers may be started for one run: an answer of Cloud Run was lost and the start repeated, or two daemons took the
same run from the queue. Dagster lets in a worker only while the run is not started yet, which two may see at the same
moment. The claim is held from before that look until the worker ends. Should its connection break on the way, the run
is started by then, and Dagster's own look keeps others out.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from mlops_assets.config import names
from mlops_assets.domain.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import dagster as dg

    from mlops_assets.config.run_models import RunsConfig
    from resources.process_lock import ProcessLock

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Set by Cloud Run in each execution: https://cloud.google.com/run/docs/container-contract#jobs-env-vars
_JOB, _EXECUTION = "CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION"


class RunClaimedError(PlatformError):
    """Another worker executes this run."""


def require_run_id(value: str) -> str:
    """Return a run's id.

    Raises:
        PlatformError: it is none.
    """
    if not _RUN_ID.fullmatch(value):
        raise PlatformError("this is not the id of a run", where=repr(value)[:60], expected="a UUID")
    return value


def execution_name(runs: RunsConfig, variables: Mapping[str, str]) -> str | None:
    """Return the name of the execution that this process is, or None outside Cloud Run."""
    job, execution = variables.get(_JOB), variables.get(_EXECUTION)
    if runs.kind != "cloud_run" or not job or not execution:
        return None
    return f"projects/{runs.project}/locations/{runs.region}/jobs/{job}/executions/{execution}"


def execute_claimed_run(
    instance: dg.DagsterInstance, run_id: str, lock: ProcessLock, runs: RunsConfig
) -> dg.DagsterRunStatus:
    """Execute a run unless another worker does, and return how it ended.

    Args:
        instance: the one of DAGSTER_HOME, which Dagster opens again.
        run_id: of a run that was launched.
        lock: of this run.
        runs: of the environment.

    Raises:
        RunClaimedError: another worker has it.
        PlatformError: there is no such run.
    """
    if not lock.try_acquire():
        raise RunClaimedError(
            "another worker executes this run",
            where=f"run {run_id}",
            expected="one worker a run",
            remedy=f"nothing is to be done; it is executed by {lock.holder() or 'somebody else'}",
        )
    try:
        run = instance.get_run_by_id(run_id)
        if run is None:
            raise PlatformError(
                "there is no such run", where=f"run {run_id}", expected="a run of this instance"
            )
        name = execution_name(runs, os.environ)
        if name is not None and not run.is_finished:
            # The launcher may know of no execution, or of the one that was turned away.
            instance.add_run_tags(run_id, {names.TAG_WORKER: name})
        _execute(run)
        after = instance.get_run_by_id(run_id)
        return after.status if after else run.status
    finally:
        lock.release()


def _execute(run: dg.DagsterRun) -> None:
    """Execute as `dagster api execute_run` does, in this process."""
    from dagster._cli.api import api_cli
    from dagster._grpc.types import ExecuteRunArgs
    from dagster._serdes import serialize_value

    if run.job_code_origin is None:
        raise PlatformError(
            "this run was not launched", where=f"run {run.run_id}", expected="a run with code"
        )
    arguments = ExecuteRunArgs(job_origin=run.job_code_origin, run_id=run.run_id, instance_ref=None)
    api_cli.main(["execute_run", serialize_value(arguments)], standalone_mode=False)
