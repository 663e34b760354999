"""Sensor: a slot without champion has enough history, train it.

Belongs here: evaluating training plans. Does not belong here: when a slot is ready
(domain.learning.readiness), or retraining after drift.
"""

import dagster as dg

from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.policy_plan import plan_policies
from mlops_assets.config.run_plan import plan_training
from mlops_assets.domain.ports import Lake, LandingZone, PromotionLedger
from sensors.training_requests import answer_plans


def build_first_champion_sensors(config: ProjectConfig) -> list[dg.SensorDefinition]:
    """Return one sensor per use case; it trains segments whose labels have become complete."""
    return [_build_sensor(config, use_case) for use_case in sorted(config.use_cases)]


def _build_sensor(config: ProjectConfig, use_case: str) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{names.FIRST_CHAMPION_SENSOR}_{use_case}",
        job_name=names.training_job(use_case),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Requests the first training of each segment of {use_case} once its labels are complete, and of its "
            "policy of offers once the input models have champions and there are weeks enough."
        ),
    )
    def first_champion(
        context: dg.SensorEvaluationContext,  # noqa: ARG001 - Dagster passes it
        landing: dg.ResourceParam[LandingZone],
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.SensorResult | dg.SkipReason:
        # Models first: a run for them trains the policy too, a run for the policy trains no model.
        plans = [*plan_training(config, landing, lake, ledger), *plan_policies(config, lake, ledger)]
        return answer_plans([plan for plan in plans if plan.slot.use_case == use_case])

    return first_champion
