"""Short stable words for why somebody is offered what, or nothing.

An offer that the policy wanted carries the inputs that added most to its worth, each as direction and column
(`low_balance_main_acc`), the direction being that from the population's median of the day. Some have a name of their
own (`plan_expires_soon`). All other decisions carry the one rule that made them.

| code | decision |
|---|---|
| `quiet_day`, `contact_cap` | nobody, or this person not yet, may be contacted |
| `not_eligible` | no offer's rules hold, or none of these is sold |
| `control_group` | never contacted |
| `random_draw` | by chance: random group, or exploration |
| `no_gain` | no offer is worth more than none |
| `budget` | one is, and others were worth more |
| `best_for_all` | the policy says the same to everybody |

Belongs here: codes. Does not belong here: decisions, or what an input adds (policies.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUIET_DAY, CONTACT_CAP, NOT_ELIGIBLE = "quiet_day", "contact_cap", "not_eligible"
CONTROL_GROUP, RANDOM_DRAW, NO_GAIN, BUDGET = "control_group", "random_draw", "no_gain", "budget"
BEST_FOR_ALL = "best_for_all"
REASONS_MAX = 3
_NAMES = {
    "low_balance_main_acc": "low_balance",
    "high_balance_main_acc": "high_balance",
    "low_days_to_expiry": "plan_expires_soon",
    "high_days_to_expiry": "plan_runs_long",
    "low_tenure_days": "new_customer",
    "high_tenure_days": "long_customer",
    "low_days_since_offer": "contacted_lately",
    "high_days_since_offer": "not_contacted_lately",
    "low_contacts_four_weeks": "few_contacts",
    "high_contacts_four_weeks": "many_contacts",
    "low_ignored_four_weeks": "few_ignored",
    "high_ignored_four_weeks": "many_ignored",
}
_EXPIRED = "plan_expired"


@dataclass(frozen=True, eq=False)
class UsualValues:
    """What is usual on a day: median float32 [inputs] of each input over the population; NaN where nobody has one."""

    names: tuple[str, ...]
    medians: NDArray[np.float32]


def usual_values(names: Sequence[str], values: NDArray[np.float32]) -> UsualValues:
    """Return the medians of the inputs, `values` float32 [people x inputs]."""
    medians = np.full(len(names), np.nan, dtype=np.float32)
    for place in range(len(names)):
        column = values[:, place]
        known = column[~np.isnan(column)]
        if len(known):
            medians[place] = np.median(known)
    return UsualValues(tuple(names), medians)


def explain_offers(
    usual: UsualValues, values: NDArray[np.float32], added: NDArray[np.float64]
) -> list[list[str]]:
    """Return the reasons of some offers, strongest first, at most three each.

    Args:
        usual: of the day.
        values: float32 [offers x inputs], of the people concerned.
        added: float64 [offers x inputs], what each input added to the offer's worth; less than 0 is no reason.
    """
    order = np.argsort(-added, axis=1, kind="stable")[:, :REASONS_MAX]
    reasons = []
    for row, places in enumerate(order.tolist()):
        codes = [
            name_reason(usual.names[place], float(values[row, place]), float(usual.medians[place]))
            for place in places
            if added[row, place] > 0
        ]
        reasons.append(codes or [BEST_FOR_ALL])
    return reasons


def name_reason(column: str, value: float, median: float) -> str:
    """Return the code of a column with this value where `median` is usual."""
    if np.isnan(value):
        return f"unknown_{column}"
    if column == "days_to_expiry" and value < 0:
        return _EXPIRED
    if value == median or np.isnan(median):
        return f"usual_{column}"
    code = f"{'low' if value < median else 'high'}_{column}"
    return _NAMES.get(code, code)
