"""A learned world of people and offers: a week forward, for thousands of people at once.

Belongs here: what happens in a week of that world, by models that simulator_fit.py has fitted. Does not belong here:
fitting, files (simulator_bundle.py), whether it may be trusted (simulator_check.py, simulator_support.py).

A week: an offer is accepted or not; something is bought without an offer or not; the person stays or leaves, where a
contact can only do harm; levels move by the mean the models expect plus a surprise that somebody in a similar place
once met, all levels together; clocks and history move by arithmetic, the expiry with such a surprise of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.contact_cap import find_contactable
from mlops_assets.domain.offers.contact_effect import Effect
from mlops_assets.domain.offers.decision_data import (
    CLOCK_BOUNDS,
    NO_ACTION,
    OfferAction,
    OfferStates,
    StateLayout,
    advance_clocks,
)
from mlops_assets.domain.offers.state_design import (
    build_design,
    describe_actions,
    remember_contacts,
    without_contacts,
)
from mlops_assets.domain.offers.tree_models import Rows, TreeModel, count_rows, hold_rows, shift_odds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

DRAWS = 4  # uniforms a person and week: answer, purchase, which plan, surprise
RISKIEST_SHARE = 0.1
_TOP_SHARE, _MOST_TILTED = 1 - 1e-9, 0.5


@dataclass(frozen=True, eq=False)
class SimulatedWeek:
    """What a week brings.

    Attributes:
        states: a week later, as of those who stayed.
        is_accepted: bool [people].
        organic_plan: int64 [people], as in Transitions.
        margin_usd: float64 [people], all purchases of the week less discounts, without contact cost.
        leave_chance: float64 [people].
    """

    states: OfferStates
    is_accepted: Mask
    organic_plan: Ints
    margin_usd: Floats
    leave_chance: Floats


@dataclass(frozen=True, eq=False)
class LevelMoves:
    """How levels and the expiry move, on the scale asinh(level / scale).

    Attributes:
        mean: expected change of each target, `targets` = levels and then the expiry's slip in days.
        place: one tree; who sits in the same leaf meets the same surprises.
        surprises: float32 [leaves x kept x targets], residuals met in each leaf by people without
            remembered contacts, those that add most to the risk of leaving first.
        risk_gap: float64 [leaves], what the riskiest tenth of them adds to the risk of leaving soon.
        missing_risk: float64 [leaves], risk of leaving soon that the mean and the surprises alone would lack.
        scales: float64 [levels].
        lowest, highest: float64 [levels], bounds of what was seen.
    """

    mean: TreeModel
    place: TreeModel
    surprises: NDArray[np.float32]
    risk_gap: Floats
    missing_risk: Floats
    scales: Floats
    lowest: Floats
    highest: Floats


@dataclass(frozen=True, eq=False)
class Simulator:
    """A learned world.

    Attributes:
        layout: of its states.
        choices: offers, `no_offer` first.
        plans: what is bought without an offer.
        models: `acceptance`, `organic`, `organic_beside` (an accepted offer), `plan`, `churn`.
        eligibility: model of P(eligible) by plan code; plans that are missing are for everybody.
        moves: of levels.
        contacts: effects of a remembered contact: `acceptance` and `leaving` on log-odds, `risk` on the mean risk of
            leaving soon, as the state a week later has it.
        extra_margin_usd: float64 [2 x 2], margin beyond the known purchases: accepted (no, yes) x organic (no, yes).
    """

    layout: StateLayout
    choices: tuple[OfferAction, ...]
    plans: tuple[OfferAction, ...]
    models: Mapping[str, TreeModel]
    eligibility: Mapping[str, TreeModel]
    moves: LevelMoves
    contacts: Mapping[str, Effect]
    extra_margin_usd: Floats

    def find_eligible(self, states: OfferStates) -> Mask:
        """Return bool [people x choices] as the catalogue's rules would say."""
        found = np.ones((states.rows, len(self.choices)), dtype=bool)
        if not self.eligibility:
            return found
        design = hold_rows(self._rest(build_design(states)))
        of_plan = {code: model.predict(design) > 0.5 for code, model in self.eligibility.items()}
        for position, choice in enumerate(self.choices):
            if choice.plan_code in of_plan:
                found[:, position] = of_plan[choice.plan_code]
        return found

    def acceptance(self, states: OfferStates, actions: Ints) -> Floats:
        """Return float64 [people], P(accepted) of each person's action; 0 without an offer."""
        chances, asked = np.zeros(states.rows), np.flatnonzero(actions != NO_ACTION)
        if len(asked):
            people = states.take(asked)
            known = np.hstack([self._rest(build_design(people)), self._described[actions[asked]]])
            fatigue = self.contacts["acceptance"].value * remember_contacts(people)
            chances[asked] = shift_odds(self.models["acceptance"].predict(known), fatigue)
        return chances

    def acceptance_of_all(self, states: OfferStates) -> Floats:
        """Return float64 [people x choices], P(accepted) of every offer; 0 for no offer."""
        design, chances = self._rest(build_design(states)), np.zeros((states.rows, len(self.choices)))
        fatigue = self.contacts["acceptance"].value * remember_contacts(states)
        for position in range(1, len(self.choices)):
            known = np.broadcast_to(self._described[position], (states.rows, self._described.shape[1]))
            fresh = self.models["acceptance"].predict(np.hstack([design, known]))
            chances[:, position] = shift_odds(fresh, fatigue)
        return chances

    def step(self, states: OfferStates, actions: Ints, chance: Floats) -> SimulatedWeek:
        """Let a week pass; `chance` are uniforms float64 [people x DRAWS]."""
        accepted = chance[:, 0] < self.acceptance(states, actions)
        return self.follow(states, actions, accepted, chance)

    def follow(self, states: OfferStates, actions: Ints, accepted: Mask, chance: Floats) -> SimulatedWeek:
        """Let a week pass in which the answers are given.

        Args:
            states: at the start of the week.
            actions: int64 [people], positions in `choices`.
            accepted: bool [people]; must be false where there is no offer.
            chance: uniforms, float64 [people x DRAWS].
        """
        design = self._rest(build_design(states))
        organic = self._draw_organic(design, actions, accepted, chance)
        moved = advance_week(states, self.choices, self.plans, actions, accepted, organic)
        advanced, memory = hold_rows(self._rest(build_design(moved))), remember_contacts(moved)
        leave = shift_odds(self.models["churn"].predict(advanced), self.contacts["leaving"].value * memory)
        net = np.array([choice.net_margin_usd for choice in self.choices])
        margins = np.array([0.0, *(plan.margin_usd for plan in self.plans)])
        extra = self.extra_margin_usd[accepted.astype(int), (organic > 0).astype(int)]
        later = moved.with_values(self.move_levels(states, moved, advanced, memory, chance[:, 3]))
        return SimulatedWeek(
            later, accepted, organic, accepted * net[actions] + margins[organic] + extra, leave
        )

    def _rest(self, design: NDArray[np.float32]) -> NDArray[np.float32]:
        return without_contacts(design, self.layout)

    @cached_property
    def _described(self) -> NDArray[np.float32]:
        return describe_actions(self.choices)

    def _draw_organic(
        self, design: NDArray[np.float32], actions: Ints, accepted: Mask, chance: Floats
    ) -> Ints:
        buys = chance[:, 1] < self.models["organic"].predict(design)
        if accepted.any():
            beside = np.hstack([design[accepted], self._described[actions[accepted]]])
            buys[accepted] = chance[accepted, 1] < self.models["organic_beside"].predict(beside)
        organic, who = np.zeros(len(design), dtype=np.int64), np.flatnonzero(buys)
        if len(who):
            shares = self.models["plan"].predict(design[who]).cumsum(axis=1)
            drawn = np.minimum(chance[who, 2], _TOP_SHARE)[:, None] * shares[:, -1:]
            organic[who] = 1 + (shares > drawn).argmax(axis=1)
        return organic

    def move_levels(
        self,
        before: OfferStates,
        moved: OfferStates,
        advanced: Rows,
        memory: Floats,
        uniform: Floats,
    ) -> NDArray[np.float32]:
        """Return state values a week later.

        Args:
            before: at the start of the week.
            moved: with clocks and history of the week.
            advanced: design of these without contacts, float32 [people x columns].
            memory: float64 [people], remembered contacts.
            uniform: float64 [people], draws of the surprise.
        """
        moves, count = self.moves, len(self.layout.levels)
        added = self.contacts["risk"].value * memory
        change = moves.mean.predict(advanced) + draw_surprises(moves, advanced, added, uniform)
        values = moved.values.copy()
        levels = np.arcsinh(before.values[:, :count] / moves.scales) + change[:, :count]
        # An unknown level stays unknown: its NaN goes through.
        values[:, :count] = np.clip(np.sinh(levels) * moves.scales, moves.lowest, moves.highest)
        expiry = self.layout.index("days_to_expiry")
        slipped = np.rint(values[:, expiry] + change[:, count])
        values[:, expiry] = np.clip(slipped, *CLOCK_BOUNDS["days_to_expiry"])
        return np.asarray(values)


