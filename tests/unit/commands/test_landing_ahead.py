"""Feeds that are read ahead: in order, only while they stay what is due, never beside another reader."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from mlops_assets.commands.job_runs import JobResult, JobRun, JobRunner, Refusal
from mlops_assets.commands.landing_ahead import LandedDay, LandingAhead
from mlops_assets.commands.replay import Replay
from mlops_assets.config import names
from mlops_assets.domain.feeds.arrival import DueDay

DONE = JobResult(succeeded=True, refused=(), failures=())
KEYS = (("etl", "usage_30d"), ("feeds", "usage"), ("reports", "day_log"), ("scores", "churn", "churn_risk"))


def day(number: int) -> dt.date:
    return dt.date(2026, 8, 3) + dt.timedelta(days=number)


def due(number: int, files: str = "files") -> DueDay:
    return DueDay(day(number), f"fingerprint {number}", "new day", files)


@dataclass
class Reader:
    """Stands for the process that reads; a day is read when the test says so, or at once."""

    is_slow: bool = False
    result: JobResult = DONE
    asked: list[dt.date] = field(default_factory=list)
    reads: dict[dt.date, Future[LandedDay | None]] = field(default_factory=dict)

    def submit(self, _act: object, asked: dt.date, known: DueDay | None) -> Future[LandedDay | None]:
        """Note that a day is asked for."""
        assert known is None or known.day == asked
        self.asked.append(asked)
        self.reads[asked] = Future()
        if not self.is_slow:
            self.read(asked)
        return self.reads[asked]

    def read(self, asked: dt.date) -> None:
        """Read the feeds of a day."""
        self.reads[asked].set_result(LandedDay(due((asked - day(0)).days), self.result))


def ahead_of(reader: Reader) -> LandingAhead:
    return LandingAhead(cast("Any", reader))


def test_days_are_read_once_and_in_order() -> None:
    reader = Reader()
    ahead = ahead_of(reader)
    for number in (0, 1, 1, 0, 2):
        ahead.ask(day(number))
    assert reader.asked == [day(0), day(1), day(2)]
    assert [ahead.take(due(number)) for number in range(3)] == [DONE] * 3
    ahead.ask(day(1))
    assert reader.asked == [day(0), day(1), day(2)], "a day that was taken is not read again"


def test_nothing_is_read_any_more_once_it_is_closed() -> None:
    reader = Reader()
    ahead = ahead_of(reader)
    ahead.close()
    ahead.ask(day(0))
    assert reader.asked == []


def test_a_day_that_nobody_asked_for_is_read_when_it_is_taken() -> None:
    reader = Reader()
    assert ahead_of(reader).take(due(0)) == DONE
    assert reader.asked == [day(0)]


@pytest.mark.parametrize(
    ("wanted", "result"),
    [(due(0, "delivered again"), DONE), (due(0), replace(DONE, succeeded=False))],
    ids=["other files", "failed"],
)
def test_what_is_no_longer_due_is_not_used_nor_what_rests_on_it(wanted: DueDay, result: JobResult) -> None:
    reader = Reader(result=result)
    ahead = ahead_of(reader)
    ahead.ask(day(0))
    ahead.ask(day(1))
    assert ahead.take(wanted) is None
    ahead.ask(day(1))
    assert reader.asked == [day(0), day(1)], "nothing is read while the caller reads"
    reader.result = DONE
    assert ahead.take(due(1)) == DONE
    assert reader.asked == [day(0), day(1), day(1)], "it was read again, from what is there now"


def test_an_earlier_day_that_is_due_again_is_read_by_the_caller() -> None:
    reader = Reader()
    ahead = ahead_of(reader)
    for number in range(3):
        ahead.ask(day(number))
    assert ahead.take(due(0)) == DONE
    assert ahead.take(due(0)) is None, "later days have been read already"
    assert ahead.take(due(1)) == DONE
    assert reader.asked == [day(0), day(1), day(2), day(1)]


def test_two_processes_never_read_at_once() -> None:
    reader = Reader(is_slow=True)
    ahead = ahead_of(reader)
    ahead.ask(day(0))
    ahead.ask(day(1))
    reader.read(day(0))
    with ThreadPoolExecutor(1) as caller:
        taken = caller.submit(ahead.take, due(0, "delivered again"))
        with pytest.raises(TimeoutError):
            taken.result(timeout=0.2)
        reader.read(day(1))
        assert taken.result(timeout=10) is None


@dataclass
class Runner:
    """Stands for what runs jobs."""

    runs: list[JobRun] = field(default_factory=list)

    def asset_keys(self, _job_name: str) -> tuple[tuple[str, ...], ...]:
        """Return the day's assets."""
        return KEYS

    def execute(self, run: JobRun) -> JobResult:
        """Note a run."""
        self.runs.append(run)
        return replace(DONE, failures=("built",))


def replay_with(reader: Reader | None) -> tuple[Replay, Runner]:
    replay, runner = Replay(cast("Any", None), cast("Any", None)), Runner()
    replay.__dict__["runner"] = cast("JobRunner", runner)
    replay.ahead = ahead_of(reader) if reader else None
    return replay, runner


@pytest.mark.parametrize("is_history", [False, True])
def test_a_day_is_built_from_the_feeds_that_were_read(*, is_history: bool) -> None:
    refused = Refusal("usage", "cl", "held", "held")
    replay, runner = replay_with(Reader(result=replace(DONE, refused=(refused,), failures=("read",))))
    done = replay.build(due(0), is_history=is_history)
    assert (done.refused, done.failures) == ((refused,), ("read", "built"))
    (run,) = runner.runs
    rest = [key for key in KEYS if not names.is_feed(key)]
    assert list(run.only) == (rest[:2] if is_history else rest)


@pytest.mark.parametrize("is_history", [False, True])
def test_a_day_whose_feeds_were_not_read_is_run_whole(*, is_history: bool) -> None:
    for reader in (None, Reader(result=replace(DONE, succeeded=False))):
        replay, runner = replay_with(reader)
        replay.build(due(0), is_history=is_history)
        (run,) = runner.runs
        assert run.only == (KEYS[:3] if is_history else ())
