"""Sensor: a run and what executes it have lost each other, end what is left.

Belongs here: what Dagster's run monitoring (`run_monitoring` in dagster.yaml) does not do. Does not belong here: what
it does (runs that never start, workers that died, cancellations, runs that take too long), or asking after workers (the
run launcher).

Two cases are left. A worker has ended well and its run goes on for ever in the records, because its last word was lost
with the database: monitoring takes a worker that has succeeded for a good sign. And a run is over in the records while
its worker lives, because it could not be stopped when it should have been: monitoring looks at unfinished runs only.

The worker is asked before the run is read again: the last word is written before the worker ends, so a run that is
unfinished after that stays so. A worker whose state is not known counts as alive, and nothing is done.
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg
from dagster._core.launcher.base import WorkerStatus

from mlops_assets.config import names

# Once a worker is told to stop it has some seconds for it; a run that ended just now may still say goodbye.
GRACE = dt.timedelta(minutes=2)
LOOK_BACK = dt.timedelta(hours=24)  # a Cloud Run job's longest run time
_MOST_RUNS = 200
_OPEN = [dg.DagsterRunStatus.STARTED]
_ENDED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def build_orphans_sensor() -> dg.SensorDefinition:
    """Return the sensor that ends runs without a worker and workers without a run; it starts no runs."""

    @dg.sensor(
        name=names.ORPHANS_SENSOR,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose worker has ended without a word, and stops workers of runs that are over.",
    )
    def orphans(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not context.instance.run_launcher.supports_check_run_worker_health:
            return dg.SkipReason("the run launcher cannot say whether a worker lives; nothing is done")
        now_utc = dt.datetime.now(dt.UTC)
        said = [*_fail_deserted(context.instance), *_stop_left_over(context.instance, now_utc)]
        for text in said:
            context.log.warning(text)
        return dg.SkipReason("; ".join(said) or "every unfinished run has its worker")

    return orphans


def _fail_deserted(instance: dg.DagsterInstance) -> Iterator[str]:
    """Fail runs that are unfinished although their worker has ended."""
    for run in instance.get_runs(dg.RunsFilter(statuses=_OPEN), limit=_MOST_RUNS):
        health = instance.run_launcher.check_run_worker_health(run)
        # What has failed is left to Dagster's monitoring, which knows what is tried again.
        if health.status != WorkerStatus.SUCCESS:
            continue
        again = instance.get_run_by_id(run.run_id)
        if again is None or again.is_finished:
            continue
        text = (
            f"run {run.run_id} is failed: its worker has ended without saying how the run ended "
            f"({health.run_worker_id or 'a process'}); what it has published stays, run it again for the rest"
        )
        instance.report_run_failed(again, text)
        yield text


def _stop_left_over(instance: dg.DagsterInstance, now_utc: dt.datetime) -> Iterator[str]:
    """Stop workers of runs that are over; of runs that say who works for them."""
    since = dg.RunsFilter(statuses=_ENDED, updated_after=now_utc - LOOK_BACK)
    for record in instance.get_run_records(since, limit=_MOST_RUNS):
        run, ended_s = record.dagster_run, record.end_time
        is_settled = ended_s is not None and ended_s < (now_utc - GRACE).timestamp()
        is_known = names.TAG_EXECUTION in run.tags or names.TAG_WORKER in run.tags
        if not is_known or not is_settled or names.TAG_STOPPED in run.tags:
            continue
        health = instance.run_launcher.check_run_worker_health(run)
        if health.status == WorkerStatus.RUNNING and instance.run_launcher.terminate(run.run_id):
            yield f"run {run.run_id} is over, but its worker lived on; it was told to stop ({health.run_worker_id})"
        elif health.status != WorkerStatus.RUNNING:
            instance.add_run_tags(run.run_id, {names.TAG_STOPPED: "yes"})  # asked once is enough
