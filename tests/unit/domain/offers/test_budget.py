"""Budget and capacity: within every limit, close to the linear programme, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from mlops_assets.domain.offers.budget import Allocation, AllocationError, Capacity, allocate_budget


def make_scores(seed: int, people: int, actions: int, ineligible: float = 0.2) -> np.ndarray:
    chance = np.random.default_rng(seed)
    scores = chance.gamma(1.5, 0.6, (people, actions)) - 0.4
    scores[chance.random(scores.shape) < ineligible] = -np.inf
    scores[:, 0] = 0.0
    return scores


def make_capacities(people: int, actions: int, seed: int = 0, *, personal: bool = False) -> list[Capacity]:
    chance = np.random.default_rng(seed + 100)
    shape = (people, actions) if personal else (actions,)
    discount = chance.uniform(0.1, 1.0, shape)
    discount[..., 0] = 0.0
    sms = np.zeros(actions)
    sms[1::2] = 1.0
    push = 1.0 - sms
    push[0] = 0.0
    return [
        Capacity("discount_usd", 0.12 * people, discount),
        Capacity("contacts_sms", 0.2 * people, sms),
        Capacity("contacts_push", 0.15 * people, push),
    ]


def solve_lp(scores: np.ndarray, capacities: list[Capacity]) -> float:
    people, actions = scores.shape
    usable = np.isfinite(scores)
    one_each = np.kron(np.eye(people), np.ones(actions))
    usage = [np.broadcast_to(one.usage, scores.shape).ravel() for one in capacities]
    found = linprog(
        -np.where(usable, scores, 0.0).ravel(),
        A_ub=np.array(usage),
        b_ub=[one.limit for one in capacities],
        A_eq=one_each,
        b_eq=np.ones(people),
        bounds=[(0, 1 if ok else 0) for ok in usable.ravel()],
    )
    assert found.success
    return float(-found.fun)


def check(scores: np.ndarray, capacities: list[Capacity], found: Allocation) -> None:
    rows = np.arange(len(scores))
    assert np.isfinite(scores[rows, found.actions]).all(), "nobody gets what he is not eligible for"
    assert found.value == pytest.approx(scores[rows, found.actions].sum())
    for one in capacities:
        used = np.broadcast_to(one.usage, scores.shape)[rows, found.actions].sum()
        assert used <= one.limit + 1e-9
        assert found.used[one.name] == pytest.approx(used)
    assert found.value <= found.bound + 1e-9


@pytest.mark.parametrize("personal", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_it_is_close_to_the_linear_programme(seed: int, personal: bool) -> None:
    scores = make_scores(seed, people=150, actions=5)
    capacities = make_capacities(150, 5, seed, personal=personal)
    found = allocate_budget(scores, capacities, rows_per_chunk=64)
    check(scores, capacities, found)
    optimum = solve_lp(scores, capacities)
    assert found.bound >= optimum - 1e-6
    assert found.bound <= optimum * 1.01
    assert optimum * 0.98 <= found.value <= optimum + 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_with_many_people_the_gap_vanishes(seed: int) -> None:
    scores = make_scores(seed, people=20_000, actions=6).astype(np.float32)
    capacities = make_capacities(20_000, 6, seed)
    found = allocate_budget(scores, capacities)
    assert found.gap < 1e-3
    assert all(0.99 < found.used[one.name] / one.limit <= 1 for one in capacities if found.prices[one.name])


def test_chunks_do_not_change_the_result() -> None:
    scores, capacities = make_scores(1, 500, 4), make_capacities(500, 4)
    whole, parts = (allocate_budget(scores, capacities, rows_per_chunk=rows) for rows in (500, 37))
    assert (whole.actions == parts.actions).all()


def test_without_a_binding_limit_everybody_gets_his_best() -> None:
    scores = make_scores(2, 300, 4)
    for capacities in ([], [Capacity("contacts", 300.0, np.array([0.0, 1.0, 1.0, 1.0]))]):
        found = allocate_budget(scores, capacities)
        assert (found.actions == scores.argmax(axis=1)).all()
        assert found.gap == pytest.approx(0.0, abs=1e-12)
        assert not any(found.prices.values())


@pytest.mark.parametrize("scores", [make_scores(3, 40, 3), -np.abs(make_scores(3, 40, 3, 0.0))])
def test_nothing_to_spend_or_to_gain_means_no_offer(scores: np.ndarray) -> None:
    found = allocate_budget(scores, [Capacity("contacts", 0.0, np.array([0.0, 1.0, 1.0]))])
    assert not found.actions.any()
    assert found.value == 0.0


def test_equal_scores_are_cut_at_the_limit() -> None:
    scores = np.zeros((100, 2))
    scores[:, 1] = 1.0
    found = allocate_budget(scores, [Capacity("contacts", 30.0, np.array([0.0, 1.0]))])
    assert found.actions.sum() == 30
    assert found.gap < 1e-6


def test_nobody_at_all_is_an_empty_allocation() -> None:
    found = allocate_budget(np.zeros((0, 3)), [Capacity("contacts", 1.0, np.array([0.0, 1.0, 1.0]))])
    assert (len(found.actions), found.value, found.gap) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("scores", "capacity", "message"),
    [
        (np.zeros(3), {}, "shape"),
        (np.zeros((2, 3)), {"usage": np.zeros(2)}, "usage of `contacts` has the shape"),
        (np.zeros((2, 3)), {"limit": -1.0}, "limit of `contacts`"),
        (np.zeros((2, 3)), {"limit": float("nan")}, "limit of `contacts`"),
        (np.array([[0, np.nan, 1]]), {}, "NaN or infinite"),
        (np.array([[0, np.inf, 1]]), {}, "NaN or infinite"),
        (np.ones((2, 3)), {}, "no_offer .column 0. has a score"),
        (np.zeros((2, 3)), {"usage": np.ones(3)}, "uses a resource"),
        (np.zeros((2, 3)), {"usage": np.array([0.0, -1.0, 0.0])}, "negative"),
    ],
)
def test_what_is_no_allocation_problem_is_refused(
    scores: np.ndarray, capacity: dict[str, Any], message: str
) -> None:
    one = Capacity(**{"name": "contacts", "limit": 1.0, "usage": np.array([0.0, 1.0, 1.0]), **capacity})
    with pytest.raises(AllocationError, match=message):
        allocate_budget(scores, [one])
