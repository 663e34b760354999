"""Stage `offers`, by day: proposals for the coming day, their delivery, and what became of those of the day.

Belongs here: turning outcomes into materialisation, metadata and checks. Does not belong here: decisions, files and
counts (mlops_assets.domain.offers), or how policies are learned.

The partition of a day is the run of that day: its proposals and delivery are for the day after, its reconciliation is
of the day itself, with what the run of the day before proposed.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.offers_view import faults_metadata, proposal_metadata, reconciled_metadata
from mlops_assets.assets.partitions import day_before, trailing_days
from mlops_assets.assets.presentation import data_version, outcome_table, row_count_metadata, select_published
from mlops_assets.assets.segments import Segments, list_offering, owners_of
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.offer_day import has_campaign_reported
from mlops_assets.config.policy_slots import find_offer_setting, require_offers, segments_by_agent
from mlops_assets.domain.features.build import TableOutcome, build_table
from mlops_assets.domain.features.table import FeatureTable
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.champion_policy import build_policy_loader
from mlops_assets.domain.offers.daily_offers import (
    PROPOSALS_VERSION,
    OfferPorts,
    ProposalOutcome,
    propose_day,
)
from mlops_assets.domain.offers.delivery import DELIVERY_VERSION, DeliveryOutcome, deliver_day
from mlops_assets.domain.offers.delivery_ports import AgentsStore, DeliveryId
from mlops_assets.domain.offers.offer_states import CONTACT_DAYS, HISTORY_DAYS
from mlops_assets.domain.offers.offer_tables import proposals_table
from mlops_assets.domain.offers.proposal_checks import ProposalFaults, count_faults
from mlops_assets.domain.offers.reconciliation import reconciliation_table
from mlops_assets.domain.offers.reconciliation_day import ReconciledDay, ReconciliationError, read_day
from mlops_assets.domain.ports import Lake, LandingZone, ModelRegistry, PromotionLedger, TableEngine

_DAY = dt.timedelta(days=1)
_CHECKS = (
    (names.CHECK_ONE_OFFER, True, "One proposal a person; chances that sum to 1, and none of 0 was drawn."),
    (names.CHECK_ALLOWED, True, "Every offer satisfies rules, catalogue and contact policy, counted anew."),
    (names.CHECK_FAIRNESS, False, "Groups are contacted alike, within the bounds of the catalogue."),
)


def build_offer_assets(config: ProjectConfig, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return proposals, delivery and reconciliation of every use case with offers."""
    assets = []
    for use_case, segments in list_offering(config):
        assets += [
            _build_proposals(config, use_case, segments, days),
            _build_delivery(config, use_case, segments, days),
            _build_reconciliation(use_case, segments, days),
        ]
    return assets


def _proposal_sources(config: ProjectConfig, use_case: str, segments: Segments) -> Iterator[dg.AssetDep]:
    for table in sorted({settings.corpus.table for settings in segments.values()}):
        yield dg.AssetDep(dg.AssetKey(names.table_key(table)))
    yield dg.AssetDep(dg.AssetKey(names.feed_key("plans")))
    windows = {"feeds/offers_sent": CONTACT_DAYS, "etl/purchases_daily": HISTORY_DAYS}
    for table, length in windows.items():
        yield dg.AssetDep(dg.AssetKey(names.table_key(table)), partition_mapping=trailing_days(length))
    inputs = {
        (one.slot.use_case, one.slot.model)
        for segment, settings in segments.items()
        for one in find_offer_setting(config, settings, segment).scores
    }
    for owner, model in sorted(inputs):
        # Scores of the day are read where they are of the same champion.
        if any(one.score_daily for one in config.use_cases[owner].values()):
            yield dg.AssetDep(dg.AssetKey(names.scores_key(owner, model)))
    agents = {(use_case, agent) for agent in segments_by_agent(config, use_case)}
    for owner, model in sorted(inputs | agents):
        yield dg.AssetDep(
            dg.AssetKey(names.champion_key(owner, model)), partition_mapping=dg.AllPartitionMapping()
        )


