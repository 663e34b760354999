"""What every lock of a process promises: one holder, who has a name, and whoever holds it may ask again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from resources.process_lock import FileLock, ProcessLock

MakeLock = Callable[[str], ProcessLock]


@pytest.fixture
def make_lock(tmp_path: Path) -> MakeLock:
    return lambda name: FileLock(tmp_path / "locks" / name)


def test_one_holds_it_and_is_named(make_lock: MakeLock) -> None:
    first, second, other = (make_lock(name) for name in ("daemon", "daemon", "migrate"))
    assert not first.is_held()
    assert first.try_acquire()
    assert not second.try_acquire()
    assert other.try_acquire(), "names do not disturb each other"
    assert "process" in second.holder()
    assert first.is_held()
    first.release()
    assert not first.is_held()
    assert second.try_acquire()
    for lock in (second, other):
        lock.release()


def test_who_holds_it_may_ask_again(make_lock: MakeLock) -> None:
    lock, next_one = make_lock("daemon"), make_lock("daemon")
    assert [lock.try_acquire(), lock.try_acquire()] == [True, True]
    lock.release()
    lock.release()
    assert next_one.try_acquire(), "once given back, it is free, however often it was asked for"
    next_one.release()
