"""The catalogue's limits in use: the budget as capacities, and whether groups are treated alike.

Belongs here: from the YAML's limits to what `budget` and reports take. Does not belong here: the allocation itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.offers.budget import Capacity
from mlops_assets.domain.offers.catalogue_spec import BudgetSpec, FairnessBound
from mlops_assets.domain.percentages import show_percent

if TYPE_CHECKING:
    from mlops_assets.domain.offers.budget import Floats

DISCOUNTS, CONTACTS = "discount_usd", "contacts"


def daily_capacities(budget: BudgetSpec, discount_usd: Floats) -> list[Capacity]:
    """Return the limits of a day for `allocate_budget`.

    Args:
        budget: the catalogue's.
        discount_usd: of each action, float [actions] or [prospects x actions]; 0 for `no_offer`, which comes first.
    """
    import numpy as np

    capacities = []
    if budget.discount_usd_per_day is not None:
        capacities.append(Capacity(DISCOUNTS, budget.discount_usd_per_day, discount_usd))
    if budget.contacts_per_day is not None:
        contacts = np.ones(discount_usd.shape[-1])
        contacts[0] = 0.0
        capacities.append(Capacity(CONTACTS, float(budget.contacts_per_day), contacts))
    return capacities


def find_unfair(bound: FairnessBound, groups: Mapping[str, tuple[int, int]]) -> str:
    """Return in words how a bound is exceeded, or nothing if it is kept.

    Args:
        bound: which groups, and by how much they may differ.
        groups: group to its people and those of them who are contacted; groups below `people_min` do not count.
    """
    shares = {
        name: contacted / people for name, (people, contacted) in groups.items() if people >= bound.people_min
    }
    if len(shares) < 2:
        return ""
    most, least = max(shares, key=lambda name: shares[name]), min(shares, key=lambda name: shares[name])
    if shares[most] <= bound.contact_ratio_max * shares[least]:
        return ""
    return (
        f"{bound.by}: {show_percent(shares[most])} of {most} are contacted and {show_percent(shares[least])} of "
        f"{least}; at most {bound.contact_ratio_max:g} times as many are allowed"
    )
