"""When the policy of a use case without one can be learned for the first time.

Belongs here: the decision, from the days that exist, the champions of the input models and the decisions already
taken. Does not belong here: launching runs (sensors, `mlops run`), or training again because offers bring less than
expected (performance.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from mlops_assets.domain.learning.readiness import TrainingPlan, say_what_is_settled
from mlops_assets.domain.offers.decision_data import STEP_DAYS
from mlops_assets.domain.offers.offers_spec import OfferAgentSpec
from mlops_assets.domain.ports import LedgerEntry, ModelSlot

# Beside those held out: what came of contacts for less than this says little about a month.
LEARNING_WEEKS_MIN = 2


def least_weeks(agent: OfferAgentSpec) -> int:
    """Return the fewest person-weeks a person from which a policy is learned, those held out included."""
    return min(agent.history_weeks, agent.holdout_weeks + LEARNING_WEEKS_MIN)


def plan_first_policy(
    slot: ModelSlot,
    agent: OfferAgentSpec,
    days: Sequence[dt.date],
    *,
    min_history_days: int,
    lacking: Sequence[str],
    decisions: Sequence[LedgerEntry],
    refused_day: dt.date | None = None,
) -> TrainingPlan:
    """Decide whether a slot's first policy is to be learned on the days that exist.

    Args:
        slot: use case, agent and segment.
        agent: how many weeks it learns from.
        days: published days of the corpus table, in order.
        min_history_days: oldest age of a usable day, as of the use case's corpus.
        lacking: input models without a champion, `use_case/model`.
        decisions: the slot's ledger history; a rejection is followed by another attempt when a week has come.
        refused_day: last day of the newest log whose simulators did not hold, if they did not; as a rejection.
    """
    if settled := say_what_is_settled(decisions):
        return TrainingPlan(slot, False, settled, is_policy=True)
    if lacking:
        return TrainingPlan(
            slot, False, f"waits for the first champion of {', '.join(lacking)}", is_policy=True
        )
    if not days:
        return TrainingPlan(slot, False, "no day of data yet", is_policy=True)
    # The first week begins when its states know what later ones know.
    age_days = max(min_history_days, agent.state_days_min)
    ready_day = days[0] + dt.timedelta(days=age_days + STEP_DAYS * least_weeks(agent))
    decided = [entry.as_of_day for entry in decisions if entry.as_of_day is not None]
    decided += [refused_day] if refused_day is not None else []
    if decided:
        ready_day = max(ready_day, max(decided) + dt.timedelta(days=STEP_DAYS))
    if days[-1] < ready_day:
        why = f"; the simulators of {refused_day} did not hold" if refused_day is not None else ""
        words = f"trainable from {ready_day}, data until {days[-1]}{why}"
        return TrainingPlan(slot, False, words, is_policy=True)
    # One attempt a week: what was not decided then (a simulator that does not hold) waits for a week of new data.
    weeks = (days[-1] - ready_day).days // STEP_DAYS
    wanted = ready_day + dt.timedelta(days=STEP_DAYS * weeks)
    as_of_day = next(day for day in days if day >= wanted)
    reason = f"no policy yet; enough weeks for the first time on {ready_day}"
    return TrainingPlan(slot, True, reason, as_of_day, is_policy=True)
