"""Stage `feeds`: one asset per feed contract.

Belongs here: turning a landing outcome into materialisation, metadata and mails. Does not belong here: what makes
a delivery good (mlops_assets.domain.feeds), or its checks (feed_checks).
"""

import datetime as dt
import functools
from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.feed_checks import (
    check_contract,
    check_delivery,
    check_freshness,
    check_health,
    check_schema,
    feed_check_specs,
)
from mlops_assets.assets.presentation import (
    column_schema,
    data_version,
    outcome_table,
    preview,
    row_count_metadata,
    select_published,
)
from mlops_assets.config import names
from mlops_assets.config.feed_geographies import feed_geographies
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.recipients import feed_recipients
from mlops_assets.config.run_plan import required_feeds
from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.feeds.homologation import HOMOLOGATION_VERSION
from mlops_assets.domain.feeds.landing import FeedOutcome, land_feed
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.ports import Lake, LandingZone, TableEngine
from mlops_assets.domain.quality.release_ports import FeedReleases
from mlops_assets.domain.reporting.delivery_mail import make_delivery_messages


def build_feed_assets(config: ProjectConfig, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return one asset per feed: by day for daily feeds, without partitions for snapshots."""
    daily = [_build_feed(config, feed, days) for feed in config.daily_feeds()]
    return daily + [_build_feed(config, feed, None) for feed in config.snapshot_feeds()]


def _build_feed(
    config: ProjectConfig, contract: FeedContract, days: dg.PartitionsDefinition | None
) -> dg.AssetsDefinition:
    key = dg.AssetKey(names.feed_key(contract.name))
    delivering = feed_geographies(config, contract)
    geographies: Mapping[str, Geography] = {code: geography for code, (geography, _) in delivering.items()}
    chains = {code: chain for code, (_, chain) in delivering.items()}
    by_geography = {code: contract.for_geography(chain) for code, chain in chains.items()}
    is_required = days is None or contract.name in required_feeds(config)
    recipients = feed_recipients(config, contract.name)

    @dg.asset(
        key=key,
        description=_description(contract),
        group_name=names.SHARED_GROUP,
        owners=[contract.owner],
        kinds={"duckdb", contract.format},
        partitions_def=days,
        code_version=stable_hash([contract, list(geographies.values()), HOMOLOGATION_VERSION])[:12],
        metadata={"dagster/column_schema": column_schema(contract)},
        check_specs=feed_check_specs(key, days),
    )
    @retry_if_worthwhile
    def feed_asset(
        context: dg.AssetExecutionContext,
        landing: dg.ResourceParam[LandingZone],
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        releases: dg.ResourceParam[FeedReleases],
        outbox: dg.ResourceParam[Outbox],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        day = dt.date.fromisoformat(context.partition_key) if days else None
        land = functools.partial(land_feed, landing=landing, lake=lake, engine=engine, releases=releases)
        outcomes = [land(contract, geography, chains[code], day) for code, geography in geographies.items()]
        for message in make_delivery_messages(outcomes, by_geography, recipients):
            outbox.enqueue(message, dt.datetime.now(dt.UTC))
        checks = [
            check_delivery(outcomes, is_required=is_required),
            *_day_checks(by_geography, outcomes, day, lake, is_required=is_required),
        ]
        schema = check_schema(by_geography, select_published(outcomes), lake, engine)
        yield from _report(contract, outcomes, checks, schema, lake, engine, is_required=is_required)

    return feed_asset


def _day_checks(
    contracts: Mapping[str, FeedContract],
    outcomes: Sequence[FeedOutcome],
    day: dt.date | None,
    lake: Lake,
    *,
    is_required: bool,
) -> list[dg.AssetCheckResult]:
    if day is None:
        return []
    return [check_health(outcomes, is_required=is_required), check_freshness(contracts, day, lake)]


def _description(contract: FeedContract) -> str:
    grain = ", ".join(contract.grain or contract.key)
    return (
        f"{contract.description}\n\nGrain: one row per {grain}. Freshness: "
        f"{contract.arrival_deadline_hours} hours after "
        "the start of the day. On failure: the geography concerned is left out of everything downstream, "
        "the others go on."
    )


def _report(
    contract: FeedContract,
    outcomes: list[FeedOutcome],
    checks: Sequence[dg.AssetCheckResult],
    schema: dg.AssetCheckResult,
    lake: Lake,
    engine: TableEngine,
    *,
    is_required: bool,
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    published = select_published(outcomes)
    if not published and is_required:
        yield from checks
        raise dg.Failure(f"no geography delivered an acceptable {contract.name}", allow_retries=False)
    results = [*checks, check_contract(published), schema]
    metadata = {"deliveries": outcome_table(outcomes, _describe)}
    if not published:
        # Tables carry on without it; they ask the lake, and find no partition.
        yield dg.MaterializeResult(metadata={"dagster/row_count": 0, **metadata}, check_results=results)
        return
    yield dg.MaterializeResult(
        metadata={
            **row_count_metadata(published),
            **metadata,
            "preview": preview(lake, engine, published[0].partition, [*contract.key, *contract.grain]),
        },
        data_version=data_version(published),
        check_results=results,
    )


def _describe(outcome: FeedOutcome) -> str:
    counts = outcome.counts
    text = f"{counts.delivered} delivered, {counts.duplicates} duplicates, {counts.late} late"
    return "; ".join(outcome.findings) or f"{text}, {counts.quarantined_total} quarantined"