def find_allowed(simulator: Simulator, states: OfferStates, cap: ContactPolicy) -> Mask:
    """Return bool [people x choices]: eligible and contactable; `no_offer` always.

    Eligibility is asked for only of those who may be contacted, which are few where people are contacted.
    """
    allowed = np.zeros((states.rows, len(simulator.choices)), dtype=bool)
    allowed[:, NO_ACTION] = True
    asked = np.flatnonzero(find_contactable(states, cap))
    if len(asked):
        allowed[asked] |= simulator.find_eligible(states.take(asked))
    return allowed


def draw_surprises(moves: LevelMoves, advanced: Rows, added_risk: Floats, uniform: Floats) -> Floats:
    """Return float64 [people x targets], what somebody in the same leaf once met.

    With added risk, the riskiest tenth is drawn from so much more often that the mean risk rises by it; with less, less
    often.
    """
    leaves, kept = find_leaves(moves.place, advanced), moves.surprises.shape[1]
    gap = moves.risk_gap[leaves]
    wanted = added_risk + moves.missing_risk[leaves]
    tilt = np.divide(wanted, gap, out=np.zeros(len(gap)), where=gap > 0)
    share, left_out = np.clip(tilt, 0, _MOST_TILTED), np.clip(-tilt, 0, RISKIEST_SHARE)
    drawn = np.minimum(uniform, _TOP_SHARE)
    is_bad = drawn < share
    inside_bad = np.divide(drawn, share, out=np.zeros(len(share)), where=share > 0) * RISKIEST_SHARE
    place = np.where(is_bad, inside_bad, left_out + (1 - left_out) * (drawn - share) / (1 - share))
    return np.asarray(moves.surprises[leaves, (place * kept).astype(int)], dtype=np.float64)


