"""Fits a simulator to person-weeks of a decision log.

Belongs here: which model learns what from which rows. Does not belong here: the week itself (simulator.py), or how the
rows come about (transitions.py).

Contacts can only lower acceptance and raise the hazard of leaving, discounts can only raise acceptance: the signs are
imposed on the trees. That a contact by itself makes nobody buy something else is assumed: purchases without an offer
depend on a contact only where it was accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.decision_data import (
    NO_ACTION,
    DecisionDataError,
    OfferStates,
    StateLayout,
    Transitions,
)
from mlops_assets.domain.offers.simulator import LevelMoves, Simulator, advance_week, find_leaves
from mlops_assets.domain.offers.state_design import (
    FATIGUE_COLUMNS,
    action_columns,
    build_design,
    describe_actions,
    design_columns,
)
from mlops_assets.domain.offers.tree_models import (
    TreeModel,
    TreeSettings,
    fit_chance,
    fit_classes,
    fit_means,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_KEPT_SURPRISES, _MIN_ROWS, _MIN_CONTACTS = 256, 200, 50


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
    design = build_design(data.states)
    moved = advance_week(
        data.states, data.choices, data.plans, data.actions, data.is_accepted, data.organic_plan
    )
    advanced = build_design(moved)
    base = TreeSettings(seed=seed, threads=threads)
    return Simulator(
        layout=data.states.layout,
        choices=data.choices,
        plans=data.plans,
        models={
            "acceptance": _fit_acceptance(data, design, base),
            "churn": _fit_churn(data, advanced, base),
            **_fit_organic(data, design, base),
        },
        eligibility=_fit_eligibility(data, design, base),
        moves=_fit_moves(data, moved, advanced, base),
        extra_margin_usd=_find_extra_margin(data),
    )


def _sized(
    base: TreeSettings, iterations: int, depth: int, rate: float, monotone: tuple[int, ...] = ()
) -> TreeSettings:
    return TreeSettings(iterations, depth, rate, base.l2_leaf_reg, monotone, base.seed, base.threads)


def _fatigue_signs(layout: StateLayout, sign: int) -> tuple[int, ...]:
    return tuple(sign if name in FATIGUE_COLUMNS else 0 for name in design_columns(layout))


def _fit_acceptance(data: Transitions, design: NDArray[np.float32], base: TreeSettings) -> TreeModel:
    rows = data.actions != NO_ACTION
    described = describe_actions(data.choices)[data.actions[rows]]
    of_action = tuple(1 if name == "discount_share" else 0 for name in action_columns())
    signs = (*_fatigue_signs(data.states.layout, -1), *of_action)
    settings = _sized(base, 120, 4, 0.08, signs)
    return fit_chance(np.hstack([design[rows], described]), data.is_accepted[rows], settings)


def _fit_churn(data: Transitions, advanced: NDArray[np.float32], base: TreeSettings) -> TreeModel:
    signs = _fatigue_signs(data.states.layout, 1)
    return fit_chance(advanced, data.is_churned, _sized(base, 120, 4, 0.08, signs))


def _fit_organic(data: Transitions, design: NDArray[np.float32], base: TreeSettings) -> dict[str, TreeModel]:
    """Whether something is bought without an offer (beside an accepted one: a model of its own), and what."""
    bought, beside = data.organic_plan > 0, data.is_accepted
    described = describe_actions(data.choices)[data.actions[beside]]
    return {
        "organic": fit_chance(design[~beside], bought[~beside], _sized(base, 80, 5, 0.15)),
        "organic_beside": fit_chance(
            np.hstack([design[beside], described]), bought[beside], _sized(base, 30, 3, 0.15)
        ),
        "plan": fit_classes(
            design[bought], data.organic_plan[bought] - 1, len(data.plans), _sized(base, 40, 4, 0.25)
        ),
    }


def _fit_eligibility(
    data: Transitions, design: NDArray[np.float32], base: TreeSettings
) -> dict[str, TreeModel]:
    """Rules are functions of what is known of a person; where they are, trees find them again."""
    models: dict[str, TreeModel] = {}
    for position, choice in enumerate(data.choices):
        if position != NO_ACTION and choice.plan_code not in models and not data.eligible[:, position].all():
            hits = data.eligible[:, position]
            models[choice.plan_code] = fit_chance(design, hits, _sized(base, 25, 4, 0.4))
    return models


def _fit_moves(
    data: Transitions, moved: OfferStates, advanced: NDArray[np.float32], base: TreeSettings
) -> LevelMoves:
    stayed, count = ~data.is_churned, len(data.states.layout.levels)
    known = data.states.values[:, :count]
    scales = np.nanmedian(np.abs(np.where(known == 0, np.nan, known)), axis=0, keepdims=False)
    scales = np.where(np.isfinite(scales) & (scales > 0), scales, 1.0).astype(np.float64)
    before, after = known[stayed], data.next_values[stayed, :count]
    change = np.arcsinh(after / scales) - np.arcsinh(before / scales)
    expiry = data.states.layout.index("days_to_expiry")
    slip = data.next_values[stayed, expiry] - moved.values[stayed, expiry]
    targets = np.column_stack([np.nan_to_num(change, nan=0.0), slip]).astype(np.float64)
    mean = fit_means(advanced[stayed], targets, _sized(base, 60, 5, 0.2))
    residuals = targets - mean.predict(advanced[stayed])
    place = fit_means(advanced[stayed], np.abs(residuals), _sized(base, 1, 6, 1.0))
    return LevelMoves(
        mean=mean,
        place=place,
        surprises=_keep_surprises(find_leaves(place, advanced[stayed]), residuals, base.seed),
        scales=scales,
        lowest=np.nan_to_num(np.fmin.reduce(known, axis=0)).astype(np.float64),
        highest=np.nan_to_num(np.fmax.reduce(known, axis=0)).astype(np.float64),
    )


def _keep_surprises(leaves: NDArray[np.int64], residuals: Floats, seed: int) -> NDArray[np.float32]:
    """Return float32 [leaves x kept x targets]; a leaf nobody is in has those of everybody."""
    random, count = np.random.default_rng(seed), int(leaves.max()) + 1 if len(leaves) else 1
    pools = np.empty((max(count, 64), _KEPT_SURPRISES, residuals.shape[1]), dtype=np.float32)
    for leaf in range(len(pools)):
        inside = np.flatnonzero(leaves == leaf)
        pool = inside if len(inside) else np.arange(len(residuals))
        pools[leaf] = residuals[random.choice(pool, _KEPT_SURPRISES, replace=len(pool) < _KEPT_SURPRISES)]
        pools[leaf] += (residuals[pool].mean(axis=0) - pools[leaf].mean(axis=0)).astype(np.float32)
    return pools


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
