"""How far a feed is behind, as seen from the day of a run."""

from __future__ import annotations

import datetime as dt

import pytest

from mlops_assets.domain.feeds.freshness import judge_freshness
from tests.unit.domain.feeds.conftest import contract

DAY = dt.date(2026, 8, 10)


def back(days: int) -> dt.date:
    return DAY - dt.timedelta(days=days)


@pytest.mark.parametrize(
    ("hours", "behind", "is_fresh"),
    [
        (24, 1, True),
        (24, 2, False),
        (25, 2, True),
        (30, 2, True),
        (30, 3, False),
        (1, 1, True),
        (1, 2, False),
    ],
)
def test_the_deadline_is_rounded_up_to_days(hours: int, behind: int, *, is_fresh: bool) -> None:
    feed = contract("usage").model_copy(update={"arrival_deadline_hours": hours})
    found = judge_freshness(feed, "cl", DAY, [back(9), back(behind)])
    assert (found.is_fresh, found.days_behind) == (is_fresh, behind)


def test_the_words_say_which_geography_and_how_late() -> None:
    late = judge_freshness(contract("usage"), "pe", DAY, [back(4), back(7)])
    assert late.text == (
        "pe: late; the newest published day is 2026-08-06, 4 days behind 2026-08-10; 2 days behind are allowed"
    )
    daily = contract("usage").model_copy(update={"arrival_deadline_hours": 24})
    assert judge_freshness(daily, "pe", DAY, [back(2)]).text.endswith("; 1 day behind is allowed")
    in_time = judge_freshness(contract("usage"), "cl", DAY, [back(1)])
    assert in_time.text == "cl: in time; the newest published day is 2026-08-09, 1 day behind 2026-08-10"


def test_a_geography_that_never_delivered_is_not_fresh() -> None:
    found = judge_freshness(contract("usage"), "pe", DAY, [])
    assert (found.is_fresh, found.text) == (False, "pe: nothing is published up to 2026-08-10")


def test_a_replayed_day_does_not_see_the_days_after_it() -> None:
    """Whatever was delivered later: on that day the feed was late."""
    later = DAY + dt.timedelta(days=1)
    assert not judge_freshness(contract("usage"), "cl", DAY, [back(5), later]).is_fresh
    assert judge_freshness(contract("usage"), "cl", later, [back(5), later]).days_behind == 0
