"""Stages `offers`, `model` and `champion` of policies: decision log, simulators, ladder, decision.

Belongs here: turning outcomes into materialisation, metadata and checks. Does not belong here: logs, simulators,
policies and their gate (mlops_assets.domain.offers).

A segment that is not ready (an input model without champion, too few weeks or contacts) materialises nothing, says
why, and leaves what comes after it out; that is no failure. A simulator that does not describe the held-out weeks is
one: no policy may be learned in a wrong world.
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.learning_view import gate_check_spec, report_decision
from mlops_assets.assets.offer_learning_view import (
    log_metadata,
    policy_metadata,
    worlds_check,
    worlds_metadata,
)
from mlops_assets.assets.partitions import segment_partitions
from mlops_assets.assets.segments import Segments, owners_of, require_settings
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.policy_slots import (
    find_offer_setting,
    has_policy,
    require_offers,
    segments_by_agent,
)
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.training import read_challenger
from mlops_assets.domain.offers.decision_log import DECISION_LOG_VERSION, freeze_log, read_log
from mlops_assets.domain.offers.policy_promotion import judge_policy
from mlops_assets.domain.offers.policy_training import POLICY_TRAINING_VERSION, train_policy
from mlops_assets.domain.offers.state_scores import NotReady
from mlops_assets.domain.offers.worlds import WORLDS_VERSION, build_worlds
from mlops_assets.domain.ports import (
    CodeProvenance,
    Lake,
    ModelRegistry,
    ModelSlot,
    PromotionLedger,
    TableEngine,
)


def build_offer_learning_assets(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return log, simulators, policy and decision of every use case with offers."""
    assets = []
    threads = config.environment.executor.threads_per_step
    for use_case in sorted(config.use_cases):
        segments = {name: one for name, one in sorted(config.use_cases[use_case].items()) if has_policy(one)}
        if not segments:
            continue
        partitions = segment_partitions(config, use_case)
        assets += [
            _build_log(config, use_case, segments, partitions, threads),
            _build_simulator(use_case, segments, partitions, threads),
        ]
        for agent, having in segments_by_agent(config, use_case).items():
            assets += [
                _build_policy(use_case, agent, having, partitions, threads),
                _build_champion(use_case, agent, having, partitions, threads),
            ]
    return assets


def _log_sources(config: ProjectConfig, segments: Segments) -> Iterator[dg.AssetDep]:
    """Yield what the log is made of: days of tables, and the champions of the input models.

    Proposals are read too, through the lake: they are made by the policy that comes of this, later and for other days.
    """
    tables = {"feeds/offers_sent", "feeds/plan_purchases", "feeds/plans"}
    tables |= {"etl/purchases_daily", "etl/churn_events"}
    tables |= {settings.corpus.table for settings in segments.values()}
    # Segments and days are different dimensions: which days are read is in the log's facts and version.
    for table in sorted(tables):
        yield dg.AssetDep(dg.AssetKey(names.table_key(table)), partition_mapping=dg.AllPartitionMapping())
    inputs = {
        (one.slot.use_case, one.slot.model)
        for segment, settings in segments.items()
        for one in find_offer_setting(config, settings, segment).scores
    }
    for use_case, model in sorted(inputs):
        yield dg.AssetDep(dg.AssetKey(names.champion_key(use_case, model)))


def _build_log(
    config: ProjectConfig,
    use_case: str,
    segments: Segments,
    partitions: dg.PartitionsDefinition,
    threads: int,
) -> dg.AssetsDefinition:
    spent = {segment: [one.corpus, require_offers(one)] for segment, one in segments.items()}

    @dg.asset(
        key=names.transitions_key(use_case),
        description=(
            "Decision log: where people were, what they were offered, what came of it, and the chance with which it "
            "was decided.\n\nGrain: one row per sampled person and week. Freshness: with each training, after the "
            "champions of the input models. On failure: no policy is learned, the champion stays."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"duckdb", "parquet"},
        partitions_def=partitions,
        code_version=stable_hash([spent, DECISION_LOG_VERSION])[:12],
        deps=list(_log_sources(config, segments)),
        output_required=False,
    )
    @retry_if_worthwhile
    def log_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> Iterator[dg.MaterializeResult]:
        segment = context.partition_key
        if segment not in segments:  # the run trains the segment's other models
            context.log.info("segment %s has no offers", segment)
            return
        setting = find_offer_setting(config, segments[segment], segment)
        asked = context.run.tags.get(names.TAG_AS_OF_DAY)
        days = lake.days(setting.corpus.table, segment)
        last_day = dt.date.fromisoformat(asked) if asked else max(days, default=None)
        found = freeze_log(
            setting, last_day, lake=lake, engine=engine, registry=registry, ledger=ledger, threads=threads
        )
        if isinstance(found, NotReady):
            _say_not_ready(context, found)
            return
        yield dg.MaterializeResult(
            metadata=log_metadata(found), data_version=dg.DataVersion(found.sha256[:16])
        )

    return log_asset


