"""What `mlops watch` says of each monitor."""

from __future__ import annotations

import datetime as dt

from mlops_assets.commands.watch import monitor_lines

DAY = dt.date(2024, 5, 3)
RECORD = {
    "monitor": "usage",
    "days": 3,
    "first_day": dt.date(2024, 5, 1),
    "last_day": DAY,
    "outside": 1,
    "checked": 7,
    "verdict": "healthy",
}


def test_only_its_own_reports_of_the_last_day_are_named() -> None:
    """Another monitor's name may end as this one's."""
    paths = [
        f"{name}/all/2024-05/anomalies-{day}.html"
        for name in ("usage", "plan_usage")
        for day in (DAY, "2024-05-02")
    ]
    assert list(monitor_lines(RECORD, paths)) == [
        "usage: 3 days, 2024-05-01 to 2024-05-03; last day: 1 of 7 series outside, healthy",
        "  reports/usage/all/2024-05/anomalies-2024-05-03.html",
    ]


def test_what_is_not_known_is_said_in_words() -> None:
    nothing = dict.fromkeys(("first_day", "last_day", "outside", "checked", "verdict"))
    assert list(monitor_lines(RECORD | nothing | {"days": 0}, [])) == ["usage: nothing was judged"]
    unjudged = dict.fromkeys(("outside", "checked", "verdict"))
    (line,) = monitor_lines(RECORD | unjudged, [])
    assert line.endswith("last day: not judged, no drift verdict")
