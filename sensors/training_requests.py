"""What a sensor answers when trainings or retrainings are planned: run requests, or why there are none.

Belongs here: turning plans into run requests. Does not belong here: when a slot is due (domain.learning).
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from mlops_assets.config import names
from mlops_assets.domain.learning.readiness import TrainingPlan
from mlops_assets.domain.learning.retraining import RetrainingPlan


def answer_plans(plans: Sequence[TrainingPlan | RetrainingPlan]) -> dg.SensorResult | dg.SkipReason:
    """Return one run request per segment that is due, or the reasons why none is."""
    requests = list(_requests(plans))
    if not requests:
        return dg.SkipReason("; ".join(f"{p.slot.model} {p.slot.segment}: {p.reason}" for p in plans))
    return dg.SensorResult(run_requests=requests)


def _requests(plans: Sequence[TrainingPlan | RetrainingPlan]) -> Iterator[dg.RunRequest]:
    # One run trains all models of a segment, so the first due model speaks for the segment.
    seen: set[str] = set()
    for plan in plans:
        if plan.is_due and plan.slot.segment not in seen:
            seen.add(plan.slot.segment)
            yield dg.RunRequest(
                run_key=plan.run_key,
                partition_key=plan.slot.segment,
                tags=_tags(plan),
                asset_selection=_selection(plan),
            )


def _selection(plan: TrainingPlan | RetrainingPlan) -> list[dg.AssetKey] | None:
    """Return what a run is limited to; None for the whole job."""
    if isinstance(plan, TrainingPlan) and plan.is_policy:
        return [dg.AssetKey(key) for key in names.policy_keys(plan.slot.use_case, plan.slot.model)]
    return None


def _tags(plan: TrainingPlan | RetrainingPlan) -> dict[str, str]:
    tags = {names.TAG_REASON: plan.reason}
    if plan.as_of_day:
        tags[names.TAG_AS_OF_DAY] = plan.as_of_day.isoformat()
    if isinstance(plan, RetrainingPlan) and plan.shift:
        tags[names.TAG_SHIFT] = f"{plan.shift.monitor}/{plan.shift.detected_day}"
    return tags
