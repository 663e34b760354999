"""Stage `offers`: the verdict on what a week's offers brought.

Belongs here: turning verdicts into materialisation, metadata and a check. Does not belong here: the verdict
(mlops_assets.domain.offers.performance) or what follows from it (sensors).
"""

import datetime as dt

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.presentation import record_table
from mlops_assets.assets.segments import Segments, list_offering, owners_of
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.policy_slots import require_offers
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.performance import PerformanceVerdict
from mlops_assets.domain.offers.performance_record import PERFORMANCE_VERSION, judge_week
from mlops_assets.domain.ports import Lake, ModelSlot, PromotionLedger, TableEngine
from mlops_assets.domain.weeks import ends_week


def build_offer_performance_assets(
    config: ProjectConfig, days: dg.PartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """Return the verdict of every use case with offers."""
    return [_build_performance(use_case, segments, days) for use_case, segments in list_offering(config)]


def _build_performance(
    use_case: str, segments: Segments, days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    rules = {segment: require_offers(settings).performance for segment, settings in segments.items()}
    key = dg.AssetKey(names.performance_key(use_case))

    @dg.asset(
        key=key,
        description=(
            "Whether the week's offers brought the acceptances and the margin that were expected of them when they "
            "were proposed; a fall beyond chance in enough weeks trains the segment again.\n\nGrain: one verdict per "
            "segment and week, on Sundays. Freshness: with the day's run. On failure: nothing is trained because of "
            "it, the week can be judged later."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        partitions_def=days,
        code_version=stable_hash([rules, PERFORMANCE_VERSION])[:12],
        deps=[dg.AssetKey(names.reconciliation_key(use_case))],
        check_specs=[
            dg.AssetCheckSpec(
                names.CHECK_PERFORMANCE,
                asset=key,
                partitions_def=days,
                description="No segment's offers bring less than expected beyond chance.",
            )
        ],
    )
    @retry_if_worthwhile
    def performance_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.MaterializeResult:
        day, verdicts = dt.date.fromisoformat(context.partition_key), {}
        for segment, settings in segments.items() if ends_week(day) else ():
            offers = require_offers(settings)
            slot = ModelSlot(use_case, offers.agent.name, segment)
            decisions = ledger.history(slot)
            verdicts[segment] = judge_week(slot, day, offers.performance, decisions, lake=lake, engine=engine)
        return _report(verdicts)

    return performance_asset


def _report(verdicts: dict[str, PerformanceVerdict]) -> dg.MaterializeResult:
    rows = [
        {
            "segment": segment,
            "verdict": one.kind,
            "offers": one.week.offers if one.week else 0,
            "accepted": one.week.acceptances.actual if one.week else 0.0,
            "expected": round(one.week.acceptances.expected, 1) if one.week else 0.0,
            "reasons": "; ".join(one.reasons),
        }
        for segment, one in verdicts.items()
    ]
    fallen = sorted(segment for segment, one in verdicts.items() if one.is_retraining_due)
    check = dg.AssetCheckResult(
        check_name=names.CHECK_PERFORMANCE,
        passed=not fallen,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(f"{segment}: {'; '.join(verdicts[segment].reasons)}" for segment in fallen)
        or None,
    )
    return dg.MaterializeResult(
        metadata={"verdicts": record_table(rows) if rows else dg.MetadataValue.text("no week ends today")},
        check_results=[check],
    )
