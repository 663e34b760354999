"""What a run says of files that it could not use, and how it counts days."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from mlops_assets.commands.job_runs import Refusal
from mlops_assets.commands.output import Output
from mlops_assets.commands.replay import DayResult
from mlops_assets.commands.run import DayPrinter, _count_days
from mlops_assets.commands.summary import find_faulty_files

if TYPE_CHECKING:
    import pytest

DAY = dt.date(2026, 8, 20)
NEXT = DAY + dt.timedelta(days=1)


def run(day: dt.date, status: str, *refused: Refusal) -> DayResult:
    return DayResult(day=day, status=status, refused=refused)


MISSING = Refusal("topups", "cl", "the file has not been delivered", "missing")
HELD = Refusal("usage", "pe", "1024 times the usual", "held")
REFUSED = Refusal("dna", "pe", "column AGE is missing", "refused")


def test_a_file_that_came_later_is_late_and_not_refused() -> None:
    """The first run of its day misses it, a later one builds the day with it."""
    (one,) = find_faulty_files([run(DAY, "incomplete", MISSING), run(NEXT, "built"), run(DAY, "built")])
    assert (one.feed, one.geography, one.day, one.state) == ("topups", "cl", DAY, "late")
    assert "not been delivered" not in one.reason


def test_a_file_that_never_came_is_missing() -> None:
    results = [run(DAY, "incomplete", MISSING), run(NEXT, "built"), run(DAY, "incomplete", MISSING)]
    (one,) = find_faulty_files(results)
    assert (one.state, one.reason) == ("missing", MISSING.reason)


def test_states_are_kept_apart_and_what_is_settled_says_so() -> None:
    results = [run(DAY, "incomplete", HELD, REFUSED), run(DAY, "incomplete", REFUSED), run(DAY, "unchanged")]
    found = {one.feed: one for one in find_faulty_files(results)}
    assert (found["dna"].state, found["dna"].reason) == ("refused", REFUSED.reason)
    assert found["usage"].state == "held"
    assert found["usage"].reason.endswith("settled since: delivered again or released")


def test_what_is_settled_is_said_once_however_often_its_day_is_run() -> None:
    (one,) = find_faulty_files([run(DAY, "incomplete", HELD), *[run(DAY, "built")] * 3])
    assert one.reason == f"{HELD.reason}; settled since: delivered again or released"


def test_a_day_that_failed_again_settles_nothing() -> None:
    (one,) = find_faulty_files([run(DAY, "incomplete", MISSING), run(DAY, "failed")])
    assert one.state == "missing"


def test_runs_of_one_day_are_one_day() -> None:
    assert _count_days([run(DAY, "built"), run(NEXT, "built")]) == "2 days"
    assert _count_days([run(DAY, "incomplete"), run(NEXT, "built"), run(DAY, "built")]) == "2 days in 3 runs"


def test_an_earlier_day_that_is_built_again_leaves_no_more_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Five of ten days took a second each; one of them again is a sixth second, and five days are left."""
    show = DayPrinter(DAY, DAY + dt.timedelta(days=9), Output(None))
    for number in (0, 1, 2, 3, 4, 1):
        show(DayResult(DAY + dt.timedelta(days=number), "built", seconds=1.0))
    assert capsys.readouterr().out.splitlines()[-1].endswith(" 6 s left")
