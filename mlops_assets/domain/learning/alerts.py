"""Alerts for people who can only look at so many a day: which, and what they were worth.

Belongs here: choosing alerts from probabilities, and their figures on labelled rows. Does not belong here: the
threshold's formula (spec.AlertSpec) or why a row is an alert (reports).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset
    from mlops_assets.domain.learning.spec import AlertSpec

    Floats = NDArray[np.float64]

_NO_DAY = np.datetime64("1970-01-01", "D")  # all rows of a snapshot compete for one day's capacity


def rank_alerts(
    probabilities: Floats, keys: NDArray[Any], alerts: AlertSpec
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """Return which rows of one day are alerts, and the rank of each, 1 first, 0 for no alert.

    Alerts are the rows worth their cost, the likeliest first, as many as the day's capacity; equal ones by key, so that
    the list does not depend on the order of rows.

    Args:
        probabilities: of the event, float64 [rows].
        keys: entity of each row [rows].
        alerts: costs and capacity.
    """
    order = np.lexsort((keys.astype(str), -probabilities))
    worth = order[probabilities[order] > alerts.threshold][: alerts.capacity_per_day]
    ranks = np.zeros(len(probabilities), dtype=np.int32)
    ranks[worth] = np.arange(1, len(worth) + 1)
    return ranks > 0, ranks


def measure_alerts(rows: Dataset, probabilities: Floats, alerts: AlertSpec) -> dict[str, float]:
    """Return what alerts would have been worth on labelled rows, day by day.

    Returns:
        `precision_at_capacity` and `recall_at_capacity`: of the `capacity_per_day` likeliest rows of each as-of day,
        whatever their cost; `alert_cost_usd_per_1000`: missed events and false alarms of the alerts that the
        threshold and the capacity give, by 1,000 rows; `alerts_per_day`. A figure that is undefined is left out: no
        rows, or no events for the recall.
    """
    if rows.rows == 0:
        return {}
    days = np.full(rows.rows, _NO_DAY) if rows.as_of is None else rows.as_of
    hits = listed = cost = raised = 0.0
    for day in np.unique(days):
        on_day = np.flatnonzero(days == day)
        y, p = rows.y[on_day], probabilities[on_day]
        hits_today, listed_today = _hits_at_capacity(y, p, alerts.capacity_per_day)
        hits, listed = hits + hits_today, listed + listed_today
        is_alert, _ = rank_alerts(p, rows.keys[on_day], alerts)
        raised += float(is_alert.sum())
        cost += alerts.false_alarm_usd * float((is_alert & (y == 0)).sum())
        cost += alerts.missed_event_usd * float((~is_alert & (y == 1)).sum())
    events = float(rows.y.sum())
    figures = {
        "precision_at_capacity": hits / listed,
        "alert_cost_usd_per_1000": cost / rows.rows * 1000,
        "alerts_per_day": raised / len(np.unique(days)),
    }
    return figures | ({"recall_at_capacity": hits / events} if events else {})


def _hits_at_capacity(y: Floats, probabilities: Floats, capacity: int) -> tuple[float, float]:
    """Return events among the likeliest rows and how many these are; equal ones at the border count in proportion."""
    listed = min(capacity, len(y))
    if listed == len(y):
        return float(y.sum()), float(listed)
    border = np.partition(probabilities, len(y) - listed)[len(y) - listed]
    above, at = probabilities > border, probabilities == border
    open_places = listed - int(above.sum())
    return float(y[above].sum() + y[at].mean() * open_places), float(listed)
