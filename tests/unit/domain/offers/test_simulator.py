"""The learned world: what a week does, what it is fitted to, its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mlops_assets.domain.errors import ModelIntegrityError
from mlops_assets.domain.offers.decision_data import DecisionDataError, OfferStates
from mlops_assets.domain.offers.simulator import DRAWS
from mlops_assets.domain.offers.simulator_bundle import load_simulator, save_simulator
from mlops_assets.domain.offers.simulator_fit import fit_simulator, split_customers
from tests.unit.domain.offers.offer_log import campaign_log, learned_world

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANCE = np.random.default_rng(1).random((500, DRAWS))


def people() -> OfferStates:
    log = campaign_log()
    return log.states.take(log.weeks == 0).take(np.arange(500))


def everybody(action: int) -> NDArray[np.int64]:
    return np.full(500, action, dtype=np.int64)


def tired(count: int) -> OfferStates:
    """Return the people as if they had ignored a contact in each of so many weeks."""
    states = people()
    values = states.values.copy()
    for name in ("offers", "ignored"):
        values[:, states.layout.history_slice(name)] = np.arange(4) < count
    return states.with_values(values)


def test_the_same_chance_is_the_same_week() -> None:
    first, again = (learned_world().step(people(), everybody(1), CHANCE) for _ in range(2))
    assert np.array_equal(first.states.values, again.states.values, equal_nan=True)
    other = learned_world().step(people(), everybody(1), CHANCE[::-1])
    assert not np.array_equal(first.states.values, other.states.values, equal_nan=True)


def test_contacts_tire() -> None:
    world = learned_world()
    rested, weary = (world.acceptance(tired(count), everybody(2)).mean() for count in (0, 4))
    assert weary < rested
    assert world.contacts["risk"].value > 2 * world.contacts["risk"].standard_error > 0

    def alive_after_ten_weeks(states: OfferStates) -> float:
        alive = np.ones(500)
        for week in range(10):
            chance = np.random.default_rng(week).random((500, DRAWS))
            done = world.step(states, everybody(0), chance)
            alive, states = alive * (1 - done.leave_chance), done.states
        return float(alive.mean())

    assert alive_after_ten_weeks(tired(4)) < alive_after_ten_weeks(tired(0)) - 0.003


def test_history_levels_and_clocks_move() -> None:
    before = people()
    done = learned_world().follow(before, everybody(1), CHANCE[:, 0] < 0.5, CHANCE)
    after = done.states
    assert (after.weeks_of("offers")[:, 0] == 1).all()
    assert np.array_equal(after.weeks_of("ignored")[:, 0], ~done.is_accepted)
    assert (after.column("tenure_days") == np.minimum(before.column("tenure_days") + 7, 3650)).all()
    unknown = np.isnan(before.column("topup_usual_usd"))
    assert unknown.any()
    assert np.array_equal(np.isnan(after.column("topup_usual_usd")), unknown)
    assert (np.nan_to_num(after.column("usage_mb_day")) >= 0).all()
    assert ((done.leave_chance >= 0) & (done.leave_chance <= 1)).all()


def test_an_accepted_offer_brings_its_margin() -> None:
    world, nobody = learned_world(), np.zeros(500, dtype=bool)
    position = [choice.name for choice in world.choices].index("data_l -25%")
    bought = world.follow(people(), everybody(position), ~nobody, CHANCE)
    ignored = world.follow(people(), everybody(position), nobody, CHANCE)
    gained = (bought.margin_usd - ignored.margin_usd).mean()
    assert gained < world.choices[position].net_margin_usd  # some would have bought anyway
    assert gained > 0.5 * world.choices[position].net_margin_usd
    assert world.acceptance(people(), everybody(0)).max() == 0


def test_unknown_levels_are_no_obstacle() -> None:
    values = people().values.copy()
    values[:, :9] = np.nan
    done = learned_world().step(people().with_values(values), everybody(3), CHANCE)
    assert np.isfinite(done.margin_usd).all()
    assert np.isfinite(done.leave_chance).all()
    assert np.isnan(done.states.values[:, :9]).all()


def test_rules_of_the_catalogue_are_found_again() -> None:
    log = campaign_log()
    found = learned_world().find_eligible(log.states)
    assert (found == log.eligible).mean() > 0.99
    assert not log.eligible.all()


def test_halves_share_no_customer() -> None:
    first, second = split_customers(campaign_log(), 3)
    assert not np.isin(first.states.customers, second.states.customers).any()
    assert first.rows + second.rows == campaign_log().rows
    assert abs(first.rows - second.rows) < 0.05 * campaign_log().rows


def test_too_little_to_learn_from_is_refused() -> None:
    log = campaign_log()
    with pytest.raises(DecisionDataError, match="0 contacts"):
        fit_simulator(log.take(log.actions == 0))
    with pytest.raises(DecisionDataError, match="0 person-weeks of people who stayed"):
        fit_simulator(replace(log, is_churned=np.ones(log.rows, dtype=bool)))


def test_one_offer_that_nobody_takes_and_nobody_who_leaves_can_be_learned() -> None:
    log = campaign_log().take(np.flatnonzero(campaign_log().actions <= 1))
    nobody = np.zeros(log.rows, dtype=bool)
    world = fit_simulator(replace(log, is_accepted=nobody, is_churned=nobody))
    done = world.step(people(), everybody(1), CHANCE)
    assert not done.is_accepted.any()
    assert not done.leave_chance.any()


def test_a_stored_simulator_is_the_same(tmp_path: Path) -> None:
    identity = save_simulator(tmp_path / "world", learned_world(), {"segment": "cl"})
    loaded = load_simulator(tmp_path / "world", identity)
    ours, theirs = (one.step(people(), everybody(4), CHANCE) for one in (learned_world(), loaded))
    assert np.array_equal(ours.states.values, theirs.states.values, equal_nan=True)
    assert np.array_equal(ours.leave_chance, theirs.leave_chance)
    assert np.array_equal(ours.margin_usd, theirs.margin_usd)
    (tmp_path / "world" / "surprises.npy").write_bytes(b"changed")
    with pytest.raises(ModelIntegrityError, match="SHA-256"):
        load_simulator(tmp_path / "world", identity)
