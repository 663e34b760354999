"""Intervals, comparisons and every reason to refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlops_assets.domain.errors import PolicyEvaluationError
from mlops_assets.domain.offers import customer_bootstrap
from mlops_assets.domain.offers.logged_decisions import LoggedDecisions
from mlops_assets.domain.offers.off_policy import (
    PolicyEvaluation,
    compare_policies,
    evaluate_policy,
    judge_gain,
)
from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec
from tests.unit.domain.offers.small_world import LOGGED_TRUTH, SPEC, TARGET, TRUTH, World, live

ENOUGH = live(6000, 1)


def _kinds(found: PolicyEvaluation) -> set[str]:
    return {problem.kind for problem in found.problems}


def _with(world: World, **columns: object) -> LoggedDecisions:
    """Return the log with other columns and without the whole propensities."""
    return replace(world.log, **{"all_propensities": None, **columns})  # type: ignore[arg-type]


def test_good_evidence_is_decidable_and_right() -> None:
    found = evaluate_policy(ENOUGH.log, ENOUGH.target, SPEC, ENOUGH.chances)
    assert not found.problems
    assert set(found.estimates) == {"ips", "snips", "dm", "dr", "sndr", "switch_dr", "dros"}
    for name, estimate in found.estimates.items():
        assert estimate.low <= estimate.value <= estimate.high, name
        assert estimate.value == pytest.approx(TRUTH, abs=0.04), name
        assert (estimate.limit is not None) is (name in {"switch_dr", "dros"})
    assert (found.rows, found.customers) == (6000, 6000)
    assert 1000 < found.ess < 6000


def _coverage(worlds: list[World], *, by_customer: bool) -> dict[str, float]:
    hits: dict[str, list[bool]] = {"ips": [], "snips": [], "dr": []}
    for world in worlds:
        log = world.log if by_customer else replace(world.log, customers=np.arange(world.log.rows))
        found = evaluate_policy(log, world.target, SPEC, world.chances).estimates
        for name, inside in hits.items():
            inside.append(found[name].low <= TRUTH <= found[name].high)
    return {name: float(np.mean(inside)) for name, inside in hits.items()}


def test_intervals_cover_where_customers_differ() -> None:
    """Of 300 intervals at 95 %, 272 to 297 hold the truth by all but one chance in a thousand."""
    worlds = [live(1000, seed, rows_a_customer=10, spread=0.5) for seed in range(300)]
    for name, share in _coverage(worlds, by_customer=True).items():
        assert 272 / 300 <= share <= 297 / 300, name
    by_row = _coverage(worlds[:60], by_customer=False)
    assert by_row["snips"] < 0.8, "rows of one customer are no independent evidence"


def test_resamples_repeat_and_do_not_depend_on_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    once = evaluate_policy(ENOUGH.log, ENOUGH.target, SPEC).estimates
    monkeypatch.setattr(customer_bootstrap, "_CELLS_AT_ONCE", 7)
    again = evaluate_policy(ENOUGH.log, ENOUGH.target, SPEC).estimates
    for name, estimate in once.items():
        assert again[name].low == pytest.approx(estimate.low, rel=1e-12)
        assert again[name].high == pytest.approx(estimate.high, rel=1e-12)
    other = evaluate_policy(ENOUGH.log, ENOUGH.target, SPEC.model_copy(update={"seed": 1})).estimates
    assert other["ips"].low != once["ips"].low


def test_higher_confidence_is_wider() -> None:
    wide, narrow = (
        evaluate_policy(ENOUGH.log, ENOUGH.target, SPEC.model_copy(update={"confidence": level})).estimates
        for level in (0.99, 0.8)
    )
    for name, estimate in wide.items():
        assert estimate.low < narrow[name].low < narrow[name].high < estimate.high


@pytest.mark.parametrize("bad", [0.0, 1e-310, -0.1, 1.5, np.nan, np.inf])
def test_impossible_propensity_is_refused_without_an_estimate(bad: float) -> None:
    propensities = ENOUGH.log.propensities.copy()
    propensities[17] = bad
    found = evaluate_policy(_with(ENOUGH, propensities=propensities), ENOUGH.target, SPEC, ENOUGH.chances)
    assert _kinds(found) == {"propensity"}
    assert "row 17" in str(found.problems[0])
    assert found.estimates == {}
    assert found.ess == 0
    assert found.logged is not None


def test_impossible_propensity_of_another_action_is_refused() -> None:
    whole = np.asarray(ENOUGH.log.all_propensities).copy()
    whole[5, (ENOUGH.log.actions[5] + 1) % 3] = np.nan
    found = evaluate_policy(replace(ENOUGH.log, all_propensities=whole), ENOUGH.target, SPEC)
    assert _kinds(found) == {"propensity"}


def test_reward_that_is_not_finite_is_refused() -> None:
    rewards = ENOUGH.log.rewards.copy()
    rewards[[3, 9]] = np.nan
    found = evaluate_policy(replace(ENOUGH.log, rewards=rewards), ENOUGH.target, SPEC)
    assert _kinds(found) == {"reward"}
    assert "2 of 6000" in str(found.problems[0])
    assert (found.estimates, found.logged) == ({}, None)


def test_action_the_log_could_not_take_is_refused() -> None:
    keep = ENOUGH.log.actions != 2
    whole = ENOUGH.logging[keep].copy()
    whole[:, 2] = 0
    whole /= whole.sum(axis=1, keepdims=True)
    log = LoggedDecisions.with_whole_propensities(
        ENOUGH.log.actions[keep], ENOUGH.log.rewards[keep], whole, ENOUGH.log.customers[keep]
    )
    target = ENOUGH.target[keep]
    share = f"{target[:, 2].mean():.2%}"
    for one in (log, replace(log, all_propensities=None)):
        support = [p for p in evaluate_policy(one, target, SPEC).problems if p.kind == "support"]
        assert len(support) == 1
        assert share in support[0].words
        assert "(actions 2)" in support[0].words
    inside = target.copy()
    inside[:, 2] = 0
    inside /= inside.sum(axis=1, keepdims=True)
    assert "support" not in _kinds(evaluate_policy(log, inside, SPEC))


def test_support_is_missed_row_by_row_only_with_the_whole_propensities() -> None:
    """Action 2 is logged, but never in situation 0; the mean weight tells when the whole vector was not kept."""
    in_zero, taken = ENOUGH.situations == 0, ENOUGH.log.actions == 2
    keep = ~(in_zero & taken)
    whole = ENOUGH.logging.copy()
    whole[in_zero, 2] = 0
    whole /= whole.sum(axis=1, keepdims=True)
    log = LoggedDecisions.with_whole_propensities(
        ENOUGH.log.actions[keep], ENOUGH.log.rewards[keep], whole[keep], ENOUGH.log.customers[keep]
    )
    table = TARGET.copy()
    table[0] = [0.0, 0.0, 1.0]
    target = table[ENOUGH.situations][keep]
    assert "support" in _kinds(evaluate_policy(log, target, SPEC))
    blind = evaluate_policy(replace(log, all_propensities=None), target, SPEC)
    assert "support" not in _kinds(blind)
    assert "mean_weight" in _kinds(blind)


def test_few_effective_rows_are_refused() -> None:
    greedy = np.zeros_like(ENOUGH.target)
    greedy[np.arange(6000), ENOUGH.logging.argmin(axis=1)] = 1
    least = OffPolicySpec(min_effective_rows=3000, bootstrap_rounds=50)
    found = evaluate_policy(ENOUGH.log, greedy, least)
    assert _kinds(found) == {"effective_rows"}
    assert "3000 are needed" in str(found.problems[0])
    share = OffPolicySpec(min_effective_rows=1, min_effective_share=0.9, bootstrap_rounds=50)
    assert "5400 are needed" in str(evaluate_policy(ENOUGH.log, greedy, share).problems[0])


@pytest.mark.parametrize(("rows", "is_refused"), [(999, True), (1000, False)])
def test_a_thousand_effective_rows_are_enough(rows: int, is_refused: bool) -> None:
    world = live(rows, 4)
    found = evaluate_policy(world.log, world.logging, OffPolicySpec(bootstrap_rounds=50))
    assert ("effective_rows" in _kinds(found)) is is_refused


@pytest.mark.parametrize(("positives", "is_refused"), [(99, True), (100, False)])
def test_a_hundred_positives_are_enough(positives: int, is_refused: bool) -> None:
    rewards = np.where(np.arange(6000) < positives, 2.5, -0.01)
    found = evaluate_policy(replace(ENOUGH.log, rewards=rewards), ENOUGH.logging, SPEC)
    assert _kinds(found) == ({"positives"} if is_refused else set())
    assert found.positives == positives


def test_positives_the_policy_would_never_have_decided_do_not_count() -> None:
    never = np.tile([1.0, 0.0, 0.0], (6000, 1))
    rewards = np.where(ENOUGH.log.actions == 0, 0.0, 1.0)
    found = evaluate_policy(replace(ENOUGH.log, rewards=rewards), never, SPEC)
    assert found.positives == 0
    assert "positives" in _kinds(found)


def test_few_customers_are_refused() -> None:
    found = evaluate_policy(replace(ENOUGH.log, customers=np.arange(6000) % 49), ENOUGH.logging, SPEC)
    assert _kinds(found) == {"customers"}


def test_wrong_propensities_show_in_the_mean_weight() -> None:
    wrong = _with(ENOUGH, propensities=ENOUGH.log.propensities * 0.8)
    assert _kinds(evaluate_policy(wrong, ENOUGH.target, SPEC)) == {"mean_weight"}


def test_policy_the_log_never_agrees_with_has_no_self_normalised_value() -> None:
    never = np.zeros_like(ENOUGH.target)
    never[np.arange(6000), (ENOUGH.log.actions + 1) % 3] = 1
    found = evaluate_policy(ENOUGH.log, never, SPEC)
    assert set(found.estimates) == {"ips"}
    assert found.ess == 0
    assert {"effective_rows", "positives", "mean_weight"} <= _kinds(found)


def test_gain_is_paired() -> None:
    itself = compare_policies(ENOUGH.log, ENOUGH.target, ENOUGH.target, SPEC, ENOUGH.chances)
    for gain in itself.gains.values():
        assert (gain.value, gain.low, gain.high) == (0, 0, 0)
    other = compare_policies(ENOUGH.log, ENOUGH.target, ENOUGH.logging, SPEC, ENOUGH.chances)
    for gain in other.gains.values():
        assert gain.low < TRUTH - LOGGED_TRUTH < gain.high


def test_gain_over_the_logging_policy_needs_no_baseline() -> None:
    found = compare_policies(ENOUGH.log, ENOUGH.target, None, SPEC, ENOUGH.chances)
    assert found.baseline is None
    assert found.ess == found.target.ess
    mean = ENOUGH.log.rewards.mean()
    for name, gain in found.gains.items():
        assert gain.value == pytest.approx(found.target.estimates[name].value - mean)
        # Two half widths are about four standard errors.
        assert abs(gain.value - (TRUTH - LOGGED_TRUTH)) < gain.high - gain.low
    separate = found.target.estimates["ips"], found.target.logged
    assert separate[1] is not None
    assert found.gains["ips"].high != pytest.approx(separate[0].high - separate[1].low, rel=1e-3)


def test_verdicts() -> None:
    better = compare_policies(ENOUGH.log, ENOUGH.target, ENOUGH.logging, SPEC, ENOUGH.chances)
    low = better.gains["dr"].low
    assert judge_gain(better, 0).outcome == "proven"
    assert judge_gain(better, low).outcome == "not_proven"
    assert judge_gain(better, low - 1e-9).outcome == "proven"
    worse = compare_policies(ENOUGH.log, ENOUGH.logging, ENOUGH.target, SPEC, ENOUGH.chances)
    assert judge_gain(worse, 0).outcome == "not_proven"


def test_a_problem_of_either_policy_refuses_the_comparison() -> None:
    never = np.zeros_like(ENOUGH.target)
    never[np.arange(6000), (ENOUGH.log.actions + 1) % 3] = 1
    for pair in ((ENOUGH.target, never), (never, ENOUGH.target)):
        comparison = compare_policies(ENOUGH.log, *pair, SPEC, ENOUGH.chances)
        verdict = judge_gain(comparison, -10)
        assert verdict.outcome == "refused"
        assert any("effective" in reason or "count as only 0" in reason for reason in verdict.reasons)
        assert comparison.ess == 0
        assert "snips" not in comparison.gains


def test_verdict_needs_its_estimator() -> None:
    plain = compare_policies(ENOUGH.log, ENOUGH.target, None, SPEC)
    with pytest.raises(PolicyEvaluationError, match="reward estimates"):
        judge_gain(plain, 0, "dr")


@pytest.mark.parametrize(
    "target",
    [
        np.full((6000, 3), 0.3),
        np.tile([1.2, -0.2, 0.0], (6000, 1)),
        np.full((6000, 3), np.nan),
        np.full((5999, 3), 1 / 3),
        np.full((6000, 2), 0.5),
        np.full(6000, 1.0),
    ],
    ids=["sum", "negative", "nan", "rows", "actions", "dimension"],
)
def test_what_is_no_policy_is_an_error(target: np.ndarray) -> None:
    with pytest.raises(PolicyEvaluationError):
        evaluate_policy(ENOUGH.log, target, SPEC)


def test_reward_estimates_that_do_not_fit_are_an_error() -> None:
    for wrong in (ENOUGH.chances[:, :2], np.full((6000, 3), np.inf)):
        with pytest.raises(PolicyEvaluationError, match="reward estimates"):
            evaluate_policy(ENOUGH.log, ENOUGH.target, SPEC, wrong)


def test_columns_that_do_not_fit_are_an_error() -> None:
    log = _with(ENOUGH)
    with pytest.raises(PolicyEvaluationError, match="fit together"):
        replace(log, rewards=log.rewards[:-1])
    with pytest.raises(PolicyEvaluationError, match="fit together"):
        replace(log, **{name: getattr(log, name)[:0] for name in ("actions", "rewards", "propensities")})
    with pytest.raises(PolicyEvaluationError, match="numbered"):
        replace(log, actions=log.actions.astype(np.float64))
    with pytest.raises(PolicyEvaluationError, match="two different propensities"):
        replace(ENOUGH.log, propensities=ENOUGH.log.propensities * 0.9)
    with pytest.raises(PolicyEvaluationError, match="no column"):
        LoggedDecisions.with_whole_propensities(
            log.actions, log.rewards, np.full((6000, 2), 0.5), log.customers
        )
