"""Stages `corpus`, `model` and `champion`: what is learned, by segment.

Belongs here: turning learning outcomes into materialisation, metadata and checks. Does not belong here:
corpora, leaderboards and the gate (mlops_assets.domain.learning).
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.learning_view import (
    challenger_metadata,
    corpus_metadata,
    gate_check_spec,
    report_decision,
)
from mlops_assets.assets.partitions import segment_partitions
from mlops_assets.assets.segments import Segments, entity_of, owners_of, require_settings
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import column_notes
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.corpus import (
    CORPUS_VERSION,
    ENTITY_ANOMALIES,
    CorpusRequest,
    build_corpus,
    corpus_identity,
)
from mlops_assets.domain.learning.promotion import judge_challenger, with_champion_features
from mlops_assets.domain.learning.spec import EventLabel
from mlops_assets.domain.learning.training import (
    TRAINING_VERSION,
    read_challenger,
    slot_of,
    train_challenger,
)
from mlops_assets.domain.learning.warm_start import plan_warm_start
from mlops_assets.domain.ports import (
    CodeProvenance,
    Lake,
    ModelRegistry,
    PromotionLedger,
    TableEngine,
)

_JUDGED_BY = {"task", "metric", "quantile", "seed", "gate", "business"}


def build_learning_assets(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return corpus, model and champion of every model of every use case, whichever segments have it."""
    assets = []
    threads = config.environment.executor.threads_per_step
    for use_case in sorted(config.use_cases):
        partitions = segment_partitions(config, use_case)
        for model, segments in config.segments_by_model(use_case).items():
            assets += [
                _build_corpus(config, use_case, model, segments, partitions),
                _build_model(use_case, model, segments, partitions, threads),
                _build_champion(use_case, model, segments, partitions, threads),
            ]
    return assets


def _request(segments: Segments, use_case: str, model: str, segment: str) -> CorpusRequest:
    settings = require_settings(segments, use_case, model, segment)
    return CorpusRequest(use_case, model, settings.corpus, settings.models[model], segment)


def _requests(segments: Segments, use_case: str, model: str) -> list[CorpusRequest]:
    return [_request(segments, use_case, model, segment) for segment in segments]


def _corpus_sources(config: ProjectConfig, segments: Segments, model: str) -> list[dg.AssetDep]:
    labels = [settings.models[model].label for settings in segments.values()]
    tables = {settings.corpus.table for settings in segments.values()}
    tables |= {label.table for label in labels if isinstance(label, EventLabel)}
    if any(spec.is_per_subscriber for spec in config.monitors.values()):
        keys = {settings.corpus.entity_key for settings in segments.values()}
        tables |= {ENTITY_ANOMALIES[key] for key in keys if key in ENTITY_ANOMALIES}
    # Segments and days are different dimensions: which days are read is in the corpus' metadata and version.
    by_geography = any(settings.segment_by == "geography" for settings in segments.values())
    mapping = dg.AllPartitionMapping() if by_geography else None
    return [
        dg.AssetDep(dg.AssetKey(names.table_key(table)), partition_mapping=mapping)
        for table in sorted(tables)
    ]


