"""Weeks of the data, Monday to Sunday.

Belongs here: where a week ends. Does not belong here: what is reported by the week.
"""

from __future__ import annotations

import datetime as dt

WEEK_DAYS = 7


def sunday_of(day: dt.date) -> dt.date:
    """Return the last day of a day's week."""
    return day + dt.timedelta(days=WEEK_DAYS - day.isoweekday())


def ends_week(day: dt.date) -> bool:
    """Return whether a week ends on a day."""
    return day == sunday_of(day)


def last_week_end(day: dt.date) -> dt.date:
    """Return the newest Sunday up to a day."""
    return sunday_of(day + dt.timedelta(days=1)) - dt.timedelta(days=WEEK_DAYS)
