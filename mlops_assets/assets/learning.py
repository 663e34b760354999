"""Stages `corpus`, `model` and `champion`: what is learned, by segment.

Belongs here: turning learning outcomes into materialisation, metadata and checks. Does not belong here:
corpora, leaderboards and the gate (mlops_assets.domain.learning).
"""

import datetime as dt
from collections.abc import Container

import dagster as dg

from mlops_assets.assets.learning_view import challenger_metadata, corpus_metadata, decision_metadata
from mlops_assets.assets.partitions import segment_partitions
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.config.run_plan import column_notes
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.corpus import CorpusRequest, build_corpus
from mlops_assets.domain.learning.promotion import judge_challenger, with_champion_features
from mlops_assets.domain.learning.spec import EventLabel
from mlops_assets.domain.learning.training import read_challenger, slot_of, train_challenger
from mlops_assets.domain.ports import CodeProvenance, Lake, ModelRegistry, PromotionLedger, TableEngine

Segments = dict[str, UseCase]


def build_learning_assets(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return corpus, model and champion of every model of every use case."""
    assets = []
    threads = config.environment.executor.threads_per_step
    for use_case, segments in sorted(config.use_cases.items()):
        partitions = segment_partitions(config, use_case)
        columns = column_notes(config, next(iter(segments.values())).corpus.table)
        for model in next(iter(segments.values())).models:
            assets += [
                _build_corpus(use_case, model, segments, partitions, columns),
                _build_model(use_case, model, segments, partitions, threads),
                _build_champion(use_case, model, segments, partitions, threads),
            ]
    return assets


def _request(segments: Segments, use_case: str, model: str, segment: str) -> CorpusRequest:
    settings = segments[segment]
    return CorpusRequest(use_case, model, settings.corpus, settings.models[model], segment)


def _build_corpus(
    use_case: str,
    model: str,
    segments: Segments,
    partitions: dg.PartitionsDefinition,
    columns: Container[str],
) -> dg.AssetsDefinition:
    any_segment = next(iter(segments.values()))
    label = any_segment.models[model].label
    sources = {any_segment.corpus.table} | ({label.table} if isinstance(label, EventLabel) else set())
    # Segments and days are different dimensions: which days are read is in the corpus' metadata and version.
    mapping = dg.AllPartitionMapping() if any_segment.segment_by == "geography" else None

    @dg.asset(
        key=names.corpus_key(use_case, model),
        description=(
            f"Frozen training corpus of {model}: point-in-time features, complete labels, split train / validation / "
            f"holdout.\n\nGrain: one row per {any_segment.corpus.entity_key} and as-of day. Freshness: "
            f"with each training. "
            "On failure: nothing is trained, the champion stays."
        ),
        group_name=use_case,
        owners=[any_segment.owner],
        kinds={"duckdb", "parquet"},
        partitions_def=partitions,
        code_version=stable_hash([any_segment.corpus, label])[:12],
        deps=[
            dg.AssetDep(dg.AssetKey(names.table_key(table)), partition_mapping=mapping)
            for table in sorted(sources)
        ],
    )
    def corpus_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.MaterializeResult:
        request = _request(segments, use_case, model, context.partition_key)
        request = with_champion_features(request, columns, registry=registry, ledger=ledger)
        days = lake.days(request.corpus.table, request.segment)
        asked = context.run.tags.get(names.TAG_AS_OF_DAY)
        as_of_day = dt.date.fromisoformat(asked) if asked else max(days, default=None)
        outcome = build_corpus(
            request, as_of_day=as_of_day, first_day=min(days, default=None), lake=lake, engine=engine
        )
        return dg.MaterializeResult(
            metadata=corpus_metadata(outcome), data_version=dg.DataVersion(outcome.content_sha256[:16])
        )

    return corpus_asset


def _build_model(
    use_case: str, model: str, segments: Segments, partitions: dg.PartitionsDefinition, threads: int
) -> dg.AssetsDefinition:
    any_segment = next(iter(segments.values()))

    @dg.asset(
        key=names.model_key(use_case, model),
        description=(
            f"Leaderboard of {model} over the configured algorithms; the best fit is registered as "
            f"challenger.\n\nGrain: one "
            "challenger per segment. Freshness: with each training. On failure: the champion stays."
        ),
        group_name=use_case,
        owners=[any_segment.owner],
        kinds={"mlflow", *any_segment.models[model].algorithms} & {"mlflow", "catboost"},
        partitions_def=partitions,
        code_version=stable_hash(any_segment.models[model])[:12],
        deps=[dg.AssetKey(names.corpus_key(use_case, model))],
    )
    def model_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[ModelRegistry],
        provenance: dg.ResourceParam[CodeProvenance],
    ) -> dg.MaterializeResult:
        request = _request(segments, use_case, model, context.partition_key)
        stamps = {
            **provenance.stamps(),
            "dagster_run_id": context.run.run_id,
            "config_sha256": stable_hash([request.corpus, request.model]),
        }
        challenger = train_challenger(request, lake=lake, registry=registry, stamps=stamps, threads=threads)
        return dg.MaterializeResult(
            metadata=challenger_metadata(challenger, registry.run_url(challenger.run_id)),
            data_version=dg.DataVersion(challenger.bundle_sha256[:16]),
        )

    return model_asset


def _build_champion(
    use_case: str, model: str, segments: Segments, partitions: dg.PartitionsDefinition, threads: int
) -> dg.AssetsDefinition:
    any_segment = next(iter(segments.values()))
    key = dg.AssetKey(names.champion_key(use_case, model))

    @dg.asset(
        key=key,
        description=(
            f"Decision on the newest challenger of {model}: both models on the same holdout, thresholds from the "
            "configuration, entry in the promotion ledger.\n\nGrain: one decision per segment. "
            "Freshness: with each training. "
            "On failure: nothing is promoted."
        ),
        group_name=use_case,
        owners=[any_segment.owner],
        partitions_def=partitions,
        code_version=stable_hash(any_segment.models[model].gate)[:12],
        deps=[dg.AssetKey(names.model_key(use_case, model)), dg.AssetKey(names.corpus_key(use_case, model))],
        check_specs=[
            dg.AssetCheckSpec(
                names.CHECK_GATE,
                asset=key,
                partitions_def=partitions,
                description="The challenger passed every check of the gate.",
            )
        ],
    )
    def champion_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.MaterializeResult:
        request = _request(segments, use_case, model, context.partition_key)
        entry = judge_challenger(
            read_challenger(lake, slot_of(request)),
            request,
            lake=lake,
            registry=registry,
            ledger=ledger,
            decided_at_utc=dt.datetime.now(dt.UTC),
            threads=threads,
        )
        check = dg.AssetCheckResult(
            check_name=names.CHECK_GATE,
            passed=entry.outcome == "promoted",
            severity=dg.AssetCheckSeverity.WARN,
        )
        return dg.MaterializeResult(
            metadata=decision_metadata(entry),
            data_version=dg.DataVersion(f"{entry.outcome}-{entry.bundle_sha256[:12]}"),
            check_results=[check],
        )

    return champion_asset
