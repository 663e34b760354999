"""The simulated operator in a process of its own: the next days come while this process builds the ones before.

Belongs here: which days may be delivered ahead, and waiting for them. Does not belong here: what a day holds
(mlops_assets.sandbox).

The operator sends the offers that the platform delivered for a day, so a day may only be simulated ahead as long as
nothing is offered: before any policy of offers is champion. Until then the files of a day are the same whenever it is
simulated.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mlops_assets.commands.job_runs import follow_parent
from mlops_assets.commands.sandbox import sandbox_arguments
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.policy_slots import policy_slots
from mlops_assets.sandbox.sandbox_state import load_state
from mlops_assets.sandbox.simulation import advance

_DAY = dt.timedelta(days=1)


@dataclass
class OperatorProcess:
    """Days of a sandbox, delivered in order by one process; a call with a later workspace brings its geographies."""

    pool: ProcessPoolExecutor
    on_delivered: Callable[[dt.date], None] | None = None  # called in a thread of its own
    _ordered: dict[dt.date, Future[None]] = field(default_factory=dict)

    def order(self, workspace: Workspace, last: dt.date) -> None:
        """Ask for all days until `last` that are neither delivered nor asked for."""
        if not self._ordered or last > max(self._ordered):
            self._ordered[last] = self.pool.submit(_deliver_until, _arguments(workspace), last)
            self._ordered[last].add_done_callback(partial(self._tell, last))

    def order_ahead(self, workspace: Workspace, last: dt.date) -> None:
        """Ask for the days until `last` if they do not depend on what will be offered before them."""
        if may_deliver_ahead(workspace):
            self.order(workspace, last)

    def wait(self, workspace: Workspace, day: dt.date) -> None:
        """Return when the files of `day` are there."""
        self.order(workspace, day)
        for future in [one for last, one in sorted(self._ordered.items()) if last <= day]:
            future.result()
        self._first_from(day).result()

    def _tell(self, last: dt.date, delivery: Future[None]) -> None:
        if self.on_delivered and not delivery.cancelled() and delivery.exception() is None:
            self.on_delivered(last)

    def _first_from(self, day: dt.date) -> Future[None]:
        return self._ordered[min(last for last in self._ordered if last >= day)]


@contextmanager
def open_operator() -> Iterator[OperatorProcess]:
    """Open the operator's process; it ends with the block, after the day that it is simulating."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), follow_parent) as pool:
        try:
            yield OperatorProcess(pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def may_deliver_ahead(workspace: Workspace) -> bool:
    """Whether the operator's coming days are independent of the days that are still to be run: nothing is offered."""
    ledger = workspace.platform.ledger
    return all(ledger.champion(slot) is None for slot in policy_slots(workspace.config))


def _arguments(workspace: Workspace) -> dict[str, Any]:
    arguments = sandbox_arguments(workspace)
    return {**arguments, "threads": max(1, arguments["threads"] // 2)}


def _deliver_until(arguments: Mapping[str, Any], last: dt.date) -> None:
    missing = (last + _DAY - load_state(arguments["root"]).next_day).days
    if missing > 0:
        advance(**arguments, days=missing)
