"""Sensor: a slot without champion has enough history, train it.

Belongs here: turning training plans into run requests. Does not belong here: when a slot is ready
(domain.learning.readiness), or retraining after drift.
"""

from collections.abc import Iterator

import dagster as dg

from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import plan_training
from mlops_assets.domain.learning.readiness import TrainingPlan
from mlops_assets.domain.ports import Lake, LandingZone, PromotionLedger


def build_first_champion_sensors(config: ProjectConfig) -> list[dg.SensorDefinition]:
    """Return one sensor per use case; it trains segments whose labels have become complete."""
    return [_build_sensor(config, use_case) for use_case in sorted(config.use_cases)]


def _build_sensor(config: ProjectConfig, use_case: str) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{names.FIRST_CHAMPION_SENSOR}_{use_case}",
        job_name=names.training_job(use_case),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Requests the first training of each segment of {use_case} once its labels are complete.",
    )
    def first_champion(
        context: dg.SensorEvaluationContext,  # noqa: ARG001 - Dagster passes it
        landing: dg.ResourceParam[LandingZone],
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.SensorResult | dg.SkipReason:
        plans = [
            plan for plan in plan_training(config, landing, lake, ledger) if plan.slot.use_case == use_case
        ]
        requests = list(_requests(plans))
        if not requests:
            return dg.SkipReason("; ".join(f"{p.slot.model} {p.slot.segment}: {p.reason}" for p in plans))
        return dg.SensorResult(run_requests=requests)

    return first_champion


def _requests(plans: list[TrainingPlan]) -> Iterator[dg.RunRequest]:
    # One run trains all models of a segment, so the first due model speaks for the segment.
    seen: set[str] = set()
    for plan in plans:
        if plan.is_due and plan.slot.segment not in seen:
            seen.add(plan.slot.segment)
            tags = {names.TAG_REASON: plan.reason}
            if plan.as_of_day:
                tags[names.TAG_AS_OF_DAY] = plan.as_of_day.isoformat()
            yield dg.RunRequest(run_key=plan.run_key, partition_key=plan.slot.segment, tags=tags)
