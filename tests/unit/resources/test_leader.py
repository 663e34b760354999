"""Leadership: one at a time, the others wait, and who may have lost the lock ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from resources.leader import Leadership
from resources.process_lock import FileLock


@dataclass
class TroubledLock:
    """A lock whose server can be away, silent or forgetful."""

    tries: list[str] = field(default_factory=list)
    held: Callable[[], bool] = field(default=lambda: True)

    def try_acquire(self) -> bool:
        """Fail as `tries` says, then succeed."""
        trouble = self.tries.pop(0) if self.tries else ""
        if trouble == "away":
            raise StorageError("away", is_retryable=True)
        if trouble == "forbidden":
            raise StorageError("forbidden", is_retryable=False)
        return trouble == ""

    def is_held(self) -> bool:
        """Answer as told."""
        return self.held()

    def holder(self) -> str:
        """Name somebody."""
        return "process 7"

    def release(self) -> None:
        """Do nothing."""


def lead(lock: TroubledLock | FileLock, lost: threading.Event) -> Leadership:
    """Return a candidate that is quick in everything."""
    return Leadership(lock, take_over_s=0.0, lost_after_s=0.3, poll_s=0.02, on_loss=lost.set)


def test_the_second_waits_says_so_and_takes_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = (lead(FileLock(tmp_path / "lock"), threading.Event()) for _ in range(2))
    first.wait()
    caplog.set_level(logging.INFO, "mlops_assets.daemon")
    waiting = threading.Thread(target=second.wait)
    waiting.start()
    time.sleep(0.2)
    assert (first.state, second.state) == ("leading", "waiting")
    assert "another daemon leads (process" in caplog.text
    first.stop()
    waiting.join(5)
    assert second.state == "leading"
    second.stop()


def test_a_server_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    one = lead(TroubledLock(["away", "taken", "away"]), threading.Event())
    one.wait()
    one.stop()
    assert one.state == "leading"
    assert caplog.text.count("away") >= 2


def test_what_waiting_cannot_mend_is_an_error() -> None:
    with pytest.raises(StorageError, match="forbidden"):
        lead(TroubledLock(["forbidden"]), threading.Event()).wait()


def test_the_leader_ends_when_its_session_is_gone() -> None:
    lost, answers = threading.Event(), iter([True, True, False])
    one = lead(TroubledLock(held=lambda: next(answers)), lost)
    one.wait()
    assert lost.wait(5)
    assert one.state == "waiting"


def test_the_leader_ends_when_nobody_answers() -> None:
    lost, forever = threading.Event(), threading.Event()
    one = lead(TroubledLock(held=lambda: forever.wait(10)), lost)
    one.wait()
    started_s = time.monotonic()
    assert lost.wait(5)
    assert time.monotonic() - started_s < 2
    forever.set()


def test_a_leader_that_stops_loses_nothing() -> None:
    lost = threading.Event()
    one = lead(TroubledLock(), lost)
    one.wait()
    one.stop()
    assert not lost.wait(0.5)


def test_the_take_over_waits_for_the_old_leader_to_end() -> None:
    one = Leadership(TroubledLock(), take_over_s=0.3, lost_after_s=0.2, poll_s=0.02, on_loss=lambda: None)
    started_s = time.monotonic()
    one.wait()
    assert time.monotonic() - started_s >= 0.3
    one.stop()
