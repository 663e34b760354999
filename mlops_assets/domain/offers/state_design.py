"""What models read of a state: its levels and clocks as they are, its four weeks of history summed up.

Belongs here: the columns of the design matrix and which of them can only do harm. Does not belong here: states
themselves (decision_data.py) or any model.

`contact_memory` and `ignored_memory` weigh a week by half of the week after it, which is close enough to any memory
that fades within a month; the newest week is there by itself too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.decision_data import (
    CLOCKS,
    HISTORY_WEEKS,
    OfferAction,
    OfferStates,
    StateLayout,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_SUMMARIES = (
    "contacts_four_weeks",
    "ignored_four_weeks",
    "contact_memory",
    "ignored_memory",
    "own_plans_four_weeks",
    "own_boosters_four_weeks",
    "own_plan_last_week",
    "own_booster_last_week",
    "accepted_last_week",
)
# More of these never makes a person more willing, nor more loyal.
FATIGUE_COLUMNS = ("contacts_four_weeks", "ignored_four_weeks", "contact_memory", "ignored_memory")
_MEMORY = 0.5 ** np.arange(HISTORY_WEEKS, dtype=np.float32)
_ACTION_COLUMNS = (
    "price_usd",
    "discount_share",
    "validity_days",
    "allowance_mb",
    "is_booster",
    "family",
    "position",
)


def design_columns(layout: StateLayout) -> tuple[str, ...]:
    """Return the names of the design's columns."""
    return (*layout.levels, *CLOCKS, *_SUMMARIES)


def build_design(states: OfferStates) -> Floats:
    """Return float32 [people x design columns]; unknown levels stay NaN."""
    kept = len(states.layout.levels) + len(CLOCKS)
    offers, ignored = states.weeks_of("offers"), states.weeks_of("ignored")
    plans, boosters = _find_own_purchases(states)
    summaries = (
        offers.sum(axis=1),
        ignored.sum(axis=1),
        offers @ _MEMORY,
        ignored @ _MEMORY,
        plans.sum(axis=1),
        boosters.sum(axis=1),
        plans[:, 0],
        boosters[:, 0],
        offers[:, 0] - ignored[:, 0],
    )
    return np.column_stack([states.values[:, :kept], *summaries]).astype(np.float32)


def _find_own_purchases(states: OfferStates) -> tuple[Floats, Floats]:
    """Return plans and boosters bought without an offer, float32 [people x weeks] each.

    Purchases by offer say nothing of habits; a model that mixes them takes an accepted offer for a new habit.
    """
    plans, boosters = states.weeks_of("plans_bought"), states.weeks_of("boosters_bought")
    accepted = states.weeks_of("offers") - states.weeks_of("ignored")
    by_offer = np.minimum(accepted, plans)
    return plans - by_offer, np.maximum(boosters - (accepted - by_offer), 0)


def without_contacts(design: Floats, layout: StateLayout) -> Floats:
    """Return the design's columns that say nothing of contacts, float32 [people x fewer columns]."""
    kept = [name not in {*FATIGUE_COLUMNS, "days_since_offer"} for name in design_columns(layout)]
    return np.ascontiguousarray(design[:, kept])


def remember_contacts(states: OfferStates) -> NDArray[np.float64]:
    """Return float64 [people]: contacts ignored, each week at half of the week after it; an accepted one counts 0."""
    return np.asarray(states.weeks_of("ignored") @ _MEMORY, dtype=np.float64)


def action_columns() -> tuple[str, ...]:
    """Return the names of what is known of an offer."""
    return _ACTION_COLUMNS


def describe_actions(choices: tuple[OfferAction, ...]) -> Floats:
    """Return float32 [choices x action columns]; families and plans are numbered in the order of the choices."""
    families = list(dict.fromkeys(choice.family for choice in choices))
    plans = list(dict.fromkeys(choice.plan_code for choice in choices))
    rows = [
        (
            choice.price_usd,
            choice.discount_share,
            choice.validity_days,
            choice.allowance_mb,
            choice.is_booster,
            families.index(choice.family),
            plans.index(choice.plan_code),
        )
        for choice in choices
    ]
    return np.asarray(rows, dtype=np.float32)
