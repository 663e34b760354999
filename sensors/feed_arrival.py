"""Sensor: feed files have arrived, run the daily graph.

Belongs here: turning due days into run requests. Does not belong here: what is due (config.run_plan) or when a
failed day is tried again (domain.feeds.arrival).
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import plan_days
from mlops_assets.domain.feeds.arrival import DayRun, DueDay, RunDecision, decide_run
from mlops_assets.domain.ports import Lake, LandingZone, PromotionLedger
from mlops_assets.domain.quality.release_ports import FeedReleases

DAYS_PER_TICK = 10


def build_feed_arrival_sensor(config: ProjectConfig) -> dg.SensorDefinition:
    """Return the sensor that requests one run per day whose files are new or were delivered again."""

    @dg.sensor(
        name=names.FEED_ARRIVAL_SENSOR,
        job_name=names.DAILY_JOB,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Requests a run of the daily graph for every day with new, corrected or released files, in order.",
    )
    def feed_arrival(
        context: dg.SensorEvaluationContext,
        landing: dg.ResourceParam[LandingZone],
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[PromotionLedger],
        releases: dg.ResourceParam[FeedReleases],
    ) -> dg.SensorResult | dg.SkipReason:
        due = plan_days(config, landing, lake, ledger, releases=releases)
        if not due:
            return dg.SkipReason("every delivered day is built")
        requests, waiting = [], []
        for day, decision in _decisions(config, context.instance, due):
            if decision.run_key:
                requests.append(_request(day, decision))
            else:
                waiting.append(decision.reason)
            if len(requests) == DAYS_PER_TICK:
                break
        return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("; ".join(waiting))

    return feed_arrival


def _decisions(
    config: ProjectConfig, instance: dg.DagsterInstance, due: list[DueDay]
) -> Iterator[tuple[DueDay, RunDecision]]:
    now_utc = dt.datetime.now(dt.UTC)
    last_day = now_utc.date() + dt.timedelta(days=config.environment.calendar.days_ahead - 1)
    for day in due:
        if day.day > last_day:
            reason = (
                f"{day.day} is later than the calendar, which ends on {last_day}; raise `calendar.days_ahead`"
            )
            yield day, RunDecision("", reason)
        else:
            yield day, decide_run(day, list(_runs_of(instance, day.day)), now_utc)


def _runs_of(instance: dg.DagsterInstance, day: dt.date) -> Iterator[DayRun]:
    filters = dg.RunsFilter(job_name=names.DAILY_JOB, tags={names.TAG_PARTITION: day.isoformat()})
    for record in instance.get_run_records(filters):
        run, ended = record.dagster_run, record.end_time
        yield DayRun(
            fingerprint=run.tags.get(names.TAG_DELIVERY, ""),
            is_success=run.is_success,
            ended_at_utc=dt.datetime.fromtimestamp(ended, dt.UTC) if run.is_finished and ended else None,
        )


def _request(day: DueDay, decision: RunDecision) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=decision.run_key,
        partition_key=day.day.isoformat(),
        tags={
            names.TAG_REASON: decision.reason,
            names.TAG_DELIVERY: day.fingerprint,
            names.TAG_QUEUE: names.DAILY_JOB,
        },
    )