def find_leaves(place: TreeModel, design: Rows) -> Ints:
    """Return int64 [rows], leaf of the one tree; 0 where there is no tree."""
    rows = count_rows(design)
    if place.booster is None or rows == 0:
        return np.zeros(rows, dtype=np.int64)
    return np.asarray(place.booster.calc_leaf_indexes(design), dtype=np.int64).reshape(rows, -1)[:, 0]


def advance_week(
    states: OfferStates,
    choices: tuple[OfferAction, ...],
    plans: tuple[OfferAction, ...],
    actions: Ints,
    accepted: Mask,
    organic: Ints,
) -> OfferStates:
    """Return the states with the clocks and history of a week's events, levels as they were.

    Args:
        states: at the start of the week.
        choices: offers.
        plans: what is bought without an offer.
        actions: int64 [people], positions in `choices`.
        accepted: bool [people].
        organic: int64 [people], 0 for none, else 1 + position in `plans`.
    """
    is_offered_booster = np.array([choice.is_booster for choice in choices])[actions]
    validity = np.array([0 if c.is_booster else c.validity_days for c in choices])[actions]
    is_booster = np.array([False, *(plan.is_booster for plan in plans)])[organic]
    days = np.array([0, *(0 if p.is_booster else p.validity_days for p in plans)])[organic]
    values = advance_clocks(
        states,
        contacted=actions != NO_ACTION,
        accepted=accepted,
        plans_bought=(accepted & ~is_offered_booster).astype(int) + ((organic > 0) & ~is_booster),
        boosters_bought=(accepted & is_offered_booster).astype(int) + is_booster,
        validity_days=np.maximum(np.where(accepted, validity, 0), days),
    )
    return states.with_values(values)
