"""Fits a simulator to person-weeks of a decision log.

Belongs here: which model learns what from which rows. Does not belong here: the week itself (simulator.py), or how the
rows come about (transitions.py).

What contacts do is estimated by itself (contact_effect.py) and given to the trees as known; they read the state without
its contacts. Discounts can only raise acceptance: the sign is imposed. That a contact by itself makes nobody buy
something else is assumed: purchases without an offer depend on a contact only where it was accepted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.contact_effect import NO_EFFECT, Effect, estimate_on_mean, estimate_on_odds
from mlops_assets.domain.offers.decision_data import NO_ACTION, DecisionDataError, OfferStates, Transitions
from mlops_assets.domain.offers.simulator import (
    DRAWS,
    RISKIEST_SHARE,
    LevelMoves,
    Simulator,
    advance_week,
    find_leaves,
)
from mlops_assets.domain.offers.simulator_check import find_actions_of
from mlops_assets.domain.offers.state_design import (
    action_columns,
    build_design,
    describe_actions,
    remember_contacts,
    without_contacts,
)
from mlops_assets.domain.offers.tree_models import (
    TreeModel,
    TreeSettings,
    fit_calibrated_chance,
    fit_chance,
    fit_classes,
    fit_mean,
    fit_means,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_KEPT_SURPRISES, _LEAVES, _OUTLOOK_WEEKS = 512, 64, 4
_MIN_ROWS, _MIN_CONTACTS, _SHRUNK_BY, _HELD_WEEKS = 200, 50, 200, 4


def split_customers(data: Transitions, seed: int) -> tuple[Transitions, Transitions]:
    """Return the rows of two halves of the customers, drawn by seed; no customer is in both."""
    customers, numbers = np.unique(data.states.customers, return_inverse=True)
    is_first = np.random.default_rng(seed).permutation(len(customers)) < len(customers) // 2
    return data.take(is_first[numbers]), data.take(~is_first[numbers])


def fit_simulator(data: Transitions, *, seed: int = 0, threads: int = 1) -> Simulator:
    """Learn a world.

    Args:
        data: person-weeks.
        seed: of kept surprises.
        threads: at most so many.

    Raises:
        DecisionDataError: fewer than 200 person-weeks of people who stayed, or fewer than 50 contacts.
    """
    contacts, stayed = int((data.actions != NO_ACTION).sum()), int((~data.is_churned).sum())
    if contacts < _MIN_CONTACTS or stayed < _MIN_ROWS:
        raise DecisionDataError(
            "there is too little to learn a world from",
            where=f"{contacts} contacts, {stayed} person-weeks of people who stayed",
            expected=f"{_MIN_CONTACTS} contacts and {_MIN_ROWS} such person-weeks at least",
            remedy="let the campaign run longer, or take more people into the log",
        )
    fitting = _Fitting.of(data, TreeSettings(seed=seed, threads=threads))
    acceptance, accepting = _fit_acceptance(fitting)
    churn, leaving = _fit_churn(fitting)
    outlook = _fit_outlook(fitting)
    moves, risk = _fit_moves(fitting, outlook)
    simulator = Simulator(
        layout=data.states.layout,
        choices=data.choices,
        plans=data.plans,
        models={"acceptance": acceptance, "churn": churn, **_fit_organic(fitting)},
        eligibility=_fit_eligibility(fitting),
        moves=moves,
        contacts={"acceptance": accepting, "leaving": leaving, "risk": risk},
        extra_margin_usd=_find_extra_margin(data),
    )
    return _hold_risk(_balance_risk(simulator, fitting, outlook), data, outlook, seed)


@dataclass(frozen=True, eq=False)
class _Fitting:
    """The rows, and what models read of them.

    Attributes:
        data: rows.
        design: at the start of the week, without contacts.
        moved: states with the week's events, levels as they were.
        advanced: the design of these, without contacts.
        base: seed and threads.
    """

    data: Transitions
    design: NDArray[np.float32]
    moved: OfferStates
    advanced: NDArray[np.float32]
    base: TreeSettings

    @classmethod
    def of(cls, data: Transitions, base: TreeSettings) -> _Fitting:
        layout = data.states.layout
        moved = advance_week(
            data.states, data.choices, data.plans, data.actions, data.is_accepted, data.organic_plan
        )
        design, advanced = (without_contacts(build_design(one), layout) for one in (data.states, moved))
        return cls(data, design, moved, advanced, base)

    def describe(self, rows: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the design of some rows beside what was offered there."""
        described = describe_actions(self.data.choices)[self.data.actions[rows]]
        return np.hstack([self.design[rows], described])

    def sized(self, iterations: int, depth: int, rate: float, monotone: tuple[int, ...] = ()) -> TreeSettings:
        """Return settings of a size."""
        return replace(self.base, iterations=iterations, depth=depth, learning_rate=rate, monotone=monotone)