def _build_proposals(
    config: ProjectConfig, use_case: str, segments: Segments, days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    key, threads = dg.AssetKey(names.proposals_key(use_case)), config.environment.executor.threads_per_step
    offers = {segment: [one.corpus, require_offers(one)] for segment, one in segments.items()}

    @dg.asset(
        key=key,
        description=(
            f"What {use_case} proposes for the day after, with chances and reasons.\n\nGrain: one row per person of "
            "the population, `no_offer` being a proposal too. Freshness: with the day's run; once the campaign system "
            "has reported on the day of the offers nothing changes any more. On failure: nothing new is delivered; "
            "people without a proposal are the campaign's own."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"duckdb", "parquet"},
        partitions_def=days,
        code_version=stable_hash([offers, PROPOSALS_VERSION])[:12],
        deps=list(_proposal_sources(config, use_case, segments)),
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, blocking=blocking, partitions_def=days, description=text)
            for name, blocking, text in _CHECKS
        ],
    )
    @retry_if_worthwhile
    def proposals_asset(
        context: dg.AssetExecutionContext,
        landing: dg.ResourceParam[LandingZone],
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.MaterializeResult:
        day, ports = dt.date.fromisoformat(context.partition_key), OfferPorts(lake, engine, registry, ledger)
        outcomes, faults = [], {}
        for segment, settings in segments.items():
            outcome = propose_day(
                find_offer_setting(config, settings, segment),
                day,
                ports,
                build_policy_loader(registry),
                is_used=has_campaign_reported(config, landing, lake, segment, day + _DAY),
                threads=threads,
            )
            outcomes.append(outcome)
            if outcome.status in {"built", "reused"}:
                catalogue = require_offers(settings).catalogue
                faults[segment] = count_faults(catalogue, outcome.partition, lake=lake, engine=engine)
        return _report_proposals(outcomes, faults)

    return proposals_asset


def _report_proposals(
    outcomes: Sequence[ProposalOutcome], faults: Mapping[str, ProposalFaults]
) -> dg.MaterializeResult:
    """A segment without champion has no proposals: nothing of the day is missing."""
    published = select_published(outcomes)
    counts = {
        names.CHECK_ONE_OFFER: any(one.repeated or one.unsound_chances for one in faults.values()),
        names.CHECK_ALLOWED: any(one.forbidden for one in faults.values()),
        names.CHECK_FAIRNESS: any(one.unfair for one in faults.values()),
    }
    return dg.MaterializeResult(
        metadata={
            **row_count_metadata(published),
            **proposal_metadata(published),
            "segments": outcome_table(outcomes, lambda one: one.detail),
        },
        data_version=data_version(published),
        check_results=[
            dg.AssetCheckResult(
                check_name=name,
                passed=not is_faulty,
                severity=dg.AssetCheckSeverity.WARN
                if name == names.CHECK_FAIRNESS
                else dg.AssetCheckSeverity.ERROR,
                metadata=faults_metadata(faults),
            )
            for name, is_faulty in counts.items()
        ],
    )


def _build_delivery(
    config: ProjectConfig, use_case: str, segments: Segments, days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    @dg.asset(
        key=names.delivery_key(use_case),
        description=(
            f"The proposals of {use_case} in the agents' store, in the operator's plan codes and currency.\n\nGrain: "
            "one file per geography and day of offers. Freshness: with the day's run, before the day of the offers; "
            "proposals that were withdrawn are taken out of the store. On failure: what was delivered before stays."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"csv"},
        partitions_def=days,
        code_version=stable_hash([{s: config.geographies[s] for s in segments}, DELIVERY_VERSION])[:12],
        deps=[dg.AssetKey(names.proposals_key(use_case))],
    )
    @retry_if_worthwhile
    def delivery_asset(
        context: dg.AssetExecutionContext,
        landing: dg.ResourceParam[LandingZone],
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        agents: dg.ResourceParam[AgentsStore],
    ) -> dg.MaterializeResult:
        offer_day = dt.date.fromisoformat(context.partition_key) + _DAY
        outcomes: list[DeliveryOutcome] = [
            deliver_day(
                DeliveryId(use_case, segment, offer_day),
                config.geographies[segment],
                lake=lake,
                engine=engine,
                store=agents,
                is_used=has_campaign_reported(config, landing, lake, segment, offer_day),
            )
            for segment in segments
        ]
        published = select_published(outcomes)
        return dg.MaterializeResult(
            metadata={
                **row_count_metadata(published),
                "segments": outcome_table(outcomes, lambda one: one.detail),
            },
            data_version=data_version(published),
        )

    return delivery_asset


def _build_reconciliation(
    use_case: str, segments: Segments, days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    key, table = (
        dg.AssetKey(names.reconciliation_key(use_case)),
        reconciliation_table(proposals_table(use_case)),
    )

    @dg.asset(
        key=key,
        description=(
            f"{table.description}\n\nGrain: one row per kind, plans and model version. Freshness: with the day's run. "
            "On failure: the day is missing in the weekly report, which names it."
        ),
        group_name=use_case,
        owners=[table.owner],
        kinds={"duckdb", "parquet"},
        partitions_def=days,
        code_version=table.version,
        deps=[
            # The run of the day before proposed what this day's campaign was to send.
            dg.AssetDep(dg.AssetKey(names.proposals_key(use_case)), partition_mapping=day_before()),
            dg.AssetKey(names.feed_key("offers_sent")),
            dg.AssetKey(names.feed_key("plans")),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                names.CHECK_SUMS,
                asset=key,
                partitions_def=days,
                description="Offers proposed are sent, not sent or different; every contact is counted once.",
            )
        ],
    )
    @retry_if_worthwhile
    def reconciliation_asset(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], engine: dg.ResourceParam[TableEngine]
    ) -> dg.MaterializeResult:
        day = dt.date.fromisoformat(context.partition_key)
        outcomes = [build_table(table, segment, day, lake=lake, engine=engine) for segment in segments]
        reconciled, faults = _read_back(table, outcomes, lake, engine)
        return _report_reconciliation(outcomes, reconciled, faults)

    return reconciliation_asset


def _read_back(
    table: FeatureTable, outcomes: Sequence[TableOutcome], lake: Lake, engine: TableEngine
) -> tuple[list[ReconciledDay], list[str]]:
    """Return the figures of every geography that was reconciled, and what does not add up, in words."""
    reconciled, faults = [], []
    for one in select_published(outcomes):
        if one.partition.day is None:
            continue
        try:
            found = read_day(table, one.partition.segment, one.partition.day, lake=lake, engine=engine)
        except ReconciliationError as error:
            faults.append(str(error))
        else:
            reconciled += [found] if found else []
    return reconciled, faults


def _report_reconciliation(
    outcomes: Sequence[TableOutcome], reconciled: Sequence[ReconciledDay], faults: Sequence[str]
) -> dg.MaterializeResult:
    """A geography for which nothing was proposed is not reconciled: nothing of it is missing."""
    published = select_published(outcomes)
    told = {"faults": dg.MetadataValue.md("\n".join(f"- {one}" for one in faults))} if faults else {}
    check = dg.AssetCheckResult(
        check_name=names.CHECK_SUMS,
        passed=not faults,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=told,
    )
    return dg.MaterializeResult(
        metadata={
            **row_count_metadata(published),
            **reconciled_metadata(reconciled),
            "segments": outcome_table(outcomes, lambda one: one.detail),
        },
        data_version=data_version(published),
        check_results=[check],
    )
