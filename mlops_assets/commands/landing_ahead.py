"""Feeds of coming days, read by a process of their own while this one builds the days before.

Belongs here: asking for a day's feeds, and whether what was read is still what is due. Does not belong here: which days
are asked for (history.py, demo_run.py), or what follows from feeds (replay.py).

Feeds rest on nothing but files and earlier feeds. So they may be read ahead as long as no earlier day's feeds are read
again in the meantime.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops_assets.commands.job_runs import JobResult, load_jobs, worker_runner
from mlops_assets.commands.replay import Replay, daily_run
from mlops_assets.config import names

if TYPE_CHECKING:
    from mlops_assets.domain.feeds.arrival import DueDay


@dataclass(frozen=True)
class LandedDay:
    """A due day whose feeds were read, and the result of that run."""

    due: DueDay
    result: JobResult


@dataclass
class LandingAhead:
    """Reads the feeds of days, oldest first; `pool` has one process, of a `JobRunner`. Any thread may ask."""

    pool: ProcessPoolExecutor
    _asked: dict[dt.date, Future[LandedDay | None]] = field(default_factory=dict)
    _newest: dt.date = dt.date.min
    _is_held: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Let the process load the graph, before there is anything to read."""
        self.pool.submit(load_jobs, [names.DAILY_JOB])

    def ask(self, day: dt.date, due: DueDay | None = None) -> None:
        """Let the feeds of a day be read, whose files are there, after those of the days before.

        Nothing is done about a day that was asked for before, or while somebody else reads feeds.

        Args:
            day: whose feeds.
            due: that day, if the caller knows how it is due.
        """
        with self._lock:
            if day > self._newest and not self._is_held:
                self._newest = day
                self._asked[day] = self.pool.submit(_land, day, due)

    def take(self, due: DueDay) -> JobResult | None:
        """Wait for the feeds of a due day and return their run, or None if the caller has to read them.

        That is: a later day is asked for already, they could not be read, or their files have changed since. Later days
        rest on the feeds that are replaced then: they are forgotten, and none is read until the next call.
        """
        self._is_held = False
        self.ask(due.day, due)
        asked = self._asked.pop(due.day, None)
        landed = asked.result() if asked is not None else None
        if landed is not None and landed.due.files == due.files and landed.result.succeeded:
            return landed.result
        with self._lock:
            self._is_held, self._newest = True, due.day
            later, self._asked = self._asked, {}
        wait(later.values())
        return None

    def close(self) -> None:
        """Read nothing more, whoever asks."""
        with self._lock:
            self._is_held = True


@contextmanager
def open_landing_ahead(replay: Replay) -> Iterator[None]:
    """Let a replay take the feeds that a process has read ahead, where there are two cores or more."""
    if replay.workspace.config.environment.executor.cores < 2:
        yield
        return
    with replay.runner.open_pool(1, shares=2) as pool:
        replay.ahead = ahead = LandingAhead(pool)
        ahead.start()
        try:
            yield
        finally:
            replay.ahead = None
            ahead.close()


def _land(day: dt.date, due: DueDay | None) -> LandedDay | None:
    """Read the feeds of a day in this process, if it is due."""
    runner = worker_runner()
    if due is None:
        found = Replay(runner.workspace, runner.instance).due_days(day, day)
        due = next((one for one in found if one.day == day), None)
    if due is None:
        return None
    feeds = tuple(key for key in runner.asset_keys(names.DAILY_JOB) if names.is_feed(key))
    return LandedDay(due, runner.execute(daily_run(due, feeds)))
