"""Clocks, and four weeks of contacts and purchases, as a statement computes them at the end of a day.

Belongs here: sums by week and days since, of the logs. Does not belong here: the rest of a state (offer_states.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.features.table import unbound
from mlops_assets.domain.feeds.contract import ColumnType
from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.decision_data import CLOCK_BOUNDS, HISTORIES, HISTORY_WEEKS, STEP_DAYS
from mlops_assets.domain.offers.reconciliation import NO_OFFER

if TYPE_CHECKING:
    import ibis.expr.types as ir

_KEY = "subscriber_id"
CONTACT_COLUMNS: dict[str, ColumnType] = {_KEY: "integer", "is_accepted": "boolean"}
PROPOSED_COLUMNS: dict[str, ColumnType] = {_KEY: "integer", "plan_code": "text"}
PURCHASE_COLUMNS: dict[str, ColumnType] = {_KEY: "integer", "n_plans": "integer", "n_boosters": "integer"}
AS_OF_COLUMNS: dict[str, ColumnType] = {"as_of_day": "date", "chunk": "integer", "chunks": "integer"}
# What a clock says where nothing is known: expired long ago, not a customer yet, never contacted.
_UNKNOWN_CLOCKS = {"days_to_expiry": -60.0, "tenure_days": 0.0, "days_since_offer": 60.0}


def history_columns() -> Sequence[str]:
    """Return the names of the histories' columns in the order of a state."""
    return [f"{name}_week_{week}" for name in HISTORIES for week in range(1, HISTORY_WEEKS + 1)]


def clock_of(rows: ir.Table, name: str) -> ir.Value:
    """Return a clock within its bounds; a number also where nothing is known."""
    value = rows.last_age_days - 1 if name == "days_since_offer" else rows[name]
    low, high = CLOCK_BOUNDS[name]
    return value.cast("float32").fill_null(_UNKNOWN_CLOCKS[name]).clip(low, high).cast("float32")


def contact_history(as_of: ir.Table, policy: ContactPolicy) -> ir.Table:
    """Return contacts by week, those ignored, days from the last one to the day after, contacts in the window."""
    rows = _all_contacts().cross_join(as_of)
    rows = rows.filter((rows[_KEY] % rows.chunks == rows.chunk) & (rows.file_day <= rows.as_of_day))
    age_days = rows.as_of_day.delta(rows.file_day, unit="day")
    is_ignored = ~rows.is_accepted.fill_null(False)
    sums: dict[str, Any] = {}
    for week in range(1, HISTORY_WEEKS + 1):
        inside = _is_in_week(age_days, week)
        sums[f"offers_week_{week}"] = inside.cast("int64").sum()
        sums[f"ignored_week_{week}"] = (inside & is_ignored).cast("int64").sum()
    # The contact policy counts days from the day of the offers, which is the day after.
    offer_age_days = age_days + 1
    return rows.group_by(contacted=rows[_KEY]).aggregate(
        in_window=(offer_age_days < policy.window_days).cast("int64").sum(),
        last_age_days=offer_age_days.min(),
        **sums,
    )


def _all_contacts() -> ir.Table:
    """Return the logged contacts, and the offers that we proposed on days whose log is not published.

    A log that is late or held says nothing; nobody may be contacted twice because of it.
    """
    import ibis

    logged = unbound("contacts", {**CONTACT_COLUMNS, "file_day": "date"})
    proposed = unbound("proposed", {**PROPOSED_COLUMNS, "file_day": "date"})
    offers = proposed.filter(proposed.plan_code != NO_OFFER)
    assumed = offers.select(_KEY, "file_day", is_accepted=ibis.literal(False))
    return logged.select(_KEY, "file_day", "is_accepted").union(assumed)


def purchase_history(as_of: ir.Table) -> ir.Table:
    """Return plans and boosters bought by week, one row a buyer."""
    rows = unbound("purchases", {**PURCHASE_COLUMNS, "file_day": "date"}).cross_join(as_of)
    rows = rows.filter((rows[_KEY] % rows.chunks == rows.chunk) & (rows.file_day <= rows.as_of_day))
    age_days = rows.as_of_day.delta(rows.file_day, unit="day")
    sums: dict[str, Any] = {}
    for week in range(1, HISTORY_WEEKS + 1):
        inside = _is_in_week(age_days, week)
        sums[f"plans_bought_week_{week}"] = inside.ifelse(rows.n_plans, 0).sum()
        sums[f"boosters_bought_week_{week}"] = inside.ifelse(rows.n_boosters, 0).sum()
    return rows.group_by(buyer=rows[_KEY]).aggregate(**sums)


def _is_in_week(age_days: ir.Value, week: int) -> ir.Value:
    return (age_days >= STEP_DAYS * (week - 1)) & (age_days < STEP_DAYS * week)
