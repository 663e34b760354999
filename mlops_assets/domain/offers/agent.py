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
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.contact_cap import allow_actions
from mlops_assets.domain.offers.decision_data import (
    CLOCK_BOUNDS,
    HISTORY_WEEKS,
    NO_ACTION,
    STEP_DAYS,
    OfferStates,
)
from mlops_assets.domain.offers.policy_value import Horizon
from mlops_assets.domain.offers.simulator import DRAWS, Simulator
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
    """Choices that the same states may make: a plan and its discounts."""

    positions: tuple[int, ...]
    rows: Mask
    learned: LearnedRows


@dataclass(frozen=True, eq=False)
class SuccessorTable:
    """What can follow from each state: a few draws of chance, and for each of them every outcome.

    Attributes:
        states: people with several histories each; those of one person are `people` rows apart, the clean one last.
        people: number of different people.
        acceptance: float64 [states x choices].
        allowed: bool [states x choices], by eligibility and contact cap.
        quiet: no offer, one a draw.
        ignored: an offer that is not accepted.
        accepted: by plan code, an offer at list price that is.
        contact_cost_usd: of a contact.
    """

    simulator: Simulator
    states: OfferStates
    people: int
    acceptance: Floats
    allowed: Mask
    quiet: tuple[_Successors, ...]
    ignored: tuple[_Successors, ...]
    accepted: Mapping[str, tuple[_Successors, ...]]
    contact_cost_usd: float

    def action_values(self, values: ValueModel | None, weekly_discount: float) -> Floats:
        """Return Q, float64 [states x choices] in US dollars; without a value model that of the week alone."""
        quiet, ignored = (self._mean(one, values, weekly_discount) for one in (self.quiet, self.ignored))
        found = np.tile(quiet[:, None], (1, len(self.simulator.choices)))
        list_price = {code: self._mean(one, values, weekly_discount) for code, one in self.accepted.items()}
        for position, choice in enumerate(self.simulator.choices):
            if position != NO_ACTION:
                chance = self.acceptance[:, position]
                accepted = list_price[choice.plan_code] - choice.discount_usd
                answered = chance * accepted + (1 - chance) * ignored
                found[:, position] = answered - self.contact_cost_usd
        return found

    @cached_property
    def groups(self) -> tuple[_Group, ...]:
        """Return all choices but `no_offer`, those that the same states may make together."""
        positions: dict[bytes, list[int]] = {}
        for position in range(1, len(self.simulator.choices)):
            positions.setdefault(self.allowed[:, position].tobytes(), []).append(position)
        design = build_design(self.states)
        return tuple(
            _Group(tuple(found), rows, LearnedRows(design[rows]))
            for found in positions.values()
            for rows in (self.allowed[:, found[0]],)
        )

    @staticmethod
    def _mean(drawn: tuple[_Successors, ...], values: ValueModel | None, weekly_discount: float) -> Floats:
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
    nobody, everybody = np.zeros(states.rows, dtype=bool), np.ones(states.rows, dtype=bool)
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

    def follow(action: int, accepted: Mask) -> tuple[_Successors, ...]:
        actions = np.full(states.rows, action, dtype=np.int64)
        discount = simulator.choices[action].discount_usd if accepted.any() else 0.0
        return tuple(_follow(simulator, states, actions, accepted, chance, discount) for chance in chances)

    any_offer = min(first_of.values(), default=NO_ACTION)
    return SuccessorTable(
        simulator=simulator,
        states=states,
        people=people.rows,
        acceptance=simulator.acceptance_of_all(states),
        allowed=allow_actions(states, simulator.find_eligible(states), cap),
        quiet=follow(NO_ACTION, nobody),
        ignored=follow(any_offer, nobody),
        accepted={code: follow(position, everybody) for code, position in first_of.items()},
        contact_cost_usd=settings.horizon.contact_cost_usd,
    )


def _follow(
    simulator: Simulator,
    states: OfferStates,
    actions: NDArray[np.int64],
    accepted: Mask,
    chance: Floats,
    discount_usd: float,
) -> _Successors:
    done = simulator.follow(states, actions, accepted, chance)
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
    of_people = TreeSettings(80, 4, 0.2, seed=horizon.seed, threads=settings.threads)
    of_history = TreeSettings(40, 3, 0.3, monotone=signs, seed=horizon.seed, threads=settings.threads)
    values, chosen = _start_values(table, settings), np.zeros(table.states.rows, dtype=np.int64)
    people_rows, history_rows = LearnedRows(clean), LearnedRows(full)
    for iteration in range(settings.iterations):
        found = table.action_values(values, horizon.weekly_discount)
        # Choices and history settle much sooner than the value of people.
        is_round = iteration % _ROUNDS_A_HISTORY == 0
        if is_round:
            chosen = _choose_actions(table, found, settings)
        best = found[np.arange(len(found)), chosen]
        of_clean = best[-table.people :]
        change = (best.reshape(-1, table.people) - of_clean).ravel()
        history = values.history
        if is_round:
            history = history_rows.fit_mean(change, of_history)
        values = ValueModel(people_rows.fit_mean(of_clean, of_people), history)
    return values


def _choose_actions(
    table: SuccessorTable, action_values: Floats, settings: IterationSettings
) -> NDArray[np.int64]:
    """Return int64 [states], the best allowed action by smoothed advantages.

    The best of many noisy values is too good to be true, and an agent that believes in it waits for offers that never
    come (van Hasselt 2010): so the choice is made as the distilled policy makes it, and valued as it is.
    """
    advantages = action_values - action_values[:, [NO_ACTION]]
    models = distil_advantages(
        table, advantages, TreeSettings(30, 4, 0.3, seed=settings.horizon.seed, threads=settings.threads)
    )
    design, smooth = hold_rows(build_design(table.states)), np.full(advantages.shape, -np.inf)
    smooth[:, NO_ACTION] = 0.0
    for position, model in enumerate(models):
        if position != NO_ACTION:
            rows = table.allowed[:, position]
            smooth[rows, position] = model.predict(design, settings.threads)[rows]
    return np.asarray(smooth.argmax(axis=1))


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

    def distil(group: _Group) -> list[tuple[int, TreeModel]]:
        return [
            (position, group.learned.fit_mean(advantages[group.rows, position], one_thread))
            for position in group.positions
        ]

    with ThreadPoolExecutor(settings.threads) as pool:
        models = dict(chain.from_iterable(pool.map(distil, table.groups)))
    return (constant_model("mean", [0.0]), *(models[one] for one in range(1, advantages.shape[1])))
