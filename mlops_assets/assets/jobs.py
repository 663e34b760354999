"""Jobs of the graph: the daily graph, training, replayed snapshots, and those of people's decisions.

Belongs here: selections and tags. Does not belong here: when a job runs (sensors, `mlops run`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.assets.decisions import build_decision_job, build_follow_up_jobs
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.policy_slots import segments_by_agent

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

# Window tables slide from yesterday's state, so days run one at a time, in order.
DAILY_TAGS = {names.TAG_QUEUE: names.DAILY_JOB, names.TAG_SIZE: "m"}
TRAINING_TAGS = {names.TAG_SIZE: "l"}

_MAKE_KEYS = (
    names.corpus_key,
    names.model_key,
    names.champion_key,
    names.model_card_key,
    names.retraining_report_key,
    names.deployment_key,
)


def build_jobs(
    config: ProjectConfig, daily: list[dg.AssetKey], snapshot_quality: list[dg.AssetKey]
) -> "list[dg.JobDefinition | UnresolvedAssetJobDefinition]":
    """Return all jobs.

    Args:
        config: the project.
        daily: keys of the assets that are partitioned by day.
        snapshot_quality: keys of what is found in snapshot feeds; without any there is no job for it.
    """
    daily_job = dg.define_asset_job(
        names.DAILY_JOB,
        selection=dg.AssetSelection.assets(*daily),
        tags=DAILY_TAGS,
        description="Everything of one day: feeds, feature tables, scores, the log of the day.",
    )
    return [
        daily_job,
        *_training_jobs(config),
        *_snapshot_quality_jobs(config, snapshot_quality),
        build_decision_job(config),
        *build_follow_up_jobs(config),
    ]


def _snapshot_quality_jobs(
    config: ProjectConfig, keys: list[dg.AssetKey]
) -> "Iterator[UnresolvedAssetJobDefinition]":
    feeds = dict.fromkeys(spec.table for spec in config.snapshot_monitors())
    if feeds:
        yield dg.define_asset_job(
            names.SNAPSHOT_QUALITY_JOB,
            selection=dg.AssetSelection.assets(
                *(dg.AssetKey(names.table_key(table)) for table in feeds), *keys
            ),
            description="Every day of the snapshots that monitors watch: ranges, anomalies, drift, report.",
        )


def _training_jobs(config: ProjectConfig) -> "Iterator[UnresolvedAssetJobDefinition]":
    for use_case in sorted(config.use_cases):
        selection = dg.AssetSelection.assets(*_training_keys(config, use_case))
        yield dg.define_asset_job(
            names.training_job(use_case),
            selection=selection,
            tags=TRAINING_TAGS,
            description=(
                f"Corpus, leaderboard, gate, model card and deployment of every model of {use_case}, then the policy "
                "of its offers if it has any, for one segment."
            ),
        )


def _training_keys(config: ProjectConfig, use_case: str) -> Iterator[dg.AssetKey]:
    segments = config.use_cases[use_case].values()
    for table in sorted({item.corpus.table for item in segments if item.segment_by == "none"}):
        yield dg.AssetKey(names.table_key(table))
    for model in config.segments_by_model(use_case):
        for make_key in _MAKE_KEYS:
            yield dg.AssetKey(make_key(use_case, model))
    for model in config.fleets(use_case):
        yield dg.AssetKey(names.fleet_key(use_case, model))
        yield dg.AssetKey(names.fleet_training_report_key(use_case, model))
    yield from {
        dg.AssetKey(key): None
        for agent in segments_by_agent(config, use_case)
        for key in names.policy_keys(use_case, agent)
    }
