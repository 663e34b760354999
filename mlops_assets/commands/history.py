"""Import of past days: what later days rest on, and nothing else.

Belongs here: which assets a day of history has, and the two processes that build them. Does not belong here: days as
they are lived (replay.py).

An operator that joins brings weeks of files. Ranges, windows and trainings need those weeks; nobody needs the reports,
scores and offers of days that are long over. Feeds rest on nothing but files and earlier feeds, so a process of its own
reads the coming days' files while this one builds the tables of the days before.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mlops_assets.commands.job_runs import JobResult, execute_in_worker
from mlops_assets.commands.replay import DayResult, Replay, daily_run, days_between
from mlops_assets.config import names

if TYPE_CHECKING:
    from mlops_assets.domain.feeds.arrival import DueDay

Keys = tuple[tuple[str, ...], ...]


@dataclass
class HistoryImport:
    """Imports days of a replay's workspace; `pool` is the process that reads feeds ahead, if there is one."""

    replay: Replay
    pool: ProcessPoolExecutor | None = None

    def run(self, first: dt.date, last: dt.date, on_day: Callable[[DayResult], None]) -> list[DayResult]:
        """Build every due day between `first` and `last` as history; days that are built already are told as such.

        Feeds, feature tables, ranges, witnesses and verdicts are those of day-by-day runs; no report is rendered,
        nothing is scored or offered, and no sensor looks at these days.
        """
        due, results = {one.day: one for one in self.replay.due_days(first, last)}, []
        landed = self._land(list(due.values()))
        for day in days_between(first, last):
            if day in due:
                started = time.monotonic()
                done = self._build(due[day], next(landed))
                results.append(self.replay.tell_day(day, done, time.monotonic() - started))
            elif self.replay.is_built(day):
                results.append(self.replay.run_day(day, None))
            else:
                continue  # nothing was delivered for it
            on_day(results[-1])
        return results

    def _land(self, due: Sequence[DueDay]) -> Iterator[JobResult]:
        """Yield what became of each day's feeds; with a pool they are asked for at once and read in order."""
        runs = [daily_run(one, self._feed_keys) for one in due]
        if self.pool is None:
            yield from map(self.replay.runner.execute, runs)
            return
        asked = [self.pool.submit(execute_in_worker, [run]) for run in runs]
        for future in asked:
            yield future.result()[0]

    def _build(self, due: DueDay, landed: JobResult) -> JobResult:
        """Build what follows from a day's feeds, if they are there, and return the result of both."""
        if not landed.succeeded:
            return landed
        built = self.replay.runner.execute(daily_run(due, self._table_keys))
        return JobResult(
            built.succeeded, (*landed.refused, *built.refused), (*landed.failures, *built.failures)
        )

    @cached_property
    def _feed_keys(self) -> Keys:
        return tuple(key for key in self._keys if key[0] == "feeds")

    @cached_property
    def _table_keys(self) -> Keys:
        return tuple(key for key in self._keys if key[0] != "feeds")

    @cached_property
    def _keys(self) -> Keys:
        job = self.replay.workspace.definitions.resolve_job_def(names.DAILY_JOB)
        paths = (tuple(key.path) for key in job.asset_layer.executable_asset_keys)
        return tuple(sorted(path for path in paths if names.is_history(path)))


@contextmanager
def open_history_import(replay: Replay) -> Iterator[HistoryImport]:
    """Open an import, with a process that reads feeds ahead where there are two cores or more."""
    if replay.workspace.config.environment.executor.cores < 2:
        yield HistoryImport(replay)
        return
    with replay.runner.open_pool(1, shares=2) as pool:
        yield HistoryImport(replay, pool)
