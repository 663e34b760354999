"""The ladder: its rungs, their judgement, the choice; contact cap and support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from mlops_assets.domain.offers.agent import imagine_histories
from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.contact_cap import allow_actions, find_contactable
from mlops_assets.domain.offers.decision_data import DecisionDataError, OfferStates
from mlops_assets.domain.offers.ladder import (
    JudgedLadder,
    build_ladder,
    compare_values,
    judge_ladder,
    make_horizon,
)
from mlops_assets.domain.offers.offers_spec import OfferAgentSpec, PolicyGateSpec
from mlops_assets.domain.offers.policies import (
    LADDER,
    DistilledPolicy,
    PolicyError,
    PolicyKind,
    build_constant_policy,
)
from mlops_assets.domain.offers.policy_value import Horizon, SimulatedValue, simulate_policy
from mlops_assets.domain.offers.simulator_support import ContactSupport, find_support, find_support_problems
from tests.unit.domain.offers.offer_log import campaign_log, learned_world

CAP = ContactPolicy()
SPEC = OfferAgentSpec(iterations=12, starting_states=400, draws=1, horizon_weeks=26)
GATE = PolicyGateSpec(judged_people=300)


def people() -> OfferStates:
    return campaign_log().states.take(campaign_log().weeks == 0)


@cache
def ladder() -> dict[PolicyKind, DistilledPolicy]:
    return build_ladder(learned_world(), people(), CAP, SPEC)


def judge(
    policies: Mapping[PolicyKind, DistilledPolicy] | None = None,
    gate: PolicyGateSpec = GATE,
    support: ContactSupport | None = None,
    threads: int = 1,
) -> JudgedLadder:
    return judge_ladder(
        learned_world(),
        policies or ladder(),
        people(),
        CAP,
        support=support or find_support(campaign_log()),
        horizon=make_horizon(SPEC, 3),
        gate=gate,
        threads=threads,
    )


def value(
    totals: Any, rate: float = 0.1, counts: tuple[float, ...] = (0.6, 0.4, 0.0, 0.0, 0.0)
) -> SimulatedValue:
    return SimulatedValue(np.asarray(totals, dtype=float), rate, np.asarray(counts), 0.1, 0.9)


def test_every_rung_is_learned_and_judged() -> None:
    judged = judge()
    assert tuple(ladder()) == LADDER
    assert [rung.kind for rung in judged.rungs] == list(LADDER)
    assert judged.find("no_offer").value.contact_rate == 0
    assert judged.find("incremental_margin").value.contact_rate == pytest.approx(0.25, abs=0.08)
    assert judged.chosen in judged.reason


def test_rungs_that_are_followed_beside_each_other_are_worth_the_same() -> None:
    alone, together = judge(), judge(threads=3)
    assert [rung.kind for rung in together.rungs] == [rung.kind for rung in alone.rungs]
    for one, other in zip(alone.rungs, together.rungs, strict=True):
        assert other.value.totals_usd.tolist() == one.value.totals_usd.tolist()


def test_the_agent_contacts_less_where_contacts_annoy() -> None:
    judged = judge()
    agent, greedy = judged.find("agent").value, judged.find("acceptance_margin").value
    assert agent.contact_rate < 0.8 * greedy.contact_rate


def test_the_cap_is_kept() -> None:
    for rung in judge().rungs:
        assert rung.value.contact_counts[2:].sum() < 0.2  # what the log's own weeks left over
    weekly = build_constant_policy(
        "best_single", learned_world().choices, people().layout.columns, np.eye(22)[1]
    )
    capped, free = (
        simulate_policy(learned_world(), weekly, people(), cap, Horizon(weeks=12))
        for cap in (CAP, ContactPolicy(window_days=7))
    )
    assert capped.contact_rate < 0.3
    assert free.contact_rate > 0.9


def test_contact_policy_in_weeks() -> None:
    states = imagine_histories(people().take(np.arange(2)))  # contacted 0, 1, 2, 3 weeks ago, never
    assert find_contactable(states, CAP).reshape(5, 2)[:, 0].tolist() == [False, False, False, True, True]
    twice = ContactPolicy(contacts_max=2, cool_down_days=14)
    assert find_contactable(states, twice).reshape(5, 2)[:, 0].tolist() == [False, True, True, True, True]
    assert allow_actions(states, np.zeros((10, 3), dtype=bool), CAP)[:, 0].all()
    with pytest.raises(DecisionDataError, match="60 days"):
        find_contactable(states, ContactPolicy(window_days=60))


def test_what_is_proven_is_chosen_else_the_simpler_one() -> None:
    judged = judge()
    wins = all(gain.low_usd > 0 for gain in judged.find("agent").gains.values())
    assert (judged.chosen == "agent") is wins
    strict = judge(gate=GATE.model_copy(update={"min_gain_usd": 1000.0}))
    assert strict.chosen == "no_offer"
    assert "not proven better" in strict.reason
    twins = {"no_offer": ladder()["no_offer"], "agent": replace(ladder()["no_offer"], kind="agent")}
    assert judge(twins).chosen == "no_offer"


def test_a_policy_beyond_the_log_is_refused() -> None:
    little = ContactSupport(0.0, 0.05, 1)
    judged = judge(support=little)
    refused = judged.find("acceptance_margin")
    assert "the log has shown 0.00 to 0.05" in refused.problems[0]
    assert judged.chosen in ("no_offer", "agent", "best_single")
    assert "acceptance_margin" in judged.reason


def test_support_of_a_log() -> None:
    support = find_support(campaign_log())
    assert support.lowest_rate == 0
    assert support.most_contacts in (2, 3, 4)
    quiet = find_support(campaign_log().take(campaign_log().states.weeks_of("offers").sum(axis=1) == 0))
    assert quiet.most_contacts == 1
    often = value([1.0], rate=0.2, counts=(0.2, 0.2, 0.2, 0.2, 0.2))
    assert "40% of customer-weeks" in find_support_problems(often, ContactSupport(0, 0.5, 2), 0.1)[0]
    assert not find_support_problems(value([1.0]), support, 0.1)


def test_paired_intervals() -> None:
    base = np.random.default_rng(1).normal(40, 20, 500)
    gain = compare_values(value(base + 0.5), value(base), 0.95)
    assert gain.low_usd == pytest.approx(0.5)
    noisy = compare_values(value(base + np.where(np.arange(500) % 2, 1.0, -1.0)), value(base), 0.95)
    assert noisy.low_usd < 0 < noisy.high_usd
    assert compare_values(value([1.0]), value([0.0]), 0.95).low_usd == -np.inf


def test_nobody_and_no_first_rung_are_refused() -> None:
    nobody = people().take(np.zeros(people().rows, dtype=bool))
    with pytest.raises(PolicyError, match="nobody"):
        build_ladder(learned_world(), nobody, CAP, SPEC)
    with pytest.raises(PolicyError, match="no_offer"):
        judge({"agent": ladder()["agent"]})
