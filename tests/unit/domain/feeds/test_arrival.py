"""Which days are due, and when a failed day is asked for again."""

from __future__ import annotations

import datetime as dt

import pytest

from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.feeds.arrival import (
    LONGEST_WINDOW_DAYS,
    MOST_ATTEMPTS,
    DayDelivery,
    DayIdentities,
    DayRun,
    DueDay,
    decide_run,
    plan_due_days,
    window_fingerprint,
)

FIRST = dt.date(2026, 8, 3)
NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
IDENTITIES = DayIdentities("v1", frozenset({"dna"}))
DUE = DueDay(FIRST, "abc", "new day", "files")


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def deliveries(count: int, **changed: str) -> dict[dt.date, DayDelivery]:
    """Return days with two feeds; `changed` replaces the file of a feed on the first day."""
    found = {day(n): DayDelivery(day(n), {"cl/usage": f"u{n}", "cl/dna": f"d{n}"}) for n in range(count)}
    first = {**found[FIRST].files, **{f"cl/{feed}": file for feed, file in changed.items()}}
    return {**found, FIRST: DayDelivery(FIRST, first)}


@pytest.mark.parametrize(
    ("number", "feed", "is_changed"),
    [
        (LONGEST_WINDOW_DAYS - 1, "usage", True),
        (LONGEST_WINDOW_DAYS, "usage", False),
        (LONGEST_WINDOW_DAYS, "dna", True),
        (LONGEST_WINDOW_DAYS + 20, "dna", True),
    ],
)
def test_a_correction_reaches_as_far_as_its_feed_does(number: int, feed: str, *, is_changed: bool) -> None:
    """A window forgets; what is carried forward does not."""
    before, after = deliveries(number + 1), deliveries(number + 1, **{feed: "corrected"})
    found = [window_fingerprint(files, day(number), IDENTITIES) for files in (before, after)]
    assert (found[0] != found[1]) == is_changed


def test_no_table_looks_further_back_than_a_correction_reaches() -> None:
    windows = {source.days for table in FEATURE_TABLES.values() for source in table.inputs}
    assert max(windows) == LONGEST_WINDOW_DAYS


def test_days_are_due_once_and_again_when_their_champion_changes() -> None:
    files, wanted = deliveries(3), ["cl/usage", "cl/dna"]
    first = plan_due_days(files, wanted, {}, IDENTITIES)
    assert [d.day for d in first] == list(files)
    built = {d.day: d.fingerprint for d in first}
    assert plan_due_days(files, wanted, built, IDENTITIES) == []
    served = DayIdentities("v1", frozenset({"dna"}), {day(2): "a model"})
    assert [d.day for d in plan_due_days(files, wanted, built, served)] == [day(2)]


def test_a_new_geography_makes_only_days_from_its_first_on_due() -> None:
    """Its code is in the configuration at once; the days before it know nothing of it."""
    files, wanted = deliveries(3), ["cl/usage", "cl/dna"]
    alone = DayIdentities("v1", frozenset({"dna"}), geographies={"cl": "a"})
    built = {d.day: d.fingerprint for d in plan_due_days(files, wanted, {}, alone)}
    both = DayIdentities("v1", frozenset({"dna"}), geographies={"cl": "a", "co": "b"})
    assert plan_due_days(files, wanted, built, both) == []
    files[day(2)] = DayDelivery(day(2), {**files[day(2)].files, "co/usage": "x"})
    assert [d.day for d in plan_due_days(files, wanted, built, both)] == [day(2)]


def test_a_geography_that_changes_makes_all_days_due_from_its_first_on() -> None:
    files, wanted = deliveries(3), ["cl/usage", "cl/dna"]
    files[day(1)] = DayDelivery(day(1), {**files[day(1)].files, "co/usage": "x"})
    before = DayIdentities("v1", frozenset({"dna"}), geographies={"cl": "a", "co": "b"})
    built = {d.day: d.fingerprint for d in plan_due_days(files, wanted, {}, before)}
    after = DayIdentities("v1", frozenset({"dna"}), geographies={"cl": "a", "co": "changed"})
    assert [d.day for d in plan_due_days(files, wanted, built, after)] == [day(1), day(2)]


def ended(minutes_ago: float, *, is_success: bool = False, fingerprint: str = "abc") -> DayRun:
    return DayRun(fingerprint, is_success, NOW - dt.timedelta(minutes=minutes_ago))


def test_a_new_day_is_asked_for_and_a_running_one_is_not() -> None:
    assert decide_run(DUE, [], NOW).run_key == f"{FIRST}/abc/0"
    running = decide_run(DUE, [DayRun("abc", is_success=False, ended_at_utc=None)], NOW)
    assert running.run_key == ""
    assert "is running" in running.reason


def test_a_failed_day_is_tried_again_later_and_later_and_then_given_up() -> None:
    assert "tried again at" in decide_run(DUE, [ended(0.5)], NOW).reason
    assert decide_run(DUE, [ended(2)], NOW).run_key == f"{FIRST}/abc/1"
    assert decide_run(DUE, [ended(9), ended(2)], NOW).run_key == ""
    assert decide_run(DUE, [ended(9), ended(5)], NOW).run_key == f"{FIRST}/abc/2"
    given_up = decide_run(DUE, [ended(900 + n) for n in range(MOST_ATTEMPTS)], NOW)
    assert given_up.run_key == ""
    assert "by hand" in given_up.reason


def test_a_change_that_is_taken_back_is_run_again() -> None:
    """The same files were run before, with success; the run key must be another one."""
    runs = [ended(90, is_success=True), ended(60, is_success=True, fingerprint="other")]
    assert decide_run(DUE, runs, NOW).run_key == f"{FIRST}/abc/2"
    assert decide_run(DUE, [ended(1, fingerprint="other")], NOW).run_key == f"{FIRST}/abc/1"
