"""Stage `feeds`: one asset per feed contract.

Belongs here: turning a landing outcome into materialisation, metadata and checks. Does not belong here: what
makes a delivery good (mlops_assets.domain.feeds).
"""

import datetime as dt
from collections.abc import Iterator, Mapping

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.presentation import (
    column_schema,
    data_version,
    outcome_table,
    preview,
    row_count_metadata,
    select_published,
)
from mlops_assets.config import names
from mlops_assets.config.loader import EVERYWHERE
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import required_feeds
from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.feeds.homologation import HOMOLOGATION_VERSION
from mlops_assets.domain.feeds.landing import FeedOutcome, land_feed
from mlops_assets.domain.feeds.schema import SAMPLED_ROWS, find_violations
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import Lake, LandingZone, TableEngine
from mlops_assets.domain.quality.release_ports import FeedReleases

# A snapshot belongs to no geography: it is read in UTC and in the reporting currency.
ANYWHERE = Geography(code=EVERYWHERE, name="everywhere", timezone="UTC", currency="USD", usd_per_unit=1.0)


def build_feed_assets(config: ProjectConfig, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return one asset per feed: by day for daily feeds, without partitions for snapshots."""
    daily = [_build_feed(config, feed, days) for feed in config.daily_feeds()]
    return daily + [_build_feed(config, feed, None) for feed in config.snapshot_feeds()]


def _build_feed(
    config: ProjectConfig, contract: FeedContract, days: dg.PartitionsDefinition | None
) -> dg.AssetsDefinition:
    key = dg.AssetKey(names.feed_key(contract.name))
    chains = (
        {code: config.geography_chain(code) for code in config.geographies}
        if days
        else {EVERYWHERE: [EVERYWHERE]}
    )
    geographies: Mapping[str, Geography] = config.geographies if days else {EVERYWHERE: ANYWHERE}
    is_required = days is None or contract.name in required_feeds(config)

    @dg.asset(
        key=key,
        description=_description(contract),
        group_name=names.SHARED_GROUP,
        owners=[contract.owner],
        kinds={"duckdb", contract.format},
        partitions_def=days,
        code_version=stable_hash([contract, list(geographies.values()), HOMOLOGATION_VERSION])[:12],
        metadata={"dagster/column_schema": column_schema(contract)},
        check_specs=_check_specs(key, days),
    )
    @retry_if_worthwhile
    def feed_asset(
        context: dg.AssetExecutionContext,
        landing: dg.ResourceParam[LandingZone],
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        releases: dg.ResourceParam[FeedReleases],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        day = dt.date.fromisoformat(context.partition_key) if days else None
        outcomes = [
            land_feed(
                contract,
                geography,
                chains[code],
                day,
                landing=landing,
                lake=lake,
                engine=engine,
                releases=releases,
            )
            for code, geography in geographies.items()
        ]
        by_geography = {code: contract.for_geography(chain) for code, chain in chains.items()}
        schema = _schema_check(by_geography, select_published(outcomes), lake, engine)
        yield from _report(contract, outcomes, schema, lake, engine, is_required=is_required)

    return feed_asset


def _check_specs(key: dg.AssetKey, days: dg.PartitionsDefinition | None) -> list[dg.AssetCheckSpec]:
    judged = [_health_spec(key, days)] if days else []  # a snapshot has no history to be compared with
    return [
        *judged,
        dg.AssetCheckSpec(
            names.CHECK_DELIVERY,
            asset=key,
            blocking=True,
            partitions_def=days,
            description="Presence, size, schema, row count and day of the delivered files; a file that the feed "
            "gate holds counts as not delivered. Fails hard when no geography delivered a feed that tables of "
            "the day need.",
        ),
        dg.AssetCheckSpec(
            names.CHECK_CONTRACT,
            asset=key,
            partitions_def=days,
            description="Every delivered row satisfies the contract; those that do not are in quarantine.",
        ),
        dg.AssetCheckSpec(
            names.CHECK_SCHEMA,
            asset=key,
            blocking=True,
            partitions_def=days,
            description=f"The first {SAMPLED_ROWS} published rows have the contract's columns, types and "
            "ranges. Fails when what was written is not what was meant: an engine's or our own defect.",
        ),
    ]


def _health_spec(key: dg.AssetKey, days: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        names.CHECK_HEALTH,
        asset=key,
        blocking=True,
        partitions_def=days,
        description="The deliveries are like the healthy ones before them: rows, units, shares of values. A broken "
        "one is held until it is delivered again or released (`mlops feeds`); its geography is left out. "
        "Fails hard when all are held.",
    )


def _description(contract: FeedContract) -> str:
    grain = ", ".join(contract.grain or contract.key)
    return (
        f"{contract.description}\n\nGrain: one row per {grain}. Freshness: "
        f"{contract.arrival_deadline_hours} hours after "
        "the end of the day. On failure: the geography concerned is left out of everything downstream, "
        "the others go on."
    )


def _report(
    contract: FeedContract,
    outcomes: list[FeedOutcome],
    schema: dg.AssetCheckResult,
    lake: Lake,
    engine: TableEngine,
    *,
    is_required: bool,
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    published = select_published(outcomes)
    delivery, conformity = (
        _delivery_check(outcomes, is_required=is_required),
        _contract_check(published),
    )
    health = [_health_check(outcomes, is_required=is_required)] if outcomes[0].partition.day else []
    if not published and not is_required:
        # Tables carry on without it; they ask the lake, and find no partition.
        yield dg.MaterializeResult(
            metadata={"dagster/row_count": 0, "deliveries": outcome_table(outcomes, _describe)},
            check_results=[delivery, *health, conformity, schema],
        )
        return
    if not published:
        yield from (delivery, *health)
        raise dg.Failure(f"no geography delivered an acceptable {contract.name}", allow_retries=False)
    yield dg.MaterializeResult(
        metadata={
            **row_count_metadata(published),
            "deliveries": outcome_table(outcomes, _describe),
            "preview": preview(lake, engine, published[0].partition, contract),
        },
        data_version=data_version(published),
        check_results=[delivery, *health, conformity, schema],
    )


def _delivery_check(outcomes: list[FeedOutcome], *, is_required: bool) -> dg.AssetCheckResult:
    wrong = [o for o in outcomes if o not in select_published(outcomes)]
    refused = {o.partition.segment: list(o.findings) for o in wrong}
    lines = [f"- {segment}: {finding}" for segment, found in refused.items() for finding in found]
    stops_all = is_required and len(wrong) == len(outcomes)
    return dg.AssetCheckResult(
        check_name=names.CHECK_DELIVERY,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if stops_all else dg.AssetCheckSeverity.WARN,
        metadata={
            "findings": dg.MetadataValue.md("\n".join(lines)),
            names.REFUSED_METADATA: dg.MetadataValue.json(refused),
        }
        if refused
        else {},
    )


def _health_check(outcomes: list[FeedOutcome], *, is_required: bool) -> dg.AssetCheckResult:
    held = {o.partition.segment: o for o in outcomes if o.status == "held"}
    verdicts = {
        o.partition.segment: o.health.model_dump(mode="json", exclude_defaults=True)
        for o in outcomes
        if o.health is not None
    }
    lines = [f"- {segment}: {finding}" for segment, o in held.items() for finding in o.findings]
    metadata: dict[str, dg.MetadataValue] = {"verdicts": dg.MetadataValue.json(verdicts)}
    if held:
        metadata["held"] = dg.MetadataValue.md("\n".join(lines))
    return dg.AssetCheckResult(
        check_name=names.CHECK_HEALTH,
        passed=not held,
        severity=dg.AssetCheckSeverity.ERROR
        if is_required and len(held) == len(outcomes)
        else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def _contract_check(published: list[FeedOutcome]) -> dg.AssetCheckResult:
    by_reason = {
        f"{o.partition.segment}: {reason}": rows
        for o in published
        for reason, rows in o.counts.quarantined.items()
    }
    return dg.AssetCheckResult(
        check_name=names.CHECK_CONTRACT,
        passed=not by_reason,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"quarantined_rows": dg.MetadataValue.json(by_reason)} if by_reason else {},
    )


def _schema_check(
    contracts: Mapping[str, FeedContract], published: list[FeedOutcome], lake: Lake, engine: TableEngine
) -> dg.AssetCheckResult:
    violations = {
        str(o.partition): found
        for o in published
        if (found := find_violations(contracts[o.partition.segment], engine, lake.path(o.partition)))
    }
    return dg.AssetCheckResult(
        check_name=names.CHECK_SCHEMA,
        passed=not violations,
        metadata={"violations": dg.MetadataValue.json(violations)} if violations else {},
    )


def _describe(outcome: FeedOutcome) -> str:
    counts = outcome.counts
    text = f"{counts.delivered} delivered, {counts.duplicates} duplicates, {counts.late} late"
    return "; ".join(outcome.findings) or f"{text}, {counts.quarantined_total} quarantined"
