"""When the first policy of a use case is learned."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from mlops_assets.domain.learning.readiness import TrainingPlan
from mlops_assets.domain.offers.offers_spec import OfferAgentSpec
from mlops_assets.domain.offers.policy_readiness import least_weeks, plan_first_policy
from mlops_assets.domain.ports import LedgerEntry, ModelSlot

SLOT = ModelSlot("personalized_offer", "offer_agent", "cl")
FIRST = dt.date(2026, 8, 3)
READY = 27 + 7 * 3


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def decision(outcome: str, as_of: int, version: str = "1") -> LedgerEntry:
    return LedgerEntry(
        decision_id=f"{outcome}-{version}", slot=SLOT, outcome=outcome, version=version, bundle_sha256="a" * 64,
        previous_version=None, decided_by="gate", decided_at_utc=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
        as_of_day=day(as_of), evidence_sha256="e" * 64, reasons=("because",),
    )  # fmt: skip


def plan(last: int, **given: Any) -> TrainingPlan:
    arguments: dict[str, Any] = {"min_history_days": 14, "lacking": (), "decisions": (), **given}
    days = arguments.pop("days", [day(number) for number in range(last + 1)])
    return plan_first_policy(SLOT, OfferAgentSpec(), days, **arguments)


def test_weeks_that_are_needed() -> None:
    assert least_weeks(OfferAgentSpec(history_weeks=8, holdout_weeks=1)) == 3
    assert least_weeks(OfferAgentSpec(history_weeks=8, holdout_weeks=4)) == 6
    assert least_weeks(OfferAgentSpec(history_weeks=3, holdout_weeks=2)) == 3, "more are never read"


def test_due_with_the_first_weeks_that_suffice() -> None:
    early = plan(READY - 1)
    assert (early.is_due, early.reason) == (
        False,
        f"trainable from {day(READY)}, data until {day(READY - 1)}",
    )
    due = plan(READY)
    assert (due.is_due, due.as_of_day, due.is_policy) == (True, day(READY), True)


def test_simulators_that_did_not_hold_wait_for_a_week_as_well() -> None:
    refused = plan(READY + 6, refused_day=day(READY))
    assert refused.reason == (
        f"trainable from {day(READY + 7)}, data until {day(READY + 6)}; the simulators of {day(READY)} did not hold"
    )
    assert plan(READY + 7, refused_day=day(READY)).as_of_day == day(READY + 7)


def test_an_older_start_may_be_asked_for() -> None:
    assert not plan(READY + 12, min_history_days=40).is_due
    assert plan(READY + 13, min_history_days=40).is_due


def test_one_attempt_a_week_until_something_is_decided() -> None:
    keys = [plan(READY + number).run_key for number in range(15)]
    assert keys == [keys[0]] * 7 + [keys[7]] * 7 + [keys[14]]
    assert len(set(keys)) == 3
    gap = [day(number) for number in range(READY + 10) if number not in (READY + 7, READY + 8)]
    assert plan(0, days=gap).as_of_day == day(READY + 9)


def test_rejected_is_tried_again_with_a_new_week() -> None:
    rejected = [decision("rejected", READY + 2)]
    assert not plan(READY + 8, decisions=rejected).is_due
    assert plan(READY + 9, decisions=rejected).as_of_day == day(READY + 9)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"lacking": ("churn/churn_risk",)}, "waits for the first champion of churn/churn_risk"),
        ({"days": []}, "no day of data yet"),
        ({"decisions": [decision("promoted", READY)]}, "has a champion"),
        ({"decisions": [decision("pending", READY)]}, "version 1 waits for approval"),
    ],
)
def test_waits_and_says_for_what(given: dict[str, Any], reason: str) -> None:
    found = plan(90, **given)
    assert (found.is_due, found.reason, found.as_of_day) == (False, reason, None)
