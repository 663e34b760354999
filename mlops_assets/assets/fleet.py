"""Stage `fleet`: one model per group beside the pooled one of the segment.

Belongs here: turning a fleet's training into a materialisation, metadata and a check. Does not belong here: groups,
fits and decisions (mlops_assets.domain.learning.fleet_*).
"""

import datetime as dt
from collections.abc import Iterator, Mapping

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.partitions import segment_partitions
from mlops_assets.assets.presentation import record_table
from mlops_assets.assets.segments import Segments, owners_of
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.fleet_history import record_training
from mlops_assets.domain.learning.fleet_promotion import FleetRules
from mlops_assets.domain.learning.fleet_training import (
    FLEET_VERSION,
    FleetStores,
    FleetTraining,
    train_fleet,
)
from mlops_assets.domain.ports import CodeProvenance, Lake, ModelRegistry, PromotionLedger

_SHOWN_GROUPS = 200


def build_fleet_assets(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return one asset per model that has a fleet in some segment."""
    processes = config.environment.executor.threads_per_step
    return [
        _build_fleet(use_case, model, segments, segment_partitions(config, use_case), processes)
        for use_case in sorted(config.use_cases)
        for model, segments in config.fleets(use_case).items()
    ]


def _build_fleet(
    use_case: str, model: str, segments: Segments, partitions: dg.PartitionsDefinition, processes: int
) -> dg.AssetsDefinition:
    specs = {segment: settings.models[model] for segment, settings in segments.items()}
    key = dg.AssetKey(names.fleet_key(use_case, model))
    groups = " or ".join(sorted({spec.fleet.group_column for spec in specs.values() if spec.fleet}))

    @dg.asset(
        key=key,
        description=(
            f"Models of {model} by {groups}: all candidates for each group, the best one compared with "
            "the pooled champion, entries in the promotion ledger.\n\nGrain: one decision per group. "
            "Freshness: with each training. On failure: every group keeps its champion; what fails for "
            "one group is that group's outcome."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"mlflow"},
        partitions_def=partitions,
        code_version=stable_hash([specs, FLEET_VERSION])[:12],
        deps=[
            dg.AssetKey(names.corpus_key(use_case, model)),
            dg.AssetKey(names.champion_key(use_case, model)),
        ],
        output_required=False,
        check_specs=[
            dg.AssetCheckSpec(
                names.CHECK_GROUPS,
                asset=key,
                partitions_def=partitions,
                description="No group's training failed; groups without enough rows do not count.",
            )
        ],
    )
    @retry_if_worthwhile
    def fleet_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
        provenance: dg.ResourceParam[CodeProvenance],
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        segment = context.partition_key
        if segment not in segments or (spec := specs[segment]).fleet is None:
            # The run trains the segment's pooled model; Dagster wants the check's answer all the same.
            context.log.info("segment %s has no fleet of %s", segment, model)
            yield dg.AssetCheckResult(check_name=names.CHECK_GROUPS, asset_key=key, passed=True)
            return
        request = CorpusRequest(use_case, model, segments[segment].corpus, spec, segment)
        rules = FleetRules(spec.fleet, dt.datetime.now(dt.UTC), segments[segment].approval)
        stamps = {
            **provenance.stamps(),
            "dagster_run_id": context.run.run_id,
            "config_sha256": stable_hash([request.corpus, request.model]),
        }
        yield _report(_train(request, FleetStores(lake, registry, ledger), rules, stamps, processes))

    return fleet_asset


def _train(
    request: CorpusRequest,
    stores: FleetStores,
    rules: FleetRules,
    stamps: Mapping[str, object],
    processes: int,
) -> FleetTraining:
    """Train, and keep what it cost beside the trainings before."""
    training = train_fleet(request, stores, rules, stamps=stamps, processes=processes)
    record_training(stores.lake, training.slot, request.corpus, rules.fleet.group_column)
    return training


def _report(training: FleetTraining) -> dg.MaterializeResult:
    facts = training.manifest.facts
    rows = [
        {
            "group": decision.result.name,
            "outcome": decision.outcome,
            "algorithm": decision.result.algorithm,
            "train_rows": decision.result.part_rows["train"],
            "p_value": round(decision.result.p_value, 6),
            "detail": decision.detail,
        }
        for decision in training.decisions[:_SHOWN_GROUPS]
    ]
    failed = [decision.result.name for decision in training.decisions if decision.outcome == "failed"]
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": dg.MetadataValue.int(training.manifest.row_count),
            "outcomes": dg.MetadataValue.json(facts["outcomes"]),
            "groups": record_table(rows),
            "cpu_seconds": dg.MetadataValue.float(float(facts["cpu_seconds"])),
            "mlflow_run": dg.MetadataValue.text(training.run_id),
        },
        data_version=dg.DataVersion(training.manifest.build_key[:16]),
        check_results=[
            dg.AssetCheckResult(
                check_name=names.CHECK_GROUPS,
                passed=not failed,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"failed": dg.MetadataValue.json(failed[:_SHOWN_GROUPS])},
            )
        ],
    )
