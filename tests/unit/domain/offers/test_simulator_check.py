"""Does the check tell the right world from a wrong one, and say when it cannot?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlops_assets.domain.offers.decision_data import NO_OFFER_CHOICE, DecisionDataError, Transitions
from mlops_assets.domain.offers.offers_spec import SimulatorCheckSpec
from mlops_assets.domain.offers.simulator_check import check_simulator
from tests.unit.domain.offers.offer_log import WEEKS, campaign_log, learned_world

SPEC = SimulatorCheckSpec(min_contacts=100, min_acceptances=10)


def newest() -> Transitions:
    return campaign_log().take(campaign_log().weeks == WEEKS - 1)


def test_the_held_out_week_is_described() -> None:
    check = check_simulator(learned_world(), newest(), SPEC)
    assert check.is_passed, check.explain()
    assert {figure.name for figure in check.figures} == {
        "acceptance",
        "purchases",
        "margin_usd",
        "churn",
        "still_customers",
        "contacts_four_weeks",
        "two_contacts_or_more",
    }
    assert "are as predicted" in check.explain()


@pytest.mark.parametrize("name", ["is_accepted", "margin_usd", "is_churned", "organic_plan"])
def test_another_world_is_not(name: str) -> None:
    week = newest()
    contacted = week.actions > 0
    changed = {
        "is_accepted": week.is_accepted | (contacted & (np.arange(week.rows) % 5 == 0)),
        "margin_usd": week.margin_usd * 1.4,
        "is_churned": week.is_churned | (np.arange(week.rows) % 20 == 0),
        "organic_plan": np.where(np.arange(week.rows) % 2 == 0, week.organic_plan, 0),
    }[name]
    check = check_simulator(learned_world(), replace(week, **{name: changed}), SPEC)
    assert not check.is_passed
    assert "predicted" in check.explain()


def test_people_are_followed_over_several_weeks() -> None:
    weeks = campaign_log().take(campaign_log().weeks >= WEEKS - 2)
    followed = {figure.name: figure for figure in check_simulator(learned_world(), weeks, SPEC).figures}
    assert followed["contacts_four_weeks"].error < 0.05
    assert followed["still_customers"].observed < 1


def test_too_few_contacts_decide_nothing() -> None:
    week = newest()
    check = check_simulator(learned_world(), week.take(week.actions == 0), SPEC)
    assert not check.is_passed
    assert any("0 held-out contacts" in problem for problem in check.problems)
    few = week.take(np.flatnonzero(week.actions > 0)[:150])
    assert any("acceptances" in problem for problem in check_simulator(learned_world(), few, SPEC).problems)


def test_what_does_not_fit_is_refused() -> None:
    week = newest()
    with pytest.raises(DecisionDataError, match="0 rows"):
        check_simulator(learned_world(), week.take(np.zeros(week.rows, dtype=bool)), SPEC)
    renamed = (NO_OFFER_CHOICE, *(replace(choice, price_usd=1.0) for choice in week.choices[1:]))
    with pytest.raises(DecisionDataError, match="do not fit"):
        check_simulator(learned_world(), replace(week, choices=renamed), SPEC)
