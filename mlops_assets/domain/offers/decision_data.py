"""The arrays of the offer loop: actions, states of people, and a week of what was done and what came of it.

A step is a week. A state holds, in this order, *levels* (scores of input models and features: they move as the
simulator has learned), *clocks* (days to expiry, tenure, days since the last offer: they move by arithmetic), and
*history* (contacts, contacts ignored, plans and boosters bought, week by week for four weeks, the newest first).

Belongs here: shapes, names and the arithmetic of clocks and history. Does not belong here: where rows come from
(transitions.py), what is learned from them (simulator_fit.py), or decisions (policies.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.offers.reconciliation import NO_OFFER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

STEP_DAYS = 7
HISTORY_WEEKS = 4
CLOCKS = ("days_to_expiry", "tenure_days", "days_since_offer")
HISTORIES = ("offers", "ignored", "plans_bought", "boosters_bought")
# Clocks are bounded: beyond these nothing more is learned, and "never" needs a number.
CLOCK_BOUNDS = {
    "days_to_expiry": (-60.0, 60.0),
    "tenure_days": (0.0, 3650.0),
    "days_since_offer": (0.0, 60.0),
}
NO_ACTION = 0


class DecisionDataError(PlatformError):
    """Arrays of states, actions or outcomes do not fit together."""


@dataclass(frozen=True)
class OfferAction:
    """What may be decided about a person: an offer, or `no_offer`, which is the first action everywhere.

    Attributes:
        plan_code: plan or booster; `no_offer` for none.
        family: of the plan; empty for `no_offer`.
        price_usd: list price.
        margin_usd: contribution margin of one sale at list price.
        validity_days: of the plan; 0 for `no_offer`.
        allowance_mb: data included.
        discount_share: of the list price.
    """

    plan_code: str
    family: str = ""
    price_usd: float = 0.0
    margin_usd: float = 0.0
    validity_days: int = 0
    allowance_mb: float = 0.0
    discount_share: float = 0.0

    @property
    def discount_usd(self) -> float:
        """Return the discount of one sale."""
        return self.price_usd * self.discount_share

    @property
    def net_margin_usd(self) -> float:
        """Return the margin of one sale, less its discount."""
        return self.margin_usd - self.discount_usd

    @property
    def is_booster(self) -> bool:
        """Return whether it leaves the plan's expiry alone."""
        return self.family == "booster"

    @property
    def name(self) -> str:
        """Show as `data_m`, or `data_m -10%` with a discount."""
        return f"{self.plan_code} -{self.discount_share:.0%}" if self.discount_share else self.plan_code


NO_OFFER_CHOICE = OfferAction(NO_OFFER)


