"""A day's decisions: limits hold, and no more is taken back for them than they ask for."""

from __future__ import annotations

import datetime as dt

import numpy as np

from mlops_assets.domain.offers.budget import Capacity
from mlops_assets.domain.offers.daily_decisions import DayDecisions, decide_day
from mlops_assets.domain.offers.exploration import DrawKey
from mlops_assets.domain.offers.offers_spec import ExplorationSpec

SPEC = ExplorationSpec(control_share=0.01, random_share=0.5, random_contact_share=1.0, epsilon=0.5)
USAGE = np.array([0.0, 0.0, 1.0])  # no offer, an offer at list price, one with a discount of a dollar


def decide(limit_usd: float, spec: ExplorationSpec, number: int) -> DayDecisions:
    customers, allowed = np.arange(1, 13, dtype=np.int64), np.ones((12, 3), dtype=bool)
    key = DrawKey("x", "cl", dt.date(2026, 1, 1) + dt.timedelta(days=number))
    worth = np.zeros((12, 3), dtype=np.float32)
    return decide_day(worth, allowed, customers, [Capacity("discount_usd", limit_usd, USAGE)], spec, key)


def test_only_offers_that_use_what_ran_out_are_taken_back() -> None:
    taken_back = 0
    for number in range(300):
        limited = decide(1.0, SPEC, number)
        same_chance = SPEC.model_copy(update={"random_contact_share": limited.contact_share})
        drawn = decide(1_000.0, same_chance, number)
        assert limited.used["discount_usd"] <= 1.0
        lost = drawn.actions[drawn.actions != limited.actions]
        assert (lost == 2).all(), "an offer at list price uses no discount"
        taken_back += len(lost)
    assert taken_back > 10
