"""What a decision about a policy rests on, where the truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlops_assets.domain.offers.decision_data import NO_OFFER_CHOICE, OfferAction, OfferStates, StateLayout
from mlops_assets.domain.offers.ladder import compare_values
from mlops_assets.domain.offers.policies import DistilledPolicy, build_constant_policy
from mlops_assets.domain.offers.policy_alignment import align_policy
from mlops_assets.domain.offers.policy_evidence import (
    Contender,
    Court,
    follow_policy,
    gather_policy_evidence,
)
from mlops_assets.domain.offers.policy_gate import PolicyEvidence, decide_policy
from mlops_assets.domain.offers.policy_log_evidence import LogQuestion, ask_log
from mlops_assets.domain.offers.simulator import Simulator
from mlops_assets.domain.offers.simulator_fit import fit_simulator
from tests.unit.domain.offers.policy_world import (
    ACCEPTANCE,
    CHOICES,
    CONTACT_SHARE,
    LAYOUT,
    WELCOME,
    make_log,
    make_policy,
    make_spec,
)

SPEC = make_spec()
GOOD, BAD, IDLE = make_policy(), make_policy("agent", 0.0, 0.0, 1.0), make_policy("no_offer", 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return fit_simulator(make_log(seed=11))


@pytest.fixture(scope="module")
def court(simulator: Simulator) -> Court:
    log = make_log()
    return Court(
        simulator=simulator,
        simulator_sha256="5" * 64,
        failures=(),
        find_refusals=lambda value: ("too many contacts",) if value.contact_rate > 0.9 else (),
        start=log.take(log.weeks == 0).states.take(np.arange(400)),
        log=log,
        own_since_week=0,
        holdout_first_day="2026-09-07",
        holdout_last_day="2026-09-13",
    )


def gather(court: Court, policy: DistilledPolicy, champion: DistilledPolicy | None = None) -> PolicyEvidence:
    contenders = [one and Contender(one, digit * 64) for one, digit in ((policy, "a"), (champion, "c"))]
    assert contenders[0] is not None
    return gather_policy_evidence(contenders[0], contenders[1], court, SPEC)


def test_first_policy_is_compared_with_making_no_offers(court: Court) -> None:
    found = gather(court, GOOD)
    assert found.problems == ()
    assert found.challenger is not None
    assert found.baseline is not None
    assert (found.challenger.kind, found.baseline.kind) == ("best_single", "no_offer")
    assert found.baseline.contacts_per_week == 0.0
    assert found.gain == pytest.approx(found.challenger.metric - found.baseline.metric)
    assert found.gain_low is not None
    assert found.gain_high is not None
    assert 0 < found.gain_low < found.gain < found.gain_high
    assert (found.no_offer_gain, found.no_offer_gain_low) == (found.gain, found.gain_low)
    # Three contacts in six weeks, each worth 0.3 x 4 - 0.05 USD; the world has learned that of a few hundred contacts.
    assert found.gain == pytest.approx(3 * (0.3 * 4 - 0.05), rel=0.3)
    assert decide_policy(found, SPEC.gate).outcome == "promoted", decide_policy(found, SPEC.gate).reasons


def test_policies_meet_the_same_chance_so_the_interval_is_of_their_difference(court: Court) -> None:
    assert court.simulator is not None
    good, bad = (follow_policy(one, court.simulator, court.start, SPEC) for one in (GOOD, BAD))
    paired = compare_values(good, bad, 0.95)
    apart = np.sqrt((good.totals_usd.var(ddof=1) + bad.totals_usd.var(ddof=1)) / len(good.totals_usd)) * 1.96
    assert (paired.high_usd - paired.low_usd) / 2 < apart
    again = follow_policy(GOOD, court.simulator, court.start, SPEC)
    np.testing.assert_array_equal(good.totals_usd, again.totals_usd)


def test_champion_is_judged_beside_the_challenger(court: Court) -> None:
    better, worse = gather(court, GOOD, BAD), gather(court, BAD, GOOD)
    assert better.gain is not None
    assert worse.gain is not None
    assert better.gain == pytest.approx(-worse.gain)
    assert better.gain_low is not None
    assert better.gain_low > 0
    assert better.off_policy is not None
    assert better.off_policy.is_own_log
    assert decide_policy(better, SPEC.gate).outcome == "promoted", decide_policy(better, SPEC.gate).reasons
    failed = [check.name for check in decide_policy(worse, SPEC.gate).checks if not check.is_passed]
    assert {"gain_lower_bound", "off_policy_gain"} <= set(failed)


def test_same_policy_brings_nothing(court: Court) -> None:
    found = gather(court, GOOD, replace(GOOD, kind="incremental_margin"))
    assert (found.gain, found.gain_low, found.gain_high) == (0.0, 0.0, 0.0)
    assert decide_policy(found, SPEC.gate).outcome == "rejected"


def test_without_a_log_of_our_own_a_champion_stays(court: Court) -> None:
    found = gather(replace(court, own_since_week=None), GOOD, BAD)
    assert found.off_policy is not None
    assert found.off_policy.refusals == ("no week of the log was decided by a policy of ours",)
    decision = decide_policy(found, SPEC.gate)
    assert "no week of the log was decided by a policy of ours" in decision.reasons


def test_making_no_offers_is_never_outside_the_support(court: Court) -> None:
    strict = replace(court, find_refusals=lambda _: ("too few contacts",))
    assert gather(strict, GOOD).support_refusals == ("too few contacts",)
    assert gather(strict, IDLE).support_refusals == ()


def test_failures_and_refusals_reach_the_decision(court: Court) -> None:
    wrong = replace(
        court, failures=("judging simulator: churn",), find_refusals=lambda _: ("0.9 contacts a week",)
    )
    decision = decide_policy(gather(wrong, GOOD), SPEC.gate)
    assert decision.reasons == ("judging simulator: churn", "0.9 contacts a week")


OTHER_STATES = StateLayout(("balance", "churn_risk"))
FOREIGN = build_constant_policy("agent", CHOICES, OTHER_STATES.columns, (0.0, 1.0, 0.0))


def test_champion_of_other_states_is_no_baseline(court: Court) -> None:
    found = gather(court, GOOD, FOREIGN)
    assert (found.champion_sha256, found.problems) == (None, ())
    assert found.baseline is not None
    assert found.baseline.kind == "no_offer"
    decision = decide_policy(found, SPEC.gate)
    assert decision.outcome == "promoted"
    (check,) = (one for one in decision.checks if one.name == "champion_cannot_serve")
    assert "other states (churn_risk) and cannot serve" in check.detail


def test_challenger_of_other_states_is_a_problem_not_an_exception(court: Court) -> None:
    found = gather(court, FOREIGN, GOOD)
    assert len(found.problems) == 1
    assert "churn_risk" in found.problems[0]
    assert decide_policy(found, SPEC.gate).outcome == "rejected"


def test_nobody_to_follow_is_a_problem(court: Court) -> None:
    empty = OfferStates(LAYOUT, np.empty((0, len(LAYOUT.columns)), dtype=np.float32), np.empty(0))
    found = gather(replace(court, start=empty), GOOD)
    assert found.problems == ("there is nobody to follow in the simulator",)


def test_offers_that_are_gone_are_not_made_and_new_ones_are_worth_nothing(simulator: Simulator) -> None:
    renamed = replace(WELCOME, plan_code="data_l")
    policy = build_constant_policy(
        "best_single", (NO_OFFER_CHOICE, renamed, WELCOME), LAYOUT.columns, (0.0, 9.0, 1.0)
    )
    aligned = align_policy(policy, CHOICES)
    assert aligned.choices == CHOICES
    log = make_log(people=5)
    np.testing.assert_array_equal(aligned.advantages(log.states.take(np.arange(5))), [[0.0, 1.0, 0.0]] * 5)
    dearer = tuple(replace(one, price_usd=9.0) if one.plan_code else one for one in CHOICES[1:])
    assert align_policy(policy, (NO_OFFER_CHOICE, *dearer)).advantages(log.states)[0, 1] == 1.0
    assert simulator.choices == CHOICES


def ask(question: LogQuestion, **changes: Any) -> Any:
    return ask_log(replace(make_log(), **changes), question, SPEC)


def test_the_log_of_a_lottery_finds_the_true_gain() -> None:
    found = ask(LogQuestion(GOOD, None))
    assert (found.baseline, found.is_own_log, found.refusals) == (
        "the campaigns that were logged",
        False,
        (),
    )
    net = np.array([choice.net_margin_usd for choice in CHOICES])
    rewards = ACCEPTANCE * net - 0.05 * (np.arange(3) > 0)
    logged = CONTACT_SHARE / 2 * rewards[1:].sum()
    # The cap of one contact in two weeks keeps both from contacting those who had one last week.
    assert found.gain_low < found.gain < found.gain_high
    assert found.gain == pytest.approx((rewards[1] - logged) * 0.77, abs=0.15)
    assert found.gain_low > 0
    worse = ask(LogQuestion(BAD, None))
    assert worse.gain < found.gain


def test_two_policies_are_compared_on_our_own_weeks_only() -> None:
    all_weeks = ask(LogQuestion(GOOD, BAD, since_week=0))
    newest = ask(LogQuestion(GOOD, BAD, since_week=3))
    assert newest.rows < all_weeks.rows / 3
    assert all_weeks.gain == pytest.approx(ask(LogQuestion(GOOD, None)).gain, abs=0.5)
    assert ask(LogQuestion(GOOD, BAD, since_week=9)).refusals == ("no logged decision was taken by chance",)


def test_decisions_without_chance_or_propensity_are_not_asked() -> None:
    log = make_log()
    certain = log.propensities.copy()
    certain[log.states.customers < 200] = 1.0
    found = ask(LogQuestion(GOOD, None), propensities=certain)
    assert found.rows == int((log.states.customers >= 200).sum())
    some = log.propensities.copy()
    some[::10] = np.nan
    assert ask(LogQuestion(GOOD, None), propensities=some).rows == int(np.isfinite(some).sum())
    many = log.propensities.copy()
    many[::4] = np.nan
    refused = ask(LogQuestion(GOOD, None), propensities=many)
    assert refused.refusals == (
        f"{int(np.isnan(many).sum())} of {log.rows} logged decisions have no propensity",
    )
    assert refused.gain is None
    nothing = ask(LogQuestion(GOOD, None), propensities=np.full(log.rows, np.nan))
    assert nothing.refusals


def test_an_impossible_propensity_is_refused_in_words() -> None:
    zero = make_log().propensities.copy()
    zero[5] = 0.0
    found = ask(LogQuestion(GOOD, None), propensities=zero)
    assert "logged propensities are zero" in found.refusals[0]
    assert found.gain is None


def test_a_thin_log_is_refused_in_words() -> None:
    found = ask_log(make_log(people=60), LogQuestion(GOOD, None), SPEC)
    assert any("count as only" in words for words in found.refusals)


def test_an_action_that_was_never_taken_is_refused() -> None:
    log = make_log()
    never = log.take(log.actions != 1)
    found = ask_log(never, LogQuestion(GOOD, None), SPEC)
    assert any("nothing was observed there" in words for words in found.refusals)


def test_ineligible_offers_are_not_made_on_the_log() -> None:
    eligible = make_log().eligible.copy()
    eligible[:, 1] = False
    found = ask(LogQuestion(GOOD, IDLE, since_week=0), eligible=eligible)
    assert found.gain == pytest.approx(0.0)


def test_unknown_offer_in_the_log_has_no_value_to_a_policy() -> None:
    other = OfferAction("data_x", "data", 5.0, 4.0, 7, 1024.0)
    policy = build_constant_policy("agent", (NO_OFFER_CHOICE, other), LAYOUT.columns, (0.0, 5.0))
    idle = ask(LogQuestion(policy, IDLE, since_week=0))
    assert idle.gain == pytest.approx(0.0)
