"""The best that could be known about offers: value iteration with hidden traits and the true laws of the offer world.

Belongs here: the true world behind the interface of a learned simulator. Does not belong here: any benchmark. It is an
upper reference for regret, not the optimum: it is fitted with the same trees as the agent, on hidden traits instead of
proxies and on true weeks instead of learned ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.decision_data import HISTORIES, HISTORY_WEEKS, OfferStates, StateLayout
from mlops_assets.domain.offers.ladder import build_ladder
from mlops_assets.domain.offers.offers_spec import OfferAgentSpec
from mlops_assets.domain.offers.policies import decide
from mlops_assets.domain.offers.simulator import SimulatedWeek
from mlops_assets.sandbox.offer_people import OfferPeople, OfferWorld
from mlops_assets.sandbox.offer_week import WeekChance, find_acceptance, live_week
from mlops_assets.sandbox.offer_world import Decider, find_eligible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_HIDDEN = (
    "wanted", "data_mb", "topup_usd", "price_z", "loyalty_z", "receptivity_z", "plan", "allowance_mb",
    "balance_usd", "decline_weeks", "decline_depth",
)  # fmt: skip
_CLOCKS = ("days_left", "tenure_days", "days_since_offer")
_LAYOUT = StateLayout(_HIDDEN)
_UNIFORMS, _NORMALS = 10, 4


@dataclass(frozen=True, eq=False)
class TrueWorld:
    """What value iteration asks of a simulator, answered by the true laws; `pattern` has columns that do not matter."""

    world: OfferWorld
    pattern: OfferPeople

    @property
    def choices(self) -> Any:
        """Offers."""
        return self.world.choices

    def find_eligible(self, states: OfferStates) -> NDArray[np.bool_]:
        """Return bool [people x choices]."""
        return find_eligible(self.world, self._decode(states))

    def acceptance_of_all(self, states: OfferStates) -> Floats:
        """Return the true P(accepted), float64 [people x choices]."""
        people, count = self._decode(states), len(self.choices)
        columns = [find_acceptance(self.world, people, np.full(people.rows, a)) for a in range(count)]
        return np.column_stack(columns)

    def follow(self, states: OfferStates, actions: Any, accepted: Any, chance: Floats) -> SimulatedWeek:
        """Let a true week pass in which the answers are given."""
        done = live_week(self.world, self._decode(states), actions, _expand(chance), accepted=accepted)
        # Leaving is an expectation: those who left go on as if they had not, with the weight of those who stay.
        return SimulatedWeek(
            encode(done.people), done.is_accepted, done.organic_plan, done.margin_usd, done.leave_chance
        )

    def _decode(self, states: OfferStates) -> OfferPeople:
        rows = states.rows
        people = self.pattern.take(np.zeros(rows, dtype=np.int64))
        known = {name: states.column(name).astype(np.float64) for name in _HIDDEN}
        known |= {name: known[name].astype(np.int64) for name in ("wanted", "plan")}
        clocks = zip(_CLOCKS, ("days_to_expiry", "tenure_days", "days_since_offer"), strict=True)
        known |= {ours: states.column(theirs).astype(np.float64) for ours, theirs in clocks}
        history = states.values[:, -len(HISTORIES) * HISTORY_WEEKS :].reshape(
            rows, len(HISTORIES), HISTORY_WEEKS
        )
        return replace(
            people, **known, history=history.astype(np.float64), fatigue=self._remember(history),
            is_active=np.ones(rows, dtype=bool),
        )  # fmt: skip

    def _remember(self, history: NDArray[Any]) -> Floats:
        """Return the fatigue of four weeks of contacts; what is older has faded to an eighth."""
        it = self.world.behaviour.campaign
        offers, ignored = history[:, HISTORIES.index("offers")], history[:, HISTORIES.index("ignored")]
        adds = it.ignored_adds * ignored + it.accepted_adds * (offers - ignored)
        return adds @ it.fatigue_decay_per_day ** (4 + 7 * np.arange(HISTORY_WEEKS))


def encode(people: OfferPeople) -> OfferStates:
    """Return people as states whose levels are the hidden truth."""
    columns = [getattr(people, name) for name in (*_HIDDEN, *_CLOCKS)]
    flat = people.history.reshape(people.rows, -1)
    return OfferStates(_LAYOUT, np.column_stack([*columns, flat]).astype(np.float32), people.number)


def follow_oracle(
    world: OfferWorld, people: OfferPeople, cap: ContactPolicy, spec: OfferAgentSpec
) -> Decider:
    """Learn the agent's rung on hidden traits in the true world, and return its decider."""
    truth = TrueWorld(world, people.take(np.zeros(1, dtype=np.int64)))
    policy = build_ladder(truth, encode(people), cap, spec)["agent"]  # type: ignore[arg-type]
    return lambda here, _states, allowed, _uniform: decide(policy, encode(here), allowed)


def _expand(chance: Floats) -> WeekChance:
    """Return more draws of each row's four uniforms, the same for the same row."""
    steps = np.arange(1, _UNIFORMS + 2 * _NORMALS + 1)
    mixed = (
        chance[:, [1]] * 7919.31 * steps + chance[:, [2]] * 104729.7 / steps + chance[:, [3]] * 1299.83
    ) % 1.0
    uniform, rest = mixed[:, :_UNIFORMS], np.clip(mixed[:, _UNIFORMS:], 1e-9, 1 - 1e-9)
    radius = np.sqrt(-2 * np.log(rest[:, :_NORMALS]))
    return WeekChance(uniform, radius * np.cos(2 * np.pi * rest[:, _NORMALS:]))


assert {*_HIDDEN, *_CLOCKS} <= {one.name for one in fields(OfferPeople)}
