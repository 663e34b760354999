"""The catalogue's budget and fairness bounds in use."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.domain.offers.budget import allocate_budget
from mlops_assets.domain.offers.catalogue_spec import BudgetSpec, FairnessBound
from mlops_assets.domain.offers.limits import daily_capacities, find_unfair

DISCOUNT_USD = np.array([0.0, 0.5, 0.0])


def test_a_budget_limits_discounts_and_contacts() -> None:
    scores = np.tile([0.0, 2.0, 1.0], (100, 1))
    budget = BudgetSpec(discount_usd_per_day=10.0, contacts_per_day=50)
    found = allocate_budget(scores, daily_capacities(budget, DISCOUNT_USD))
    assert np.bincount(found.actions).tolist() == [50, 20, 30]
    assert found.gap < 0.01


@pytest.mark.parametrize(
    ("budget", "names"),
    [
        (BudgetSpec(), []),
        (BudgetSpec(contacts_per_day=0), ["contacts"]),
        (BudgetSpec(discount_usd_per_day=0.0), ["discount_usd"]),
    ],
)
def test_only_what_is_limited_is_a_capacity(budget: BudgetSpec, names: list[str]) -> None:
    assert [one.name for one in daily_capacities(budget, DISCOUNT_USD)] == names


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"north": (2000, 200), "south": (2000, 150)}, ""),
        ({"north": (2000, 200), "south": (2000, 100)}, "10% of north are contacted and 5% of south"),
        ({"north": (2000, 200), "south": (2000, 0)}, "0% of south"),
        ({"north": (2000, 200), "south": (900, 0)}, ""),
        ({"north": (2000, 0), "south": (2000, 0)}, ""),
        ({}, ""),
    ],
)
def test_groups_may_differ_by_a_ratio(groups: dict[str, tuple[int, int]], words: str) -> None:
    found = find_unfair(FairnessBound(by="region", contact_ratio_max=1.5), groups)
    assert (words in found) if words else not found
