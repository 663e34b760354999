"""When policies of offers are due, for a whole project: the one path that sensors and `mlops run` share.

Belongs here: putting a project's configuration and the ports' state into the domain's decisions about policies. Does
not belong here: models (run_plan) or launching anything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import partial

from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.policy_slots import find_offer_setting, policy_slots, require_offers
from mlops_assets.config.run_plan import plan_retrainings
from mlops_assets.domain.learning.readiness import TrainingPlan
from mlops_assets.domain.learning.retraining import RetrainingPlan, Shift, SlotHistory, plan_attempts
from mlops_assets.domain.offers.decision_data import STEP_DAYS
from mlops_assets.domain.offers.performance import PERFORMANCE_MONITOR
from mlops_assets.domain.offers.performance_record import read_performance_verdicts
from mlops_assets.domain.offers.policy_readiness import plan_first_policy
from mlops_assets.domain.ports import Lake, ModelSlot, PromotionLedger

VERDICT_WEEKS = 13  # as long as other verdicts count


def plan_policies(config: ProjectConfig, lake: Lake, ledger: PromotionLedger) -> list[TrainingPlan]:
    """Return for every slot of a policy whether its first one is due, and why or why not.

    Where the models of its use case and segment are due to be trained again on the newest day, it is not: that run
    learns the policy too, from models that are not about to be replaced.
    """
    plans = []
    for slot in policy_slots(config):
        plan = _plan_policy(config, slot, lake, ledger)
        if plan.is_due and _is_learned_with_models(config, slot, lake, ledger):
            reason = f"{plan.reason}; learned with its models, which a shift makes due on the same day"
            plan = TrainingPlan(slot, False, reason, is_policy=True)
        plans.append(plan)
    return plans


def _plan_policy(config: ProjectConfig, slot: ModelSlot, lake: Lake, ledger: PromotionLedger) -> TrainingPlan:
    from mlops_assets.domain.offers.worlds import find_refused_day

    settings = config.use_cases[slot.use_case][slot.segment]
    inputs = [one.slot for one in find_offer_setting(config, settings, slot.segment).scores]
    return plan_first_policy(
        slot,
        require_offers(settings).agent,
        lake.days(settings.corpus.table, slot.segment),
        min_history_days=settings.corpus.min_history_days,
        lacking=[f"{one.use_case}/{one.model}" for one in inputs if ledger.champion(one) is None],
        decisions=ledger.history(slot),
        refused_day=find_refused_day(slot, lake),
    )


def _is_learned_with_models(
    config: ProjectConfig, slot: ModelSlot, lake: Lake, ledger: PromotionLedger
) -> bool:
    """Whether a retraining beside the policy is due on the newest day; one that stays due beyond it has failed."""
    newest = lake.days(config.use_cases[slot.use_case][slot.segment].corpus.table, slot.segment)[-1]
    return any(
        plan.is_due and plan.as_of_day == newest
        for plan in plan_retrainings(config, lake, ledger)
        if (plan.slot.use_case, plan.slot.segment) == (slot.use_case, slot.segment)
    )


def plan_policy_retrainings(
    config: ProjectConfig, lake: Lake, ledger: PromotionLedger
) -> Iterator[RetrainingPlan]:
    """Yield for every slot of a policy whether what its offers brought makes it due, and why or why not.

    A run trains all models of the segment and then the policy: what has become worse may be either.
    """
    for slot in policy_slots(config):
        settings = config.use_cases[slot.use_case][slot.segment]
        verdicts = read_performance_verdicts(lake, slot.use_case, slot.segment, VERDICT_WEEKS)
        history = SlotHistory(
            days=lake.days(settings.corpus.table, slot.segment),
            verdicts={PERFORMANCE_MONITOR: verdicts},
            decisions=ledger.history(slot),
        )
        rule = settings.retraining.model_copy(update={"monitors": [PERFORMANCE_MONITOR]})
        holdout_days = STEP_DAYS * require_offers(settings).agent.holdout_weeks
        yield plan_attempts(slot, rule, history, partial(first_attempt_day, holdout_days=holdout_days))


def first_attempt_day(fall: Shift, *, holdout_days: int) -> dt.date:
    """Return the first day on which the held-out weeks of the decision log lie after the start of a fall."""
    return max(fall.detected_day, fall.start_day + dt.timedelta(days=holdout_days))
