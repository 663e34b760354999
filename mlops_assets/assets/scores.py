"""Stage `scores`: the champion's daily scores.

Belongs here: turning score outcomes into materialisation and metadata. Does not belong here: scoring itself
(mlops_assets.domain.learning.scoring).
"""

import datetime as dt
from functools import partial

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.presentation import data_version, outcome_table, row_count_metadata, select_published
from mlops_assets.assets.segments import Segments, entity_of, owners_of
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.fleet_scoring import FLEET_SCORING_VERSION, FleetDay, score_fleet_day
from mlops_assets.domain.learning.scoring import SCORING_VERSION, ScoreOutcome, score_day
from mlops_assets.domain.ports import Lake, ModelRegistry, ModelSlot, PromotionLedger, TableEngine


def build_score_assets(config: ProjectConfig, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return one asset per model that is scored daily."""
    threads = config.environment.executor.threads_per_step
    assets = []
    for use_case in sorted(config.use_cases):
        for model, segments in config.segments_by_model(use_case).items():
            scored = {segment: item for segment, item in segments.items() if _is_scored_daily(item)}
            if scored:
                assets.append(_build_scores(use_case, model, scored, days, threads))
    return assets


def _is_scored_daily(settings: UseCase) -> bool:
    return settings.score_daily and settings.segment_by == "geography"


def _build_scores(
    use_case: str, model: str, segments: Segments, days: dg.PartitionsDefinition, threads: int
) -> dg.AssetsDefinition:
    corpora = {segment: settings.corpus for segment, settings in segments.items()}
    fleets = {s: settings.models[model] for s, settings in segments.items() if settings.models[model].fleet}
    fleet_version = [fleets, FLEET_SCORING_VERSION] if fleets else []
    champions = [names.champion_key(use_case, model)]
    champions += [names.fleet_key(use_case, model)] if fleets else []

    @dg.asset(
        key=names.scores_key(use_case, model),
        description=(
            f"Scores of {model} by the champion that the ledger names.\n\nGrain: one row per "
            f"{entity_of(segments)} "
            "and day. Freshness: with the day's run. On failure: yesterday's scores stay; a segment "
            "without champion has none."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"parquet"},
        partitions_def=days,
        code_version=stable_hash([corpora, SCORING_VERSION, *fleet_version])[:12],
        deps=[
            *(dg.AssetKey(names.table_key(table)) for table in sorted({c.table for c in corpora.values()})),
            # Every segment's champion counts, on every day.
            *(dg.AssetDep(dg.AssetKey(key), partition_mapping=dg.AllPartitionMapping()) for key in champions),
        ],
    )
    @retry_if_worthwhile
    def scores_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.MaterializeResult:
        day = dt.date.fromisoformat(context.partition_key)
        score = partial(
            score_day, lake=lake, engine=engine, registry=registry, ledger=ledger, threads=threads
        )
        score_fleet = partial(
            score_fleet_day, lake=lake, engine=engine, registry=registry, ledger=ledger, threads=threads
        )
        outcomes = []
        for segment, corpus in sorted(corpora.items()):
            slot = ModelSlot(use_case, model, segment)
            if segment in fleets:
                outcomes.append(score_fleet(FleetDay(slot, corpus, fleets[segment], day)))
            else:
                outcomes.append(score(slot, corpus, day))
        return _report(outcomes)

    return scores_asset


def _report(outcomes: list[ScoreOutcome]) -> dg.MaterializeResult:
    """A day without champion is scored all the same: nothing of it is missing."""
    published = select_published(outcomes)
    return dg.MaterializeResult(
        metadata={**row_count_metadata(published), "segments": outcome_table(outcomes, lambda o: o.detail)},
        data_version=data_version(published),
    )
