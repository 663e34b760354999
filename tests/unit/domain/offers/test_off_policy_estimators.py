"""The formulas, on worlds whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.offers.customer_bootstrap import combine
from mlops_assets.domain.offers.logged_decisions import LoggedDecisions
from mlops_assets.domain.offers.off_policy import evaluate_policy
from mlops_assets.domain.offers.off_policy_estimators import ESTIMATORS, weigh_log
from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec
from tests.unit.domain.offers.small_world import SPEC, TRUTH, live

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COUNTS = st.lists(st.integers(1, 6), min_size=6, max_size=6)
WEIGHTS = st.lists(st.integers(0, 9), min_size=6, max_size=6).filter(lambda w: sum(w[:3]) and sum(w[3:]))
REWARDS = st.lists(st.floats(-5, 5), min_size=6, max_size=6)


def _estimates(
    log: LoggedDecisions, target: Floats, q: Floats | None, spec: OffPolicySpec = SPEC
) -> dict[str, float]:
    weighted = weigh_log(log, target, q, spec)
    found = {name: estimate(weighted, spec) for name, estimate in ESTIMATORS.items()}
    return {name: combine(terms) for name, terms in found.items() if terms is not None}


def _log_of_expectation(counts: list[int], rewards: list[float]) -> tuple[LoggedDecisions, NDArray[np.int64]]:
    """Return a log that holds every action exactly as often as its propensity says, and its situations."""
    table = np.reshape(counts, (2, 3))
    cells = np.repeat(np.arange(6), counts)
    situations, actions = cells // 3, cells % 3
    whole = (table / table.sum(axis=1, keepdims=True))[situations]
    log = LoggedDecisions.with_whole_propensities(
        actions, np.array(rewards)[cells], whole, np.arange(len(cells))
    )
    return log, situations


@given(COUNTS, WEIGHTS, REWARDS, REWARDS)
def test_expectation_is_the_truth_whatever_the_reward_model(
    counts: list[int], weights: list[int], rewards: list[float], wrong: list[float]
) -> None:
    log, situations = _log_of_expectation(counts, rewards)
    policy = np.reshape(weights, (2, 3)) / np.reshape(weights, (2, 3)).sum(axis=1, keepdims=True)
    truth = (policy * np.reshape(rewards, (2, 3))).sum(axis=1)[situations].mean()
    found = _estimates(log, policy[situations], np.reshape(wrong, (2, 3))[situations])
    for name in ("ips", "snips", "dr", "sndr"):
        assert found[name] == pytest.approx(truth, abs=1e-9), name


@given(COUNTS, WEIGHTS, REWARDS)
def test_perfect_reward_model_leaves_nothing_to_correct(
    counts: list[int], weights: list[int], rewards: list[float]
) -> None:
    log, situations = _log_of_expectation(counts, rewards)
    policy = np.reshape(weights, (2, 3)) / np.reshape(weights, (2, 3)).sum(axis=1, keepdims=True)
    found = _estimates(log, policy[situations], np.reshape(rewards, (2, 3))[situations])
    for name in ("dr", "sndr", "switch_dr", "dros"):
        assert found[name] == pytest.approx(found["dm"], abs=1e-12), name


def test_ips_is_unbiased_over_random_logs() -> None:
    values = []
    for seed in range(400):
        world = live(200, seed)
        values.append(_estimates(world.log, world.target, None)["ips"])
    assert abs(np.mean(values) - TRUTH) < 4 * np.std(values) / 20
    assert np.std(values) > 0.01


@given(st.floats(-100, 100), st.integers(0, 20))
def test_snips_follows_a_shift_of_all_rewards(shift: float, seed: int) -> None:
    world = live(300, seed)
    before = _estimates(world.log, world.target, None)
    after = _estimates(replace(world.log, rewards=world.log.rewards + shift), world.target, None)
    assert after["snips"] == pytest.approx(before["snips"] + shift, abs=1e-9)
    mean_weight = weigh_log(world.log, world.target, None, SPEC).weights.mean()
    assert after["ips"] == pytest.approx(before["ips"] + shift * mean_weight, abs=1e-9)
    assert mean_weight != pytest.approx(1, abs=1e-9)


def test_logging_policy_is_worth_what_was_logged() -> None:
    world = live(500, 3)
    found = evaluate_policy(world.log, world.logging, SPEC)
    assert found.estimates["ips"].value == pytest.approx(world.log.rewards.mean())
    assert found.estimates["snips"].value == pytest.approx(world.log.rewards.mean())
    assert found.ess == pytest.approx(500)
    assert found.logged is not None
    assert found.logged.value == pytest.approx(world.log.rewards.mean())


# Three rows by hand: weights 0.5, 4 and 2; direct values 0.3, 0.6 and 0.5; residuals 0.8, 0.4 and -0.5.
HAND = LoggedDecisions(
    np.array([0, 1, 0]), np.array([1.0, 1.0, 0.0]), np.array([0.5, 0.2, 0.5]), np.array(["a", "b", "c"])
)
HAND_TARGET = np.array([[0.25, 0.75], [0.2, 0.8], [1.0, 0.0]])
HAND_Q = np.array([[0.2, 1 / 3], [0.6, 0.6], [0.5, 0.9]])


@pytest.mark.parametrize(
    ("name", "spec", "value"),
    [
        ("ips", SPEC, (0.5 + 4) / 3),
        ("snips", SPEC, (0.5 + 4) / 6.5),
        ("dm", SPEC, 1.4 / 3),
        ("dr", SPEC, (1.4 + 0.5 * 0.8 + 4 * 0.4 - 2 * 0.5) / 3),
        ("sndr", SPEC, 1.4 / 3 + (0.5 * 0.8 + 4 * 0.4 - 2 * 0.5) / 6.5),
        ("ips", OffPolicySpec(max_weight=3), (0.5 + 3) / 3),
        ("snips", OffPolicySpec(max_weight=3), (0.5 + 3) / 5.5),
        ("dr", OffPolicySpec(max_weight=3), (1.4 + 0.5 * 0.8 + 3 * 0.4 - 2 * 0.5) / 3),
        ("sndr", OffPolicySpec(max_weight=3), 1.4 / 3 + (0.5 * 0.8 + 3 * 0.4 - 2 * 0.5) / 5.5),
        ("switch_dr", OffPolicySpec(switch_threshold=2), (1.4 + 0.5 * 0.8 - 2 * 0.5) / 3),
        ("switch_dr", OffPolicySpec(switch_threshold=0), 1.4 / 3),
        ("switch_dr", OffPolicySpec(switch_threshold=4), (1.4 + 0.5 * 0.8 + 4 * 0.4 - 2 * 0.5) / 3),
        ("dros", OffPolicySpec(shrinkage=0), 1.4 / 3),
        (
            "dros",
            OffPolicySpec(shrinkage=2),
            (1.4 + 2 * 0.5 / 2.25 * 0.8 + 2 * 4 / 18 * 0.4 - 2 * 2 / 6 * 0.5) / 3,
        ),
        ("dros", OffPolicySpec(shrinkage=1e12), (1.4 + 0.5 * 0.8 + 4 * 0.4 - 2 * 0.5) / 3),
    ],
)
def test_by_hand(name: str, spec: OffPolicySpec, value: float) -> None:
    assert _estimates(HAND, HAND_TARGET, HAND_Q, spec)[name] == pytest.approx(value, rel=1e-9)


def test_clipping_is_reported_and_hides_no_lack_of_rows() -> None:
    plain = evaluate_policy(HAND, HAND_TARGET, SPEC)
    clipped = evaluate_policy(HAND, HAND_TARGET, OffPolicySpec(max_weight=1, bootstrap_rounds=50))
    assert plain.clipped_share == 0
    assert clipped.clipped_share == pytest.approx(2 / 3)
    assert clipped.ess == plain.ess == pytest.approx(6.5**2 / (0.25 + 16 + 4))


def test_without_a_reward_model_only_weights_speak() -> None:
    assert set(_estimates(HAND, HAND_TARGET, None)) == {"ips", "snips"}


def test_chosen_limits_help_where_weights_are_heavy_and_the_model_is_right() -> None:
    errors: dict[str, list[float]] = {"dr": [], "switch_dr": [], "dros": []}
    for seed in range(60):
        random = np.random.default_rng(seed)
        propensity = np.clip(random.beta(0.3, 0.7, 400), 0.002, 1)
        actions = (random.random(400) > propensity).astype(np.int64)
        whole = np.column_stack([propensity, 1 - propensity + 1e-300])
        rewards = 0.5 + random.normal(0, 1, 400)
        log = LoggedDecisions(actions, rewards, whole[np.arange(400), actions], np.arange(400))
        target, q = np.tile([1.0, 0.0], (400, 1)), np.full((400, 2), 0.5)
        for name, values in errors.items():
            values.append(_estimates(log, target, q)[name] - 0.5)
    mse = {name: float(np.mean(np.square(values))) for name, values in errors.items()}
    assert mse["switch_dr"] < mse["dr"]
    assert mse["dros"] < mse["dr"]


def test_chosen_limits_keep_the_correction_of_a_wrong_model() -> None:
    world = live(4000, 8)
    found = _estimates(world.log, world.target, np.zeros_like(world.target))
    assert found["dm"] == 0
    for name in ("switch_dr", "dros"):
        assert found[name] == pytest.approx(TRUTH, abs=0.05), name