def _say_not_ready(context: dg.AssetExecutionContext, found: NotReady) -> None:
    """Leave an observation: a person who looks at the asset sees why it was not made."""
    context.log.info("no policy is learned: %s", found.detail)
    context.log_event(
        dg.AssetObservation(
            asset_key=context.asset_key,
            partition=context.partition_key,
            description=f"not made ({found.status}): {found.detail}",
            metadata={"status": found.status, "detail": found.detail},
        )
    )


def _build_simulator(
    use_case: str, segments: Segments, partitions: dg.PartitionsDefinition, threads: int
) -> dg.AssetsDefinition:
    key = dg.AssetKey(names.simulator_key(use_case))
    learned = {
        segment: [require_offers(one).agent, require_offers(one).simulator_check]
        for segment, one in segments.items()
    }

    @dg.asset(
        key=key,
        description=(
            "Two learned worlds, each from its own half of the customers: one to learn policies in, one to judge them "
            "in.\n\nGrain: one pair per segment. Freshness: with each training. On failure, and where a world does not "
            "describe the held-out weeks: no policy is learned, the champion stays."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"catboost"},
        partitions_def=partitions,
        code_version=stable_hash([learned, WORLDS_VERSION])[:12],
        deps=[dg.AssetKey(names.transitions_key(use_case))],
        check_specs=[
            dg.AssetCheckSpec(
                names.CHECK_SIMULATOR,
                asset=key,
                partitions_def=partitions,
                blocking=True,
                description="Both worlds describe acceptance, purchases, margin, churn and contacts of weeks that they "
                "have not seen.",
            )
        ],
    )
    @retry_if_worthwhile
    def simulator_asset(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
    ) -> dg.MaterializeResult:
        spec = require_offers(require_settings(segments, use_case, "simulator", context.partition_key))
        slot = ModelSlot(use_case, spec.agent.name, context.partition_key)
        found = build_worlds(slot, read_log(slot, lake), spec, lake=lake, threads=threads)
        return dg.MaterializeResult(
            metadata=worlds_metadata(found),
            data_version=dg.DataVersion(stable_hash(dict(found.sha256))[:16]),
            check_results=[worlds_check(found)],
        )

    return simulator_asset


def _build_policy(
    use_case: str, agent: str, segments: Segments, partitions: dg.PartitionsDefinition, threads: int
) -> dg.AssetsDefinition:
    spent = {segment: require_offers(one).model_dump(mode="json") for segment, one in segments.items()}

    @dg.asset(
        key=names.model_key(use_case, agent),
        description=(
            f"Ladder of policies of {agent}, from making no offers to the agent, judged in one simulator; the best "
            "that is proven is registered as challenger.\n\nGrain: one challenger per segment. Freshness: with each "
            "training. On failure: the champion stays."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"mlflow", "catboost"},
        partitions_def=partitions,
        code_version=stable_hash([spent, POLICY_TRAINING_VERSION])[:12],
        deps=[
            dg.AssetKey(names.simulator_key(use_case)),
            dg.AssetKey(names.transitions_key(use_case)),
        ],
    )
    @retry_if_worthwhile
    def policy_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[ModelRegistry],
        provenance: dg.ResourceParam[CodeProvenance],
    ) -> dg.MaterializeResult:
        spec = require_offers(require_settings(segments, use_case, agent, context.partition_key))
        slot = ModelSlot(use_case, agent, context.partition_key)
        stamps = {
            **provenance.stamps(),
            "dagster_run_id": context.run.run_id,
            "config_sha256": stable_hash(spec),
        }
        challenger = train_policy(slot, spec, lake=lake, registry=registry, stamps=stamps, threads=threads)
        return dg.MaterializeResult(
            metadata=policy_metadata(challenger, registry.run_url(challenger.run_id)),
            data_version=dg.DataVersion(challenger.bundle_sha256[:16]),
        )

    return policy_asset


def _build_champion(
    use_case: str, agent: str, segments: Segments, partitions: dg.PartitionsDefinition, threads: int
) -> dg.AssetsDefinition:
    judged = {segment: [require_offers(one), one.approval] for segment, one in segments.items()}
    key = dg.AssetKey(names.champion_key(use_case, agent))

    @dg.asset(
        key=key,
        description=(
            f"Decision on the newest policy of {agent}: beside the champion in the judging simulator, and on logged "
            "decisions; entry in the promotion ledger.\n\nGrain: one decision per segment. Freshness: with each "
            "training. Where a person has to approve, it says so until that is done. On failure: nothing is promoted."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        partitions_def=partitions,
        code_version=stable_hash(judged)[:12],
        deps=[
            dg.AssetKey(names.model_key(use_case, agent)),
            dg.AssetKey(names.simulator_key(use_case)),
            dg.AssetKey(names.transitions_key(use_case)),
        ],
        check_specs=[gate_check_spec(key, partitions)],
    )
    @retry_if_worthwhile
    def champion_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.MaterializeResult:
        settings = require_settings(segments, use_case, agent, context.partition_key)
        entry = judge_policy(
            read_challenger(lake, ModelSlot(use_case, agent, context.partition_key)),
            require_offers(settings),
            lake=lake,
            registry=registry,
            ledger=ledger,
            decided_at_utc=dt.datetime.now(dt.UTC),
            approval=settings.approval,
            threads=threads,
        )
        return report_decision(entry)

    return champion_asset
