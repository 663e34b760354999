"""Value iteration: where offers are looked at, what they are worth there, and that luck is no reason to make one."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlops_assets.domain.offers.agent import (
    IterationSettings,
    OutcomeValues,
    SuccessorTable,
    _choose_actions,
    build_successors,
    imagine_histories,
)
from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.contact_cap import allow_actions
from mlops_assets.domain.offers.decision_data import NO_ACTION, OfferStates
from mlops_assets.domain.offers.ladder import build_ladder
from mlops_assets.domain.offers.offers_spec import OfferAgentSpec
from mlops_assets.domain.offers.policies import decide
from mlops_assets.domain.offers.policy_value import Horizon
from mlops_assets.domain.offers.simulator import Simulator, find_allowed
from mlops_assets.domain.offers.tree_models import constant_model
from tests.unit.domain.offers.offer_log import campaign_log, learned_world

if TYPE_CHECKING:
    from collections.abc import Callable

CAP = ContactPolicy()
SETTINGS = IterationSettings(iterations=3, draws=1, horizon=Horizon(weeks=26))
PEOPLE = 1_200


def people() -> OfferStates:
    return campaign_log().states.take(np.flatnonzero(campaign_log().weeks == 0)[:PEOPLE])


@cache
def table() -> SuccessorTable:
    return build_successors(learned_world(), people(), CAP, SETTINGS)


def closed_world() -> Simulator:
    """Return a world in which nobody is eligible for anything."""
    plans = {choice.plan_code for choice in learned_world().choices[NO_ACTION + 1 :]}
    return replace(learned_world(), eligibility={code: constant_model("chance", [0.0]) for code in plans})


def test_offers_are_looked_at_only_where_they_may_be_made() -> None:
    found = table()
    assert found.allowed.shape == (5 * PEOPLE, len(learned_world().choices))
    may = found.allowed[:, NO_ACTION + 1 :].any(axis=1)
    assert 0 < may.sum() < len(may)
    assert found.offered.tolist() == np.flatnonzero(may).tolist()
    assert len(found.acceptance) == len(found.ignored[0].survival) == may.sum()
    assert all(len(one[0].survival) == may.sum() for one in found.accepted.values())
    assert len(found.quiet[0].survival) == len(may)


def test_an_offer_is_worth_its_outcomes_by_their_chances() -> None:
    found = table()
    values = found.action_values(None, 1.0)
    quiet = found.quiet[0].reward_usd
    assert values[:, NO_ACTION] == pytest.approx(quiet)
    elsewhere = np.setdiff1d(np.arange(len(values)), found.offered)
    assert values[elsewhere] == pytest.approx(np.tile(quiet[elsewhere][:, None], values.shape[1]))
    for position, choice in enumerate(learned_world().choices):
        if position != NO_ACTION:
            chance = found.acceptance[:, position]
            accepted = found.accepted[choice.plan_code][0].reward_usd - choice.discount_usd
            expected = chance * accepted + (1 - chance) * found.ignored[0].reward_usd - 0.01
            assert values[found.offered, position] == pytest.approx(expected)


def test_chance_is_the_same_whatever_is_offered() -> None:
    """Draws belong to people: an outcome of some of the states is that of the same rows of all of them."""
    found = table()
    states = found.states
    chance = np.tile(np.random.default_rng([SETTINGS.horizon.seed, 2, 0]).random((PEOPLE, 4)), (5, 1))
    actions, answers = np.ones(states.rows, dtype=np.int64), np.zeros(states.rows, dtype=bool)
    everywhere = learned_world().follow(states, actions, answers, chance)
    assert found.ignored[0].reward_usd == pytest.approx(everywhere.margin_usd[found.offered])
    assert found.ignored[0].survival == pytest.approx(1 - everywhere.leave_chance[found.offered])


def luck(mean_usd: float) -> OutcomeValues:
    """Return outcomes that differ from a quiet week by chance alone, and by so much on average."""
    random, count = np.random.default_rng(5), len(table().offered)
    return OutcomeValues(
        np.full(table().states.rows, 40.0),
        np.full(count, 40.0),
        {code: 40.0 + mean_usd + random.normal(0, 3, count) for code in table().accepted},
    )


def test_a_lucky_draw_is_no_reason_to_offer() -> None:
    raw = np.where(table().allowed, table().weigh(luck(-1.0)), -np.inf).argmax(axis=1)
    believed = (raw != NO_ACTION)[table().offered].mean()
    chosen = (_choose_actions(table(), luck(-1.0), SETTINGS) != NO_ACTION)[table().offered].mean()
    assert believed > 0.8
    assert chosen < 0.5 * believed
    gains = _choose_actions(table(), luck(5.0), SETTINGS) != NO_ACTION
    assert gains[table().offered].mean() > 0.8
    assert not gains[np.setdiff1d(np.arange(len(gains)), table().offered)].any()


def test_threads_change_nothing() -> None:
    alone, together = (
        _choose_actions(table(), luck(0.0), replace(SETTINGS, threads=threads)) for threads in (1, 3)
    )
    assert alone.tolist() == together.tolist()


def test_where_nobody_is_eligible_nothing_is_offered() -> None:
    spec = OfferAgentSpec(iterations=2, starting_states=200, draws=1, horizon_weeks=26)
    agent = build_ladder(closed_world(), people(), CAP, spec)["agent"]
    allowed = allow_actions(people(), np.ones((PEOPLE, len(agent.choices)), dtype=bool), CAP)
    assert (decide(agent, people(), allowed) == NO_ACTION).all()


@pytest.mark.parametrize("world", [learned_world, closed_world])
def test_those_who_may_not_be_contacted_need_not_be_eligible(world: Callable[[], Simulator]) -> None:
    simulator, states = world(), imagine_histories(people())
    asked = find_allowed(simulator, states, CAP)
    assert asked.tolist() == allow_actions(states, simulator.find_eligible(states), CAP).tolist()