def _build_corpus(
    config: ProjectConfig,
    use_case: str,
    model: str,
    segments: Segments,
    partitions: dg.PartitionsDefinition,
) -> dg.AssetsDefinition:
    identities = [corpus_identity(request) for request in _requests(segments, use_case, model)]

    @dg.asset(
        key=names.corpus_key(use_case, model),
        description=(
            f"Frozen training corpus of {model}: point-in-time features, complete labels, split train / validation / "
            f"holdout.\n\nGrain: one row per {entity_of(segments)} and as-of day. Freshness: "
            f"with each training. "
            "On failure: nothing is trained, the champion stays."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"duckdb", "parquet"},
        partitions_def=partitions,
        code_version=stable_hash([identities, CORPUS_VERSION])[:12],
        deps=_corpus_sources(config, segments, model),
        output_required=False,
    )
    @retry_if_worthwhile
    def corpus_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> Iterator[dg.MaterializeResult]:
        if context.partition_key not in segments:  # the run trains the segment's other models
            context.log.info("segment %s has no model %s", context.partition_key, model)
            return
        request = _request(segments, use_case, model, context.partition_key)
        columns = column_notes(config, request.corpus.table)
        request = with_champion_features(request, columns, registry=registry, ledger=ledger)
        days = lake.days(request.corpus.table, request.segment)
        asked = context.run.tags.get(names.TAG_AS_OF_DAY)
        as_of_day = dt.date.fromisoformat(asked) if asked else max(days, default=None)
        outcome = build_corpus(
            request, as_of_day=as_of_day, first_day=min(days, default=None), lake=lake, engine=engine
        )
        yield dg.MaterializeResult(
            metadata=corpus_metadata(outcome), data_version=dg.DataVersion(outcome.content_sha256[:16])
        )

    return corpus_asset


def _build_model(
    use_case: str, model: str, segments: Segments, partitions: dg.PartitionsDefinition, threads: int
) -> dg.AssetsDefinition:
    specs = {segment: settings.models[model] for segment, settings in segments.items()}
    fitted = {
        segment: spec.model_dump(mode="json", exclude={"gate", "business"}) for segment, spec in specs.items()
    }
    algorithms = {name for spec in specs.values() for name in spec.algorithms}

    @dg.asset(
        key=names.model_key(use_case, model),
        description=(
            f"Leaderboard of {model} over the configured algorithms; the best fit is registered as "
            f"challenger.\n\nGrain: one "
            "challenger per segment. Freshness: with each training. On failure: the champion stays."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"mlflow", *algorithms} & {"mlflow", "catboost"},
        partitions_def=partitions,
        code_version=stable_hash([fitted, TRAINING_VERSION])[:12],
        deps=[dg.AssetKey(names.corpus_key(use_case, model))],
    )
    @retry_if_worthwhile
    def model_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
        provenance: dg.ResourceParam[CodeProvenance],
    ) -> dg.MaterializeResult:
        request = _request(segments, use_case, model, context.partition_key)
        stamps = {
            **provenance.stamps(),
            "dagster_run_id": context.run.run_id,
            "config_sha256": stable_hash([request.corpus, request.model]),
        }
        warm = None
        if names.TAG_SHIFT in context.run.tags:  # a person who trains wants fits from nothing
            warm, why = plan_warm_start(
                slot_of(request), request.model, stamps["config_sha256"], registry=registry, ledger=ledger
            )
            context.log.info("%s", why)
        challenger = train_challenger(
            request, lake=lake, registry=registry, stamps=stamps, threads=threads, warm=warm
        )
        return dg.MaterializeResult(
            metadata=challenger_metadata(challenger, registry.run_url(challenger.run_id)),
            data_version=dg.DataVersion(challenger.bundle_sha256[:16]),
        )

    return model_asset


def _build_champion(
    use_case: str, model: str, segments: Segments, partitions: dg.PartitionsDefinition, threads: int
) -> dg.AssetsDefinition:
    judged = {
        segment: [settings.models[model].model_dump(mode="json", include=_JUDGED_BY), settings.approval]
        for segment, settings in segments.items()
    }
    key = dg.AssetKey(names.champion_key(use_case, model))

    @dg.asset(
        key=key,
        description=(
            f"Decision on the newest challenger of {model}: both models on the same holdout, thresholds from the "
            "configuration, entry in the promotion ledger.\n\nGrain: one decision per segment. Freshness: with each "
            "training. Where a person has to approve, it says so until that is done. On failure: nothing is promoted."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        partitions_def=partitions,
        code_version=stable_hash(judged)[:12],
        deps=[dg.AssetKey(names.model_key(use_case, model)), dg.AssetKey(names.corpus_key(use_case, model))],
        check_specs=[gate_check_spec(key, partitions)],
    )
    @retry_if_worthwhile
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
            approval=segments[request.segment].approval,
            threads=threads,
        )
        return report_decision(entry)

    return champion_asset
