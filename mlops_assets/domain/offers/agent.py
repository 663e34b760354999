"""Fitted value iteration in a learned world: what an offer is worth over the whole horizon.

Belongs here: the table of successors, the iteration, advantages and their distillation. Does not belong here: the world
(simulator.py), the simpler policies' definitions (ladder.py).

Q(s, a) is an expectation over answer and survival; what else is random is drawn once and is the same for every action
(common random numbers). The contact cap is part of the state (its history) and of the mask.

What a contact costs later is small beside what people are worth, and trees that fit the value of people would not see
it. So the value has two parts: V(s) = value of the person with a clean history + what the history changes, the latter
learned from differences between the same person with different histories.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.decision_data import (
    CLOCK_BOUNDS,
    HISTORY_WEEKS,
    NO_ACTION,
    STEP_DAYS,
    OfferStates,
)
from mlops_assets.domain.offers.policy_value import Horizon
from mlops_assets.domain.offers.simulator import DRAWS, Simulator, find_allowed
from mlops_assets.domain.offers.state_design import (
    FATIGUE_COLUMNS,
    build_design,
    design_columns,
    without_contacts,
)
from mlops_assets.domain.offers.tree_models import (
    LearnedRows,
    Rows,
    TreeModel,
    TreeSettings,
    constant_model,
    hold_rows,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

_ROUNDS_A_HISTORY = 3
# Weeks since an ignored contact in the imagined histories; None: a clean one.
_CONTACT_AGES = (0, 1, 2, 3, None)


@dataclass(frozen=True)
class IterationSettings:
    """How values are iterated: rounds, draws of chance for each state, horizon, threads."""

    iterations: int = 40
    draws: int = 2
    horizon: Horizon = field(default_factory=Horizon)
    threads: int = 1


@dataclass(frozen=True, eq=False)
class _Successors:
    """One outcome in every state: reward, survival, and what the two parts of the value read of the state after it."""

    reward_usd: Floats
    survival: Floats
    clean: Rows
    full: Rows


@dataclass(frozen=True, eq=False)
class _Group:
    """Choices of the same states: plans and their discounts; `rows` is a mask of the offered states."""

    positions: tuple[int, ...]
    rows: Mask
    design: Rows
    learned: LearnedRows


@dataclass(frozen=True, eq=False)
class OutcomeValues:
    """What outcomes are worth, float64 in US dollars.

    Attributes:
        quiet: [states].
        ignored: [offered].
        accepted: by plan code [offered], at list price.
    """

    quiet: Floats
    ignored: Floats
    accepted: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class SuccessorTable:
    """What can follow from each state: a few draws of chance, and for each of them every outcome.

    Attributes:
        states: people with several histories each; those of one person are `people` rows apart, the clean one last.
        people: number of different people.
        allowed: bool [states x choices], by eligibility and contact cap.
        offered: int64 [offered], the states in which anything may be offered; nobody asks what offers do in others.
        acceptance: float64 [offered x choices].
        quiet: no offer, one a draw.
        ignored: an offer that is not accepted, in offered states.
        accepted: by plan code, an offer at list price that is, in offered states.
        contact_cost_usd: of a contact.
    """

    simulator: Simulator
    states: OfferStates
    people: int
    allowed: Mask
    offered: NDArray[np.int64]
    acceptance: Floats
    quiet: tuple[_Successors, ...]
    ignored: tuple[_Successors, ...]
    accepted: Mapping[str, tuple[_Successors, ...]]
    contact_cost_usd: float

    def action_values(self, values: ValueModel | None, weekly_discount: float) -> Floats:
        """Return Q, float64 [states x choices] in US dollars; without a value model that of the week alone.

        Where nothing may be offered, every choice is worth what no offer is.
        """
        return self.weigh(self.outcome_values(values, weekly_discount))

    def outcome_values(
        self, values: ValueModel | None, weekly_discount: float, threads: int = 1
    ) -> OutcomeValues:
        """Return what the outcomes are worth; without a value model in the week alone."""
        drawn = (self.quiet, self.ignored, *self.accepted.values())
        with ThreadPoolExecutor(threads) as pool:
            quiet, ignored, *accepted = pool.map(
                partial(_find_mean, values=values, weekly_discount=weekly_discount), drawn
            )
        return OutcomeValues(quiet, ignored, dict(zip(self.accepted, accepted, strict=True)))

    def weigh(self, outcomes: OutcomeValues) -> Floats:
        """Return float64 [states x choices] in US dollars: the outcomes of each choice by their chances, less costs."""
        found = np.tile(outcomes.quiet[:, None], (1, len(self.simulator.choices)))
        for position, choice in enumerate(self.simulator.choices):
            if position != NO_ACTION:
                chance = self.acceptance[:, position]
                accepted = outcomes.accepted[choice.plan_code] - choice.discount_usd
                answered = chance * accepted + (1 - chance) * outcomes.ignored
                found[self.offered, position] = answered - self.contact_cost_usd
        return found

    @cached_property
    def groups(self) -> tuple[_Group, ...]:
        """Return all choices but `no_offer`, those that the same states may make together."""
        positions: dict[bytes, list[int]] = {}
        for position in range(1, len(self.simulator.choices)):
            positions.setdefault(self.allowed[:, position].tobytes(), []).append(position)
        return tuple(
            self._group(tuple(found), self.allowed[self.offered, found[0]]) for found in positions.values()
        )

    @cached_property
    def everything(self) -> _Group:
        """Return all offered states, and no choice."""
        return self._group((), np.ones(len(self.offered), dtype=bool))

    def _group(self, positions: tuple[int, ...], rows: Mask) -> _Group:
        design = build_design(self.states.take(self.offered[rows]))
        return _Group(positions, rows, hold_rows(design), LearnedRows(design))


def _find_mean(drawn: tuple[_Successors, ...], values: ValueModel | None, weekly_discount: float) -> Floats:
    """Return the mean value of an outcome over the draws."""
    total = np.zeros(len(drawn[0].reward_usd))
    for one in drawn:
        total += one.reward_usd
        if values is not None:
            total += weekly_discount * one.survival * values.predict(one.clean, one.full)
    return total / len(drawn)


@dataclass(frozen=True, eq=False)
class ValueModel:
    """V(s): of the person with a clean history, and the change that the history makes."""

    clean: TreeModel
    history: TreeModel

    def predict(self, clean: Rows, full: Rows) -> Floats:
        """Return float64 [rows] in US dollars."""
        return self.clean.predict(clean) + self.history.predict(full)


def imagine_histories(states: OfferStates) -> OfferStates:
    """Return the people with one ignored contact, so many weeks ago, and with a clean history, one after the other."""
    offers, ignored = states.layout.history_slice("offers"), states.layout.history_slice("ignored")
    since = states.layout.index("days_since_offer")
    parts = []
    for age in _CONTACT_AGES:
        values = states.values.copy()
        values[:, offers] = values[:, ignored] = np.arange(HISTORY_WEEKS) == (-1 if age is None else age)
        days = CLOCK_BOUNDS["days_since_offer"][1] if age is None else STEP_DAYS * (age + 0.5)
        values[:, since] = days
        parts.append(values)
    return OfferStates(states.layout, np.vstack(parts), np.tile(states.customers, len(parts)))


def build_successors(
    simulator: Simulator, people: OfferStates, cap: ContactPolicy, settings: IterationSettings
) -> SuccessorTable:
    """Draw what can follow from the states of some people.

    Args:
        simulator: the world to learn in.
        people: states to iterate values for.
        cap: contact policy.
        settings: number of draws, contact cost, seed.
    """
    states = imagine_histories(people)
    copies = states.rows // max(people.rows, 1)
    allowed = find_allowed(simulator, states, cap)
    offered = np.flatnonzero(allowed[:, NO_ACTION + 1 :].any(axis=1))
    asked = states.take(offered)
    first_of: dict[str, int] = {}
    for position, choice in enumerate(simulator.choices):
        if position != NO_ACTION:
            first_of.setdefault(choice.plan_code, position)
    chances = [
        np.tile(
            np.random.default_rng([settings.horizon.seed, 2, draw]).random((people.rows, DRAWS)), (copies, 1)
        )
        for draw in range(settings.draws)
    ]

    def follow(action: int, *, is_accepted: bool) -> tuple[_Successors, ...]:
        discount = simulator.choices[action].discount_usd if is_accepted else 0.0
        return tuple(
            _follow(simulator, asked, action, chance[offered], discount, is_accepted=is_accepted)
            for chance in chances
        )

    any_offer = min(first_of.values(), default=NO_ACTION)
    return SuccessorTable(
        simulator=simulator,
        states=states,
        people=people.rows,
        allowed=allowed,
        offered=offered,
        acceptance=simulator.acceptance_of_all(asked),
        quiet=tuple(_follow(simulator, states, NO_ACTION, chance) for chance in chances),
        ignored=follow(any_offer, is_accepted=False),
        accepted={code: follow(position, is_accepted=True) for code, position in first_of.items()},
        contact_cost_usd=settings.horizon.contact_cost_usd,
    )


def _follow(
    simulator: Simulator,
    states: OfferStates,
    action: int,
    chance: Floats,
    discount_usd: float = 0.0,
    *,
    is_accepted: bool = False,
) -> _Successors:
    """Let a week pass in which everybody is offered the same and answers the same; a discount is given back."""
    actions, answers = np.full(states.rows, action, dtype=np.int64), np.full(states.rows, is_accepted)
    done = simulator.follow(states, actions, answers, chance)
    full = build_design(done.states)
    clean = without_contacts(full, states.layout)
    # Every round of the iteration asks about them again.
    held = (hold_rows(one) for one in (clean, full))
    return _Successors(done.margin_usd + discount_usd, 1 - done.leave_chance, *held)


def iterate_values(table: SuccessorTable, settings: IterationSettings) -> ValueModel:
    """Return the value of states under the best allowed actions, after some rounds of fitted value iteration."""
    horizon, layout = settings.horizon, table.states.layout
    full = build_design(table.states)
    clean = without_contacts(full[-table.people :], layout)
    signs = tuple(-1 if name in FATIGUE_COLUMNS else 0 for name in design_columns(layout))
    of_people = TreeSettings(80, 4, 0.2, seed=horizon.seed)  # threads of their own slow models this small
    of_history = TreeSettings(40, 3, 0.3, monotone=signs, seed=horizon.seed)
    values, chosen = _start_values(table, settings), np.zeros(table.states.rows, dtype=np.int64)
    people_rows, history_rows = LearnedRows(clean), LearnedRows(full)
    for iteration in range(settings.iterations):
        outcomes = table.outcome_values(values, horizon.weekly_discount, settings.threads)
        # Choices and history settle much sooner than the value of people.
        is_round = iteration % _ROUNDS_A_HISTORY == 0
        if is_round:
            chosen = _choose_actions(table, outcomes, settings)
        best = table.weigh(outcomes)[np.arange(len(chosen)), chosen]
        of_clean = best[-table.people :]
        change = (best.reshape(-1, table.people) - of_clean).ravel()
        history = values.history
        if is_round:
            history = history_rows.fit_mean(change, of_history)
        values = ValueModel(people_rows.fit_mean(of_clean, of_people), history)
    return values


def _choose_actions(
    table: SuccessorTable, outcomes: OutcomeValues, settings: IterationSettings
) -> NDArray[np.int64]:
    """Return int64 [states], the best allowed action by smoothed values.

    The best of many noisy values is too good to be true, and an agent that believes in it waits for offers that never
    come (van Hasselt 2010): so the choice is made as a distilled policy makes it, by what is learned of the values, and
    valued as it is. Chances of acceptance are learned already; what is noisy is what an outcome adds to a quiet week.
    """
    smooth = table.weigh(_smooth_outcomes(table, outcomes, settings))
    return np.asarray(np.where(table.allowed, smooth, -np.inf).argmax(axis=1))


def _smooth_outcomes(
    table: SuccessorTable, outcomes: OutcomeValues, settings: IterationSettings
) -> OutcomeValues:
    """Return what outcomes are worth beyond a quiet week, as small models see it; 0 where nothing may be offered."""
    size = TreeSettings(30, 4, 0.3, seed=settings.horizon.seed)
    gained = {code: found - outcomes.quiet[table.offered] for code, found in outcomes.accepted.items()}

    def smooth(group: _Group, values: Floats) -> Floats:
        found = np.zeros(len(values))
        found[group.rows] = group.learned.fit_mean(values[group.rows], size).predict(group.design)
        return found

    def smooth_plans(group: _Group) -> list[tuple[str, Floats]]:
        codes = {table.simulator.choices[position].plan_code for position in group.positions}
        return [(code, smooth(group, gained[code])) for code in sorted(codes)]

    with ThreadPoolExecutor(settings.threads) as pool:
        accepted = dict(chain.from_iterable(pool.map(smooth_plans, table.groups)))
    ignored = smooth(table.everything, outcomes.ignored - outcomes.quiet[table.offered])
    return OutcomeValues(np.zeros(table.states.rows), ignored, accepted)


def _start_values(table: SuccessorTable, settings: IterationSettings) -> ValueModel:
    """Return the value of the weeks beyond those iterated: the same for everybody, an annuity of no offers."""
    reward = np.mean([one.reward_usd.mean() for one in table.quiet])
    keeps = settings.horizon.weekly_discount * np.mean([one.survival.mean() for one in table.quiet])
    weeks = max(settings.horizon.weeks - settings.iterations, 0)
    annuity = float(reward * (1 - keeps**weeks) / (1 - keeps)) if keeps < 1 else float(reward * weeks)
    return ValueModel(constant_model("mean", [annuity]), constant_model("mean", [0.0]))


def distil_advantages(
    table: SuccessorTable, advantages: Floats, settings: TreeSettings
) -> tuple[TreeModel, ...]:
    """Learn one small model a choice.

    Args:
        table: whose states the advantages are of; only those where the choice may be made are learned from.
        advantages: float64 [states x choices] in US dollars.
        settings: size, seed, threads.
    """
    one_thread = replace(settings, threads=1)  # models this small gain nothing from threads of their own
    offered = advantages[table.offered]

    def distil(group: _Group) -> list[tuple[int, TreeModel]]:
        return [
            (position, group.learned.fit_mean(offered[group.rows, position], one_thread))
            for position in group.positions
        ]

    with ThreadPoolExecutor(settings.threads) as pool:
        models = dict(chain.from_iterable(pool.map(distil, table.groups)))
    return (constant_model("mean", [0.0]), *(models[one] for one in range(1, advantages.shape[1])))
