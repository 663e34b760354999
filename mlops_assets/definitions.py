"""Composition root: configuration, assets, jobs, sensors and resources become one `Definitions`.

Belongs here: putting together. Does not belong here: logic.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import dagster as dg

from mlops_assets.assets.day_log import build_day_log_asset
from mlops_assets.assets.deployment import build_deployment_assets
from mlops_assets.assets.execution import build_executor
from mlops_assets.assets.feeds import build_feed_assets
from mlops_assets.assets.fleet import build_fleet_assets
from mlops_assets.assets.fleet_days import build_fleet_day_assets
from mlops_assets.assets.fleet_reports import build_fleet_training_reports, build_fleet_week_reports
from mlops_assets.assets.jobs import build_jobs
from mlops_assets.assets.ladder_reports import build_ladder_reports
from mlops_assets.assets.learning import build_learning_assets
from mlops_assets.assets.offer_learning import build_offer_learning_assets
from mlops_assets.assets.offer_performance import build_offer_performance_assets
from mlops_assets.assets.offers import build_offer_assets
from mlops_assets.assets.partitions import daily_partitions
from mlops_assets.assets.quality import build_quality_assets
from mlops_assets.assets.reports import build_report_assets
from mlops_assets.assets.retraining_reports import build_retraining_reports
from mlops_assets.assets.scores import build_score_assets
from mlops_assets.assets.snapshot_quality import build_snapshot_quality_assets
from mlops_assets.assets.tables import build_table_assets
from mlops_assets.assets.weekly_reports import build_offer_reports, build_utilisation_asset
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from resources.environments import data_root, open_platform
from resources.json_logs import configure_logs
from sensors.alerts import build_alerts_sensor
from sensors.approvals import build_approval_sensors
from sensors.drift import build_drift_sensors
from sensors.feed_arrival import build_feed_arrival_sensor
from sensors.first_champion import build_first_champion_sensors
from sensors.orphans import build_orphans_sensor
from sensors.outbox import build_outbox_sensor


def build_defs(
    config: ProjectConfig | None = None, *, resources: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Build the graph of a project.

    Args:
        config: default: what MLOPS_ENVIRONMENT and MLOPS_CONFIG_PATHS name.
        resources: by port name; default: those of the environment, below MLOPS_HOME.
    """
    with warnings.catch_warnings():
        # Partitioned checks and windows that reach before the first day are young features of Dagster; both are
        # covered by tests/definitions, so that an upgrade cannot change them unnoticed.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _build(config or load_project(), resources)


def _build(config: ProjectConfig, resources: Mapping[str, object] | None) -> dg.Definitions:
    configure_logs(config.environment.logs)
    days = daily_partitions(config.environment.calendar)
    feeds, tables = build_feed_assets(config, days), build_table_assets(config, days)
    scores, quality = build_score_assets(config, days), build_quality_assets(config, days)
    performance = build_offer_performance_assets(config, days)
    offers, offer_reports = build_offer_assets(config, days), build_offer_reports(config, days)
    fleets = [*build_fleet_day_assets(config, days), *build_fleet_week_reports(config, days)]
    before_log = (*tables, *scores, *fleets, *quality, *offers, *performance, *offer_reports)
    day_log = build_day_log_asset(config, days, [key for asset in before_log for key in sorted(asset.keys)])
    utilisation = build_utilisation_asset(config, days, day_log.key)
    learning = [
        *build_learning_assets(config),
        *build_fleet_assets(config),
        *build_offer_learning_assets(config),
    ]
    reports = [
        *build_report_assets(config),
        *build_retraining_reports(config),
        *build_ladder_reports(config),
        *build_fleet_training_reports(config),
    ]
    deployments, snapshots = build_deployment_assets(config), build_snapshot_quality_assets(config)
    of_the_day = (*feeds, *before_log, day_log, utilisation)
    daily = [key for asset in of_the_day if asset.partitions_def is days for key in sorted(asset.keys)]
    return dg.Definitions(
        assets=[*of_the_day, *learning, *snapshots, *reports, *deployments],
        jobs=build_jobs(config, daily, [asset.key for asset in snapshots]),
        sensors=[
            build_feed_arrival_sensor(config),
            *build_first_champion_sensors(config),
            *build_drift_sensors(config),
            build_alerts_sensor(config.environment.alerts.recipients),
            *build_approval_sensors(config),
            build_outbox_sensor(),
            build_orphans_sensor(),
        ],
        resources=resources
        if resources is not None
        else open_platform(config.environment, data_root()).as_resources(),
        executor=build_executor(config.environment.executor),
    )


defs = build_defs()
