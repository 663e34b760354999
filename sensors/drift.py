"""Sensor: behaviour has moved for good, retrain the use cases and segments that it touches.

Belongs here: evaluating retraining plans. Does not belong here: when a slot is due
(domain.learning.retraining), or first trainings.
"""

import dagster as dg

from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.policy_plan import plan_policy_retrainings
from mlops_assets.config.policy_slots import has_policy
from mlops_assets.config.run_plan import plan_retrainings
from mlops_assets.domain.ports import Lake, PromotionLedger
from sensors.training_requests import answer_plans


def build_drift_sensors(config: ProjectConfig) -> list[dg.SensorDefinition]:
    """Return one sensor per use case that a monitor, or what its offers bring, may retrain."""
    watched = sorted(
        use_case
        for use_case, segments in config.use_cases.items()
        if any(settings.retraining.monitors or has_policy(settings) for settings in segments.values())
    )
    return [_build_sensor(config, use_case) for use_case in watched]


def _build_sensor(config: ProjectConfig, use_case: str) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{names.DRIFT_SENSOR}_{use_case}",
        job_name=names.training_job(use_case),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Requests a retraining of {use_case} in each segment whose behaviour has moved for good; broken feeds and "
            "events of a day or two request nothing. So does a fall of what offers bring that chance explains."
        ),
    )
    def drift(
        context: dg.SensorEvaluationContext,  # noqa: ARG001 - Dagster passes it
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.SensorResult | dg.SkipReason:
        plans = [*plan_retrainings(config, lake, ledger), *plan_policy_retrainings(config, lake, ledger)]
        return answer_plans([plan for plan in plans if plan.slot.use_case == use_case])

    return drift
