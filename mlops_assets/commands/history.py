"""Import of past days: what later days rest on, and nothing else.

Belongs here: which days of history are built, and in which order. Does not belong here: days as they are lived
(replay.py), or reading feeds ahead (landing_ahead.py).

An operator that joins brings weeks of files. Ranges, windows and trainings need those weeks; nobody needs the reports,
scores and offers of days that are long over.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

from mlops_assets.commands.replay import DayResult, Replay, days_between


def import_history(
    replay: Replay, first: dt.date, last: dt.date, on_day: Callable[[DayResult], None]
) -> list[DayResult]:
    """Build every due day between `first` and `last` as history; days that are built already are told as such.

    Feeds, feature tables, ranges, witnesses and verdicts are those of day-by-day runs; no report is rendered, nothing
    is scored or offered, and no sensor looks at these days.
    """
    due, results = {one.day: one for one in replay.due_days(first, last)}, []
    if replay.ahead is not None:
        for day, one in due.items():
            replay.ahead.ask(day, one)
    for day in days_between(first, last):
        if day in due:
            started = time.monotonic()
            done = replay.build(due[day], is_history=True)
            results.append(replay.tell_day(day, done, time.monotonic() - started))
        elif replay.is_built(day):
            results.append(replay.run_day(day, None))
        else:
            continue  # nothing was delivered for it
        on_day(results[-1])
    return results
