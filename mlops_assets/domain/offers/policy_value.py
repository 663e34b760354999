"""What a policy is worth in a simulator: people followed for many weeks.

Belongs here: following one policy. Does not belong here: comparing several (ladder.py).

Every policy meets the same people and the same chance (common random numbers). Leaving is taken as an expectation: a
person's later weeks count with the probability of still being a customer, so that intervals of differences are narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.decision_data import HISTORY_WEEKS, OfferStates
from mlops_assets.domain.offers.policies import DistilledPolicy, decide
from mlops_assets.domain.offers.simulator import DRAWS, Simulator, find_allowed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Horizon:
    """How policies are followed: weeks, discount from week to week, cost of a contact, seed of the chance."""

    weeks: int = 104
    weekly_discount: float = 0.99
    contact_cost_usd: float = 0.01
    seed: int = 7


@dataclass(frozen=True, eq=False)
class SimulatedValue:
    """What a policy does in a simulator.

    Attributes:
        totals_usd: float64 [people], discounted margin less contact cost.
        contact_rate: contacts a customer-week.
        contact_counts: float64 [HISTORY_WEEKS + 1], share of customer-weeks with so many contacts in the four weeks
            before.
        acceptance: accepted share of contacts.
        alive_share: expected share of customers at the end.
    """

    totals_usd: Floats
    contact_rate: float
    contact_counts: Floats
    acceptance: float
    alive_share: float

    @property
    def mean_usd(self) -> float:
        """Value per customer."""
        return float(self.totals_usd.mean())


def simulate_policy(
    simulator: Simulator, policy: DistilledPolicy, start: OfferStates, cap: ContactPolicy, horizon: Horizon
) -> SimulatedValue:
    """Follow a policy.

    Args:
        simulator: the world.
        policy: to follow, wherever the cap and eligibility allow.
        start: people.
        cap: contact policy.
        horizon: for how long, at what discount.
    """
    states, alive, totals = start, np.ones(start.rows), np.zeros(start.rows)
    counts, weeks, contacts, accepted = np.zeros(HISTORY_WEEKS + 1), 0.0, 0.0, 0.0
    for week in range(horizon.weeks):
        chance = np.random.default_rng([horizon.seed, week]).random((states.rows, DRAWS))
        allowed = find_allowed(simulator, states, cap)
        actions = decide(policy, states, allowed)
        seen = np.minimum(states.weeks_of("offers").sum(axis=1), HISTORY_WEEKS).astype(int)
        counts += np.bincount(seen, alive, HISTORY_WEEKS + 1)
        done = simulator.step(states, actions, chance)
        contacted = actions > 0
        gained = done.margin_usd - horizon.contact_cost_usd * contacted
        totals += horizon.weekly_discount**week * alive * gained
        weeks, contacts = weeks + float(alive.sum()), contacts + float(alive[contacted].sum())
        accepted += float(alive[done.is_accepted].sum())
        alive, states = alive * (1 - done.leave_chance), done.states
    return SimulatedValue(
        totals,
        contacts / max(weeks, 1e-9),
        counts / max(weeks, 1e-9),
        accepted / max(contacts, 1e-9),
        float(alive.mean()),
    )
