"""Weeks of the data, Monday to Sunday.

Belongs here: where a week ends. Does not belong here: what is reported by the week.
"""

from __future__ import annotations

import datetime as dt

WEEK_DAYS = 7


def sunday_of(day: dt.date) -> dt.date:
    """Return the last day of a day's week."""
    return day + dt.timedelta(days=WEEK_DAYS - day.isoweekday())