def _fit_acceptance(fitting: _Fitting) -> tuple[TreeModel, Effect]:
    rows = fitting.data.actions != NO_ACTION
    known, hits = fitting.describe(rows), fitting.data.is_accepted[rows]
    memory = remember_contacts(fitting.data.states)[rows]
    effect = estimate_on_odds(
        known, memory, hits, sign=-1, seed=fitting.base.seed, threads=fitting.base.threads
    )
    of_action = tuple(1 if name == "discount_share" else 0 for name in action_columns())
    signs = (0,) * fitting.design.shape[1] + of_action
    return fit_calibrated_chance(
        known, hits, fitting.sized(120, 4, 0.08, signs), effect.value * memory
    ), effect


def _fit_churn(fitting: _Fitting) -> tuple[TreeModel, Effect]:
    hits, memory = fitting.data.is_churned, remember_contacts(fitting.moved)
    effect = estimate_on_odds(
        fitting.advanced, memory, hits, sign=1, seed=fitting.base.seed, threads=fitting.base.threads
    )
    return fit_calibrated_chance(
        fitting.advanced, hits, fitting.sized(120, 4, 0.08), effect.value * memory
    ), effect


def _fit_organic(fitting: _Fitting) -> dict[str, TreeModel]:
    """Whether something is bought without an offer (beside an accepted one: a model of its own), and what."""
    data, design = fitting.data, fitting.design
    bought, beside = data.organic_plan > 0, data.is_accepted
    return {
        "organic": fit_chance(design[~beside], bought[~beside], fitting.sized(80, 5, 0.15)),
        "organic_beside": fit_chance(fitting.describe(beside), bought[beside], fitting.sized(30, 3, 0.15)),
        "plan": fit_classes(
            design[bought], data.organic_plan[bought] - 1, len(data.plans), fitting.sized(40, 4, 0.25)
        ),
    }


def _fit_eligibility(fitting: _Fitting) -> dict[str, TreeModel]:
    """Rules are functions of what is known of a person; where they are, trees find them again."""
    data, models = fitting.data, dict[str, TreeModel]()
    for position, choice in enumerate(data.choices):
        if position != NO_ACTION and choice.plan_code not in models and not data.eligible[:, position].all():
            hits = data.eligible[:, position]
            models[choice.plan_code] = fit_chance(fitting.design, hits, fitting.sized(25, 4, 0.4))
    return models


