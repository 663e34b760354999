"""Checks of stage `feeds`: which every feed has, and their results.

Belongs here: from landing outcomes to Dagster's check results. Does not belong here: what makes a delivery good or
late (mlops_assets.domain.feeds), or the assets themselves (feeds). docs/checks.md lists all checks.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import dagster as dg

from mlops_assets.assets.presentation import select_published
from mlops_assets.config import names
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.freshness import judge_freshness
from mlops_assets.domain.feeds.landing import FeedOutcome
from mlops_assets.domain.feeds.schema import SAMPLED_ROWS, find_violations
from mlops_assets.domain.ports import Lake, TableEngine


def feed_check_specs(key: dg.AssetKey, days: dg.PartitionsDefinition | None) -> list[dg.AssetCheckSpec]:
    """Return the checks of a feed; a snapshot has no history to be compared with, and no day to be late for."""
    judged = [_health_spec(key, days), _freshness_spec(key, days)] if days else []
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


def _freshness_spec(key: dg.AssetKey, days: dg.PartitionsDefinition) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        names.CHECK_FRESHNESS,
        asset=key,
        partitions_def=days,
        description="The newest published day of every geography is at most `arrival_deadline_hours`, rounded up to "
        "days, behind the day of the run. Old days are judged as seen from themselves.",
    )


def check_delivery(outcomes: Sequence[FeedOutcome], *, is_required: bool) -> dg.AssetCheckResult:
    """Return whether every geography's file is used; ERROR if none is and tables of the day need the feed."""
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
            names.STATES_METADATA: dg.MetadataValue.json({o.partition.segment: o.status for o in wrong}),
        }
        if refused
        else {},
    )


def check_health(outcomes: Sequence[FeedOutcome], *, is_required: bool) -> dg.AssetCheckResult:
    """Return whether a delivery is held; ERROR if all are and tables of the day need the feed."""
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


def check_contract(published: Sequence[FeedOutcome]) -> dg.AssetCheckResult:
    """Return whether rows are in quarantine, and why."""
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


def check_schema(
    contracts: Mapping[str, FeedContract], published: Sequence[FeedOutcome], lake: Lake, engine: TableEngine
) -> dg.AssetCheckResult:
    """Return whether the first published rows are as their contract says."""
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


def check_freshness(contracts: Mapping[str, FeedContract], day: dt.date, lake: Lake) -> dg.AssetCheckResult:
    """Judge how far each geography's newest published day is behind the run's day; no clock is asked."""
    found = [
        judge_freshness(contract, code, day, lake.days("/".join(names.feed_key(contract.name)), code))
        for code, contract in contracts.items()
    ]
    late = [one for one in found if not one.is_fresh]
    return dg.AssetCheckResult(
        check_name=names.CHECK_FRESHNESS,
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(one.text for one in late) or "every geography is in time",
        metadata={"geographies": dg.MetadataValue.md("\n".join(f"- {one.text}" for one in found))},
    )
