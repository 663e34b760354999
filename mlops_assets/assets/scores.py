"""Stage `scores`: the champion's daily scores.

Belongs here: turning score outcomes into materialisation and metadata. Does not belong here: scoring itself
(mlops_assets.domain.learning.scoring).
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from mlops_assets.assets.presentation import data_version, outcome_table, row_count_metadata, select_published
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.scoring import SCORING_VERSION, ScoreOutcome, score_day
from mlops_assets.domain.ports import Lake, ModelRegistry, ModelSlot, PromotionLedger, TableEngine


def build_score_assets(config: ProjectConfig, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return one asset per model that is scored daily."""
    return [
        _build_scores(use_case, model, segments, days, config.environment.executor.threads_per_step)
        for use_case, segments in sorted(config.use_cases.items())
        for model in next(iter(segments.values())).models
        if _is_scored_daily(next(iter(segments.values())))
    ]


def _is_scored_daily(settings: UseCase) -> bool:
    return settings.score_daily and settings.segment_by == "geography"


def _build_scores(
    use_case: str, model: str, segments: dict[str, UseCase], days: dg.PartitionsDefinition, threads: int
) -> dg.AssetsDefinition:
    settings = next(iter(segments.values()))

    @dg.asset(
        key=names.scores_key(use_case, model),
        description=(
            f"Scores of {model} by the champion that the ledger names.\n\nGrain: one row per "
            f"{settings.corpus.entity_key} "
            "and day. Freshness: with the day's run. On failure: yesterday's scores stay; a segment "
            "without champion has none."
        ),
        group_name=use_case,
        owners=[settings.owner],
        kinds={"parquet"},
        partitions_def=days,
        code_version=stable_hash([settings.corpus, SCORING_VERSION])[:12],
        deps=[
            dg.AssetKey(names.table_key(settings.corpus.table)),
            # Every segment's champion counts, on every day.
            dg.AssetDep(
                dg.AssetKey(names.champion_key(use_case, model)), partition_mapping=dg.AllPartitionMapping()
            ),
        ],
        output_required=False,
    )
    def scores_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> Iterator[dg.MaterializeResult]:
        day = dt.date.fromisoformat(context.partition_key)
        outcomes = [
            score_day(
                ModelSlot(use_case, model, segment),
                item.corpus,
                day,
                lake=lake,
                engine=engine,
                registry=registry,
                ledger=ledger,
                threads=threads,
            )
            for segment, item in sorted(segments.items())
        ]
        yield from _report(context, outcomes)

    return scores_asset


def _report(
    context: dg.AssetExecutionContext, outcomes: list[ScoreOutcome]
) -> Iterator[dg.MaterializeResult]:
    published = select_published(outcomes)
    if not published:
        context.log.info("nothing scored: %s", "; ".join(outcome.detail for outcome in outcomes))
        return
    yield dg.MaterializeResult(
        metadata={**row_count_metadata(published), "segments": outcome_table(outcomes, lambda o: o.detail)},
        data_version=data_version(published),
    )
