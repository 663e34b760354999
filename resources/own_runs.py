"""Runs that a command executes in its own process: who that was, and the end of those whose process was killed.

Belongs here: naming the process in a run's tags, failing what a killed one left unfinished. Does not belong here: runs
that were launched by Dagster (local_launcher, its monitoring, the orphans sensor), or executing runs.

A killed process cannot say how its run ended: the run stays started in the records, and whoever asks whether its
request was met takes it for being under way, for ever. A run is failed only if its process is gone for sure; one of
another machine, or one that does not say whose it is, stays as it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

TAG_PROCESS = "mlops/process"  # machine@number@when it lived, seconds since 1970
_PARTS = 3
_MOST_RUNS = 500


def own_process() -> str:
    """Return the value of TAG_PROCESS for runs of this process."""
    from resources.local_launcher import own_machine

    return f"{own_machine()}@{os.getpid()}@{time.time():.3f}"


def fail_deserted_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Fail each unfinished run whose command was killed, and yield a line about it."""
    for run, why in find_deserted_runs(instance):
        again = instance.get_run_by_id(run.run_id)
        if again is None or again.is_finished:
            continue
        reason = f"the command that executed it was killed: {why}; what it published stays"
        instance.report_run_failed(again, f"run {run.run_id} is failed: {reason}")
        yield f"run {run.run_id} of {run.job_name} was left unfinished and counts as failed: {reason}"


def find_deserted_runs(instance: dg.DagsterInstance) -> Iterator[tuple[dg.DagsterRun, str]]:
    """Yield the unfinished runs of commands whose process is gone, each with how that is known; nothing is changed."""
    for run in unfinished_runs(instance):
        is_lost, why = lost_process(run)
        if is_lost:
            yield run, why


def unfinished_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return runs that have begun and not ended, the newest first."""
    import dagster as dg

    status = dg.DagsterRunStatus
    begun = [status.NOT_STARTED, status.STARTING, status.STARTED, status.CANCELING]
    return list(instance.get_runs(dg.RunsFilter(statuses=begun), limit=_MOST_RUNS))


def lost_process(run: dg.DagsterRun) -> tuple[bool, str]:
    """Say whether the command that executed a run is gone for sure, and why; never for runs that were launched."""
    from resources.local_launcher import has_lost_process

    parts = run.tags.get(TAG_PROCESS, "").rsplit("@", _PARTS - 1)
    if len(parts) != _PARTS:
        return False, "no command executes it"
    machine, number, noted = parts
    try:
        process = (int(number), float(noted))
    except ValueError:
        return False, f"its tag {TAG_PROCESS} cannot be read"
    return has_lost_process(machine, lambda: process)