def _fit_outlook(fitting: _Fitting) -> TreeModel:
    """Learn P(left within some weeks) from the rows whose people were seen for so long."""
    data, weeks = fitting.data, fitting.data.weeks
    numbers = np.unique(data.states.customers, return_inverse=True)[1].reshape(-1)
    left_in = np.full(int(numbers.max()) + 1, np.iinfo(np.int64).max)
    left_in[numbers[data.is_churned]] = weeks[data.is_churned]
    ahead = min(_OUTLOOK_WEEKS, int(np.ptp(weeks)) // 2 + 1)
    is_seen = weeks + ahead <= weeks.max() + 1
    hits = left_in[numbers] < weeks + ahead
    return fit_chance(fitting.design[is_seen], hits[is_seen], fitting.sized(100, 4, 0.1))


def _fit_moves(fitting: _Fitting, outlook: TreeModel) -> tuple[LevelMoves, Effect]:
    """Learn how levels move, and how much a remembered contact adds to the risk of the state that follows."""
    data, stayed = fitting.data, ~fitting.data.is_churned
    advanced, scales = fitting.advanced[stayed], _find_scales(data)
    targets = _find_moves(fitting, stayed, scales)
    mean = fit_means(advanced, targets, fitting.sized(60, 5, 0.2))
    residuals = targets - mean.predict(advanced)
    place = fit_means(advanced, np.abs(residuals), fitting.sized(1, 6, 1.0))
    later = data.states.with_values(data.next_values)
    risk = outlook.predict(without_contacts(build_design(later), data.states.layout)[stayed])
    memory = remember_contacts(fitting.moved)[stayed]
    effect = estimate_on_mean(
        advanced,
        memory,
        risk,
        sign=1,
        seed=fitting.base.seed,
        threads=fitting.base.threads,
    )
    # A person at risk already is no surprise: surprises are ordered by what they add.
    unexpected = risk - fit_mean(advanced, risk, fitting.base).predict(advanced)
    met = _Surprises(find_leaves(place, advanced), residuals, unexpected, effect.value * memory)
    surprises, gap = _keep_surprises(met)  # the gap is measured anew by _balance_risk
    known = data.states.values[:, : len(scales)]
    lowest, highest = (
        np.nan_to_num(bound.reduce(known, axis=0)).astype(np.float64) for bound in (np.fmin, np.fmax)
    )
    return LevelMoves(mean, place, surprises, gap, np.zeros(len(gap)), scales, lowest, highest), effect


def _find_scales(data: Transitions) -> Floats:
    """Return float64 [levels], the median size of each where it is not 0."""
    known = np.abs(data.states.values[:, : len(data.states.layout.levels)])
    columns = [column[np.isfinite(column) & (column > 0)] for column in known.T]
    return np.array([np.median(column) if len(column) else 1.0 for column in columns], dtype=np.float64)


def _find_moves(fitting: _Fitting, rows: NDArray[np.bool_], scales: Floats) -> Floats:
    """Return float64 [rows x targets]: changes of levels, 0 where unknown, and the expiry beside its clock."""
    data, count = fitting.data, len(scales)
    before, after = data.states.values[rows, :count], data.next_values[rows, :count]
    change = np.arcsinh(after / scales) - np.arcsinh(before / scales)
    expiry = data.states.layout.index("days_to_expiry")
    slip = data.next_values[rows, expiry] - fitting.moved.values[rows, expiry]
    return np.column_stack([np.nan_to_num(change, nan=0.0), slip]).astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Surprises:
    """What was met: leaf int64 [rows], residuals [rows x targets], risk it added, and what contacts added to that."""

    leaves: NDArray[np.int64]
    residuals: Floats
    risk: Floats
    added_risk: Floats


def _keep_surprises(met: _Surprises) -> tuple[NDArray[np.float32], Floats]:
    """Return float32 [leaves x kept x targets], riskiest first, and the riskiest tenth's excess risk [leaves].

    What contacts added to the risk of those people is taken out: of the riskiest tenth so many fewer are kept. A leaf
    that nobody is in has the surprises of everybody.
    """
    count = max(int(met.leaves.max()) + 1, _LEAVES)
    pools = np.empty((count, _KEPT_SURPRISES, met.residuals.shape[1]), dtype=np.float32)
    gaps, top = np.zeros(count), round(_KEPT_SURPRISES * RISKIEST_SHARE)
    for leaf in range(count):
        inside = np.flatnonzero(met.leaves == leaf)
        pool = inside if len(inside) else np.arange(len(met.residuals))
        ordered, weights = _weigh_without_contacts(met, pool)
        # Evenly spaced along the order, and with the mean of all: a drift of one week would add up over a hundred.
        kept = ordered[
            np.searchsorted(weights.cumsum(), (np.arange(_KEPT_SURPRISES) + 0.5) / _KEPT_SURPRISES)
        ]
        gaps[leaf] = met.risk[kept[:top]].mean() - met.risk[kept].mean()
        found = met.residuals[kept]
        pools[leaf] = found + (weights @ met.residuals[ordered] - found.mean(axis=0))
    return pools, gaps


def _weigh_without_contacts(met: _Surprises, pool: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Return the rows of a pool, those that added most risk first, and weights that sum to 1."""
    ordered = pool[np.argsort(-met.risk[pool], kind="stable")]
    top = max(1, round(len(pool) * RISKIEST_SHARE))
    gap = met.risk[ordered[:top]].mean() - met.risk[ordered].mean()
    fewer = min(met.added_risk[pool].mean() / gap, 1.0) if gap > 0 else 0.0
    weights = np.ones(len(pool))
    weights[:top] -= fewer * (1 - RISKIEST_SHARE) / RISKIEST_SHARE
    weights = np.clip(weights, 0.1, None)
    return ordered, weights / weights.sum()


def _balance_risk(simulator: Simulator, fitting: _Fitting, outlook: TreeModel) -> Simulator:
    """Return the simulator with risks as they come out, not as its parts have them.

    A surprise that came with a risk where it was met brings another one elsewhere, and the mean risk of states is not
    the risk of mean states. So both are measured on the people themselves: what the riskiest surprises add, and what
    the risk after the week lacks beside that which was seen, contacts taken out. By leaf, small ones towards all.
    """
    data, moves, layout = fitting.data, simulator.moves, simulator.layout
    stayed = np.flatnonzero(~data.is_churned)
    before, moved = data.states.take(stayed), fitting.moved.take(stayed)
    advanced, memory = fitting.advanced[stayed], remember_contacts(moved)
    uniform = np.random.default_rng([fitting.base.seed, 1]).random(len(stayed))

    def find_risk(values: NDArray[np.float32]) -> Floats:
        return outlook.predict(without_contacts(build_design(moved.with_values(values)), layout))

    unhurt = replace(simulator, contacts=dict.fromkeys(simulator.contacts, NO_EFFECT))
    plain, riskiest = (
        find_risk(unhurt.move_levels(before, moved, advanced, memory, share * uniform))
        for share in (1.0, RISKIEST_SHARE)
    )
    seen = find_risk(data.next_values[stayed]) - simulator.contacts["risk"].value * memory
    leaves, count = find_leaves(moves.place, advanced), len(moves.risk_gap)
    gap, missing = (_mean_by_leaf(found, leaves, count) for found in (riskiest - plain, seen - plain))
    return replace(simulator, moves=replace(moves, risk_gap=np.maximum(gap, 0.0), missing_risk=missing))


def _hold_risk(simulator: Simulator, data: Transitions, outlook: TreeModel, seed: int) -> Simulator:
    """Return the simulator whose people, followed for weeks, come to the risk that was seen of them.

    What is missed in one week, by whatever it is that states do not tell, adds up over many. So the first week's people
    are followed through the decisions that were taken about them, and what their risk lacks in the later weeks is added
    to every week; twice, since risk comes and goes.
    """
    if len(np.unique(data.weeks)) < _HELD_WEEKS:
        return simulator
    added, lacks = [0.0], [_find_lack(simulator, data, outlook, seed)]
    for _ in range(2):
        slope = (lacks[-1] - lacks[-2]) / (added[-1] - added[-2]) if len(added) > 1 else -1.0
        added.append(added[-1] - lacks[-1] / slope if slope < 0 else added[-1])
        moves = replace(simulator.moves, missing_risk=simulator.moves.missing_risk + added[-1])
        found = replace(simulator, moves=moves)
        lacks.append(_find_lack(found, data, outlook, seed))
        if added[-1] == added[-2]:
            break
    best = int(np.abs(lacks).argmin())
    moves = replace(simulator.moves, missing_risk=simulator.moves.missing_risk + added[best])
    return replace(simulator, moves=moves)


def _find_lack(simulator: Simulator, data: Transitions, outlook: TreeModel, seed: int) -> float:
    """Return the mean risk seen of the first week's people in the later weeks, less that of the people followed."""
    weeks = np.unique(data.weeks)
    first = data.take(data.weeks == weeks[0])
    states, alive, seen, found = first.states, np.ones(first.rows), [], []
    for number, week in enumerate(weeks):
        here = data.take(data.weeks == week)
        if number >= _HELD_WEEKS // 2:
            stayed = here.states.take(np.isin(here.states.customers, first.states.customers))
            told, ours = (
                outlook.predict(without_contacts(build_design(one), simulator.layout))
                for one in (stayed, states)
            )
            seen.append(float(told.mean()) if len(told) else 0.0)
            found.append(float((alive * ours).sum() / alive.sum()))
        chance = np.random.default_rng([seed, 2, number]).random((states.rows, DRAWS))
        done = simulator.step(states, find_actions_of(here, states), chance)
        states, alive = done.states, alive * (1 - done.leave_chance)
    return float(np.mean(seen) - np.mean(found))


def _mean_by_leaf(values: Floats, leaves: NDArray[np.int64], count: int) -> Floats:
    rows, totals = np.bincount(leaves, minlength=count), np.bincount(leaves, values, count)
    return np.asarray((totals + _SHRUNK_BY * values.mean()) / (rows + _SHRUNK_BY))


def _find_extra_margin(data: Transitions) -> Floats:
    net = np.array([choice.net_margin_usd for choice in data.choices])[data.actions]
    margins = np.array([0.0, *(plan.margin_usd for plan in data.plans)])[data.organic_plan]
    extra = data.margin_usd - data.is_accepted * net - margins
    found = np.zeros((2, 2))
    for accepted in (0, 1):
        for organic in (0, 1):
            rows = (data.is_accepted == bool(accepted)) & ((data.organic_plan > 0) == bool(organic))
            found[accepted, organic] = float(extra[rows].mean()) if rows.any() else 0.0
    return found