@dataclass(frozen=True)
class StateLayout:
    """The columns of a state matrix; `levels` differ from use case to use case, all else is fixed."""

    levels: tuple[str, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Return all column names in the order of the matrix."""
        weeks = range(1, HISTORY_WEEKS + 1)
        return (*self.levels, *CLOCKS, *(f"{name}_week_{week}" for name in HISTORIES for week in weeks))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.columns)}

    def index(self, column: str) -> int:
        """Return the position of a column; KeyError if there is none."""
        return self._positions[column]

    def history_slice(self, name: str) -> slice:
        """Return the positions of a history, newest week first; `name` is one of HISTORIES."""
        start = self.index(f"{name}_week_1")
        return slice(start, start + HISTORY_WEEKS)


@dataclass(frozen=True, eq=False)
class OfferStates:
    """What is known of people at the start of a week.

    Attributes:
        layout: names of the columns.
        values: float32 [people x columns]; a level may be NaN where it is not known.
        customers: [people], keys.
    """

    layout: StateLayout
    values: Floats
    customers: NDArray[Any]

    def __post_init__(self) -> None:
        expected = (len(self.customers), len(self.layout.columns))
        if self.values.shape != expected:
            raise DecisionDataError(
                "the state matrix does not fit its layout",
                where=str(self.values.shape),
                expected=str(expected),
            )

    @property
    def rows(self) -> int:
        """Number of people."""
        return len(self.customers)

    def column(self, name: str) -> Floats:
        """Return a column, float32 [people]."""
        return self.values[:, self.layout.index(name)]

    def weeks_of(self, history: str) -> Floats:
        """Return a history, float32 [people x HISTORY_WEEKS], newest week first."""
        return self.values[:, self.layout.history_slice(history)]

    def take(self, rows: NDArray[Any]) -> OfferStates:
        """Return some of the people; `rows` is a mask or positions."""
        return OfferStates(self.layout, self.values[rows], self.customers[rows])

    def with_values(self, values: Floats) -> OfferStates:
        """Return the same people in other states."""
        return OfferStates(self.layout, values, self.customers)


@dataclass(frozen=True, eq=False)
class Transitions:
    """Person-weeks of a decision log: where people were, what they were offered, what came of it.

    Attributes:
        states: at the start of each week.
        actions: int64 [rows], position in `choices` of the week's first contact; NO_ACTION for none.
        choices: actions, `no_offer` first.
        eligible: bool [rows x choices], what the catalogue's rules allowed; the contact policy is not in it.
        propensities: float64 [rows], probability of the action taken under the policy that took it; NaN if unknown.
        is_accepted: bool [rows], the offer was bought on the day it was sent.
        organic_plan: int64 [rows], 0 for none, else 1 + position in `plans` of the dearest plan bought without offer.
        plans: what can be bought without an offer, without discounts; any order.
        margin_usd: float64 [rows], margins of all purchases of the week, less discounts granted; no contact cost.
        is_churned: bool [rows], left within the week.
        next_values: float32 [rows x columns], states a week later; rows of those who left hold no meaning.
        weeks: int64 [rows], number of the week, 0 for the oldest.
    """

    states: OfferStates
    actions: NDArray[np.int64]
    choices: tuple[OfferAction, ...]
    eligible: NDArray[np.bool_]
    propensities: NDArray[np.float64]
    is_accepted: NDArray[np.bool_]
    organic_plan: NDArray[np.int64]
    plans: tuple[OfferAction, ...]
    margin_usd: NDArray[np.float64]
    is_churned: NDArray[np.bool_]
    next_values: Floats
    weeks: NDArray[np.int64]

    def __post_init__(self) -> None:
        rows = self.states.rows
        shapes = {
            "actions": (rows,),
            "eligible": (rows, len(self.choices)),
            "propensities": (rows,),
            "is_accepted": (rows,),
            "organic_plan": (rows,),
            "margin_usd": (rows,),
            "is_churned": (rows,),
            "next_values": self.states.values.shape,
            "weeks": (rows,),
        }
        for name, expected in shapes.items():
            if getattr(self, name).shape != expected:
                raise DecisionDataError(
                    f"`{name}` does not fit the states",
                    where=str(getattr(self, name).shape),
                    expected=str(expected),
                )
        if not self.choices or self.choices[0].plan_code != NO_OFFER:
            raise DecisionDataError(
                "`no_offer` is not the first choice", expected="NO_OFFER_CHOICE at position 0"
            )

    @property
    def rows(self) -> int:
        """Number of person-weeks."""
        return self.states.rows

    def take(self, rows: NDArray[Any]) -> Transitions:
        """Return some person-weeks; `rows` is a mask or positions."""
        return Transitions(
            self.states.take(rows),
            self.actions[rows],
            self.choices,
            self.eligible[rows],
            self.propensities[rows],
            self.is_accepted[rows],
            self.organic_plan[rows],
            self.plans,
            self.margin_usd[rows],
            self.is_churned[rows],
            self.next_values[rows],
            self.weeks[rows],
        )


def advance_clocks(
    states: OfferStates,
    *,
    contacted: NDArray[np.bool_],
    accepted: NDArray[np.bool_],
    plans_bought: NDArray[Any],
    boosters_bought: NDArray[Any],
    validity_days: NDArray[Any],
) -> Floats:
    """Return state values a week later with clocks and histories moved and levels as they were.

    Args:
        states: at the start of the week.
        contacted: bool [people], got an offer this week.
        accepted: bool [people], bought it.
        plans_bought: [people], plans bought this week, by offer or not.
        boosters_bought: [people], likewise.
        validity_days: [people], of the plan bought, which counts from the start of the week; 0 for none.
    """
    layout, values = states.layout, states.values.copy()
    news = (contacted, contacted & ~accepted, plans_bought, boosters_bought)
    for name, new in zip(HISTORIES, news, strict=True):
        weeks = layout.history_slice(name)
        values[:, weeks] = np.column_stack([new, values[:, weeks][:, :-1]]).astype(np.float32)
    expiry = values[:, layout.index("days_to_expiry")]
    moved = {
        # A plan bought while another one runs is added to it by a day at most: the later expiry counts.
        "days_to_expiry": np.where(validity_days > 0, np.maximum(expiry, validity_days), expiry) - STEP_DAYS,
        "tenure_days": values[:, layout.index("tenure_days")] + STEP_DAYS,
        "days_since_offer": np.where(
            contacted, STEP_DAYS / 2, values[:, layout.index("days_since_offer")] + STEP_DAYS
        ),
    }
    for name, column in moved.items():
        values[:, layout.index(name)] = np.clip(column, *CLOCK_BOUNDS[name])
    return values
