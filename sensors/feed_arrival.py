"""Sensor: feed files have arrived, run the daily graph.

Belongs here: turning due days into run requests. Does not belong here: what is due (config.run_plan).
"""

import dagster as dg

from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import plan_days
from mlops_assets.domain.ports import Lake, LandingZone
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
        context: dg.SensorEvaluationContext,  # noqa: ARG001 - Dagster passes it
        landing: dg.ResourceParam[LandingZone],
        lake: dg.ResourceParam[Lake],
        releases: dg.ResourceParam[FeedReleases],
    ) -> dg.SensorResult | dg.SkipReason:
        due = plan_days(config, landing, lake, releases=releases)
        if not due:
            return dg.SkipReason("every delivered day is built")
        # The run key holds the identity of the files, so that a day is run again when, and only when, they change.
        requests = [
            dg.RunRequest(
                run_key=f"{day.day}/{day.fingerprint}",
                partition_key=day.day.isoformat(),
                tags={
                    names.TAG_REASON: day.reason,
                    names.TAG_DELIVERY: day.fingerprint,
                    names.TAG_QUEUE: names.DAILY_JOB,
                },
            )
            for day in due[:DAYS_PER_TICK]
        ]
        return dg.SensorResult(run_requests=requests)

    return feed_arrival
