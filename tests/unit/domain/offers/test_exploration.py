"""Strata that last, chances that are exact, draws that repeat."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from mlops_assets.domain.offers.budget import Capacity
from mlops_assets.domain.offers.exploration import (
    CONTROL,
    POLICY,
    RANDOM,
    DrawKey,
    assign_strata,
    decision_chances,
    draw_decisions,
    draw_uniforms,
    limit_contact_share,
)
from mlops_assets.domain.offers.offers_spec import ExplorationSpec

SPEC = ExplorationSpec(control_share=0.1, random_share=0.2, random_contact_share=0.3, epsilon=0.2)
KEY = DrawKey("personalized_offer", "cl", dt.date(2026, 3, 1))
PEOPLE = np.arange(1, 100_001, dtype=np.int64)


def test_uniforms_are_uniform_and_independent_by_purpose() -> None:
    first, other = draw_uniforms(PEOPLE, "a"), draw_uniforms(PEOPLE, "b")
    assert first.min() >= 0
    assert first.max() < 1
    shares = np.histogram(first, 20, (0, 1))[0] / len(PEOPLE)
    np.testing.assert_allclose(shares, 0.05, atol=0.004)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.015
    np.testing.assert_array_equal(first, draw_uniforms(PEOPLE, "a"))


def test_strata_have_their_shares_and_stay() -> None:
    strata = assign_strata(SPEC, "personalized_offer", "cl", PEOPLE)
    shares = np.bincount(strata, minlength=3) / len(PEOPLE)
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.7], atol=0.005)
    np.testing.assert_array_equal(strata[::-1], assign_strata(SPEC, "personalized_offer", "cl", PEOPLE[::-1]))
    elsewhere = assign_strata(SPEC, "personalized_offer", "pe", PEOPLE)
    assert (elsewhere != strata).mean() > 0.3, "another segment divides anew"
    wider = assign_strata(SPEC.model_copy(update={"control_share": 0.15}), "personalized_offer", "cl", PEOPLE)
    assert (wider[strata == CONTROL] == CONTROL).all(), "who is in control stays there when the share grows"


@pytest.mark.parametrize(
    ("stratum", "target", "allowed", "expected"),
    [
        (POLICY, 2, [True, True, True, False], [0.2 / 3, 0.2 / 3, 0.8 + 0.2 / 3, 0]),
        (POLICY, 0, [True, True, True, False], [1 - 0.06, 0.03, 0.03, 0]),
        (RANDOM, 0, [True, True, True, False], [0.7, 0.15, 0.15, 0]),
        (RANDOM, 2, [True, True, True, False], [0.7, 0.15, 0.15, 0]),
        (CONTROL, 1, [True, True, True, True], [1, 0, 0, 0]),
        (POLICY, 0, [True, False, False, False], [1, 0, 0, 0]),
        (RANDOM, 0, [False, False, False, False], [1, 0, 0, 0]),
    ],
)
def test_chances(stratum: int, target: int, allowed: list[bool], expected: list[float]) -> None:
    found = decision_chances(
        SPEC, np.array([target]), np.array([allowed]), np.array([stratum], dtype=np.int8), 0.3
    )
    np.testing.assert_allclose(found[0], expected, atol=1e-12)


@pytest.mark.parametrize("offers", [1, 20, 43, 500])
def test_a_random_contact_that_is_certain_leaves_no_negative_chance(offers: int) -> None:
    allowed = np.ones((1, offers + 1), dtype=bool)
    found = decision_chances(SPEC, np.array([0]), allowed, np.array([RANDOM], dtype=np.int8), 1.0)
    assert found.min() >= 0, "its logarithm is asked for later"
    assert found.sum() == pytest.approx(1)


def test_draws_have_these_chances_and_repeat() -> None:
    chances = np.tile([0.5, 0.0, 0.3, 0.2], (len(PEOPLE), 1))
    drawn = draw_decisions(chances, PEOPLE, KEY)
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / len(PEOPLE), [0.5, 0, 0.3, 0.2], atol=0.006)
    np.testing.assert_array_equal(drawn, draw_decisions(chances, PEOPLE, KEY))
    tomorrow = DrawKey(KEY.use_case, KEY.segment, KEY.day + dt.timedelta(days=1))
    assert (draw_decisions(chances, PEOPLE, tomorrow) != drawn).mean() > 0.4


def test_what_has_no_chance_is_never_drawn() -> None:
    third = np.full(len(PEOPLE), 1 / 3)
    chances = np.column_stack([1 - (third + third), third, third, np.zeros(len(PEOPLE))])
    assert draw_decisions(chances, PEOPLE, KEY).max() == 2


def test_random_contacts_leave_half_of_a_limit() -> None:
    allowed = np.ones((1000, 3), dtype=bool)
    strata = np.full(1000, RANDOM, dtype=np.int8)
    contacts = np.array([0.0, 1.0, 1.0])
    assert limit_contact_share(SPEC, allowed, strata, []) == 0.3
    assert limit_contact_share(SPEC, allowed, strata, [Capacity("contacts", 600, contacts)]) == 0.3
    assert limit_contact_share(SPEC, allowed, strata, [Capacity("contacts", 300, contacts)]) == pytest.approx(
        0.15
    )
    assert limit_contact_share(SPEC, allowed, strata, [Capacity("contacts", 0, contacts)]) == 0.0
    dear = Capacity("discount_usd", 30, np.array([0.0, 0.0, 1.0]))
    assert limit_contact_share(SPEC, allowed, strata, [dear]) == pytest.approx(0.03)
