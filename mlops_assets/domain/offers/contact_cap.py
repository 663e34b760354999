"""The contact policy where a step is a week: who may be contacted this week.

Belongs here: the weekly reading of `ContactPolicy`. Does not belong here: the daily one, which is exact
(eligibility.py).

A window of 28 days is this week and the three before it; a cool-down of 7 days or less ends within the week. Quiet
days only move a contact within its week.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.decision_data import HISTORY_WEEKS, STEP_DAYS, DecisionDataError, OfferStates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


def find_contactable(states: OfferStates, policy: ContactPolicy) -> Mask:
    """Return bool [people]: one more contact this week keeps to the policy.

    Raises:
        DecisionDataError: the policy looks back further than a state remembers.
    """
    offers = states.weeks_of("offers")
    within = offers[:, : _weeks_before(policy.window_days)].sum(axis=1) < policy.contacts_max
    cooled = offers[:, : _weeks_before(policy.cool_down_days)].sum(axis=1) == 0
    return np.asarray(within & cooled)


def allow_actions(states: OfferStates, eligible: Mask, policy: ContactPolicy) -> Mask:
    """Return bool [people x choices]: eligible and contactable; `no_offer` always."""
    allowed = eligible & find_contactable(states, policy)[:, None]
    allowed[:, 0] = True
    return allowed


def _weeks_before(days: int) -> int:
    weeks = math.ceil(days / STEP_DAYS) - 1
    if weeks > HISTORY_WEEKS:
        raise DecisionDataError(
            "the contact policy looks back further than a state remembers",
            where=f"{days} days",
            expected=f"at most {(HISTORY_WEEKS + 1) * STEP_DAYS} days",
            remedy="shorten `window_days` or `cool_down_days` of the contact policy",
        )
    return weeks
