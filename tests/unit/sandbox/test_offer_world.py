"""The sandbox's weeks: exact propensities, repeatable chance, the truth about fatigue."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.policies import build_constant_policy
from mlops_assets.sandbox.offer_people import CONTROL, LAYOUT, build_offer_world, observe
from mlops_assets.sandbox.offer_week import draw_chance, live_week
from mlops_assets.sandbox.offer_world import (
    campaign_propensities,
    draw_actions,
    find_true_value,
    follow_policy,
    follow_rules,
    log_campaign,
    start_people,
)

WORLD = build_offer_world(3.0)
LOG = log_campaign(WORLD, 4_000, 4, 9)


def test_the_log_is_that_of_its_seed() -> None:
    again, other = log_campaign(WORLD, 4_000, 4, 9), log_campaign(WORLD, 4_000, 4, 10)
    assert np.array_equal(LOG.next_values, again.next_values, equal_nan=True)
    assert np.array_equal(LOG.actions, again.actions)
    assert not np.array_equal(LOG.actions[:500], other.actions[:500])


def test_a_week_is_followed_by_the_next() -> None:
    first, second = LOG.take(LOG.weeks == 0), LOG.take(LOG.weeks == 1)
    stayed = first.take(~first.is_churned)
    assert np.array_equal(stayed.states.customers, second.states.customers)
    assert np.array_equal(stayed.next_values, second.states.values, equal_nan=True)


def test_propensities_are_exact() -> None:
    people = start_people(WORLD, 20_000, 4)
    chances = campaign_propensities(WORLD, people)
    assert np.allclose(chances.sum(axis=1), 1)
    assert (chances[people.stratum == CONTROL, 0] == 1).all()
    actions = draw_actions(chances, np.random.default_rng(1).random(people.rows))
    for action in (0, 1, 5, 21):
        expected = chances[:, action].sum()
        assert abs((actions == action).sum() - expected) < 4 * np.sqrt(expected) + 1
    assert not LOG.actions[LOG.propensities == 1].any()


def test_shares_are_those_of_a_prepaid_operator() -> None:
    contacts = LOG.actions > 0
    assert 0.15 < contacts.mean() < 0.3
    assert 0.02 < LOG.is_accepted.sum() / contacts.sum() < 0.15
    assert 0.005 < LOG.is_churned.mean() < 0.03
    assert LOG.margin_usd.mean() == pytest.approx(1.0, abs=0.4)


def test_hidden_traits_are_not_observed() -> None:
    people = start_people(WORLD, 3_000, 5)
    states = observe(WORLD, people)
    for trait in (people.price_z, people.receptivity_z):
        seen = [abs(np.corrcoef(np.nan_to_num(column), trait)[0, 1]) for column in states.values[:, :9].T]
        assert 0.3 < max(seen) < 0.95
    assert np.isnan(states.values).any()


def test_chance_does_not_depend_on_what_is_done() -> None:
    people, chance = start_people(WORLD, 2_000, 6), draw_chance(2_000, 1, 0)
    chance = type(chance)(chance.uniform[: people.rows], chance.normal[: people.rows])
    quiet = live_week(WORLD, people, np.zeros(people.rows, dtype=np.int64), chance)
    busy = live_week(WORLD, people, np.ones(people.rows, dtype=np.int64), chance)
    same = ~busy.is_accepted
    assert np.array_equal(quiet.margin_usd[same], busy.margin_usd[same])
    assert busy.is_churned.sum() >= quiet.is_churned.sum()
    assert (busy.people.fatigue > quiet.people.fatigue).all()


def test_fatigue_makes_contacts_expensive() -> None:
    def gain(strength: float) -> float:
        world = build_offer_world(strength)
        people = start_people(world, 3_000, 7)
        columns, count = LAYOUT.columns, len(world.choices)
        often = build_constant_policy("best_single", world.choices, columns, np.eye(count)[1])
        never = build_constant_policy("no_offer", world.choices, columns, np.zeros(count))
        values = [
            find_true_value(
                world,
                people,
                follow_policy(policy),
                ContactPolicy(window_days=7),
                weeks=26,
                weekly_discount=0.99,
                contact_cost_usd=0.01,
                seed=2,
            )
            for policy in (often, never)
        ]
        assert values[1].contact_rate == 0
        assert values[0].contact_rate > 0.99
        return values[0].mean_usd - values[1].mean_usd

    assert gain(3.0) < gain(0.0) - 0.5


def test_rules_keep_to_the_cap() -> None:
    people = start_people(WORLD, 1_000, 8)
    found = find_true_value(
        WORLD,
        people,
        follow_rules(WORLD),
        ContactPolicy(),
        weeks=12,
        weekly_discount=0.99,
        contact_cost_usd=0.01,
        seed=2,
    )
    assert 0.05 < found.contact_rate <= 0.25
    assert found.contact_counts.sum() == pytest.approx(1)
