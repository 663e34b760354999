"""The one process that runs Dagster's daemon: it leads while it holds a lock, and ends when it may have lost it.

Belongs here: waiting for the lock, watching it, what the process says about itself. Does not belong here: the lock
(process_lock), the daemon (Dagster), or the pages (health_pages).

PostgreSQL frees the lock when the session ends, which the old leader may notice later than a new one. So the old one
ends within LOST_AFTER_S of the last answer, and a new one waits TAKE_OVER_S before it begins: never two at work, unless
a process stands still for longer than that. Even then no run is executed twice (run_worker).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mlops_assets.domain.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resources.process_lock import ProcessLock

LOCK_NAME = "daemon"
POLL_S = 2.0
LOST_AFTER_S = 10.0
TAKE_OVER_S = 15.0
_SAY_EVERY_S = 60.0
LeaderState = Literal["waiting", "taking over", "leading"]
_LOG = logging.getLogger("mlops_assets.daemon")


def end_process() -> None:
    """End this process at once, and with it every thread that acts as leader."""
    logging.shutdown()
    os._exit(1)


@dataclass
class Leadership:
    """Who leads, from the view of this process.

    Attributes:
        lock: the same one in all candidates.
        take_over_s: wait between the lock and the work; 0 where the lock cannot be lost.
        lost_after_s: without an answer about the lock for so long, it counts as lost.
        poll_s: between two looks at the lock.
        on_loss: ends the process.
        state: for the health pages.
    """

    lock: ProcessLock
    take_over_s: float = TAKE_OVER_S
    lost_after_s: float = LOST_AFTER_S
    poll_s: float = POLL_S
    on_loss: Callable[[], None] = end_process
    state: LeaderState = "waiting"
    _confirmed_s: float = field(default=0.0, init=False)
    _watchers: list[threading.Thread] = field(default_factory=list, init=False, repr=False)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False, repr=False)

    def wait(self) -> None:
        """Return when this process leads; the lock is watched from then on.

        A server that is away is waited for: the lock is nobody's then.
        """
        said_s = -_SAY_EVERY_S
        while not self._try():
            if time.monotonic() - said_s >= _SAY_EVERY_S:
                holder = self.lock.holder() or "somebody else, or the database is away"
                _LOG.info("another daemon leads (%s); this one waits", holder)
                said_s = time.monotonic()
            self._stopping.wait(self.poll_s)
        self.state, self._confirmed_s = "taking over", time.monotonic()
        self._watch()
        _LOG.info("the lock is ours; the daemon starts in %g s", self.take_over_s)
        self._stopping.wait(self.take_over_s)
        self.state = "leading"

    def stop(self) -> None:
        """Stop watching and give the lock back."""
        self._stopping.set()
        for thread in self._watchers:
            thread.join(self.lost_after_s)
        self.lock.release()

    def _try(self) -> bool:
        try:
            return self.lock.try_acquire()
        except StorageError as error:
            if not error.is_retryable:
                raise
            _LOG.warning("%s", error)
            return False

    def _watch(self) -> None:
        # Two threads: the one that asks may hang in a dead connection.
        self._watchers = [threading.Thread(target=work, daemon=True) for work in (self._ask, self._count)]
        for thread in self._watchers:
            thread.start()

    def _ask(self) -> None:
        while not self._stopping.wait(self.poll_s):
            asked_s = time.monotonic()
            if not self.lock.is_held():
                self._lose("the session that held the lock is gone")
                return
            self._confirmed_s = asked_s

    def _count(self) -> None:
        while not self._stopping.wait(self.poll_s / 4):
            if time.monotonic() - self._confirmed_s > self.lost_after_s:
                self._lose(f"no answer about the lock for {self.lost_after_s:g} s")
                return

    def _lose(self, why: str) -> None:
        if not self._stopping.is_set():
            _LOG.error("%s: this process ends, so that no two daemons are at work; start it again", why)
            self.state = "waiting"
            self.on_loss()
