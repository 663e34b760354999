"""Whether this process was asked to end while a library was at work.

Belongs here: noting SIGINT and SIGTERM beneath everybody else's handlers. Does not belong here: what follows from them.

Dagster and DuckDB have handlers of their own while they work. A signal that reaches a query comes back as the failure
of the query, and one that comes after the last step is dropped at the end of the run; either way the next run would
begin. The interpreter writes the number of every signal into a pipe, whoever handles it: that is read here.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_WANTED = {signal.SIGINT, signal.SIGTERM}
_MOST_SIGNALS = 4096


def _forget_in_child() -> None:
    # A forked child shares the pipe: a signal sent to it would be read here as one to this process.
    signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_in_child)


class StopSignals:
    """The signals that came while it was open."""

    def __init__(self, reader: int | None) -> None:
        self._reader = reader
        self._has_come = False

    @property
    def has_come(self) -> bool:
        """Whether SIGINT or SIGTERM came."""
        if not self._has_come and self._reader is not None:
            self._has_come = bool(_WANTED.intersection(_read(self._reader)))
        return self._has_come


@contextmanager
def noted_stop_signals() -> Iterator[StopSignals]:
    """Note signals while the block runs; only a main thread can, elsewhere none is seen."""
    if threading.current_thread() is not threading.main_thread():
        yield StopSignals(None)
        return
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield StopSignals(reader)
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def _read(reader: int) -> bytes:
    try:
        return os.read(reader, _MOST_SIGNALS)
    except BlockingIOError:
        return b""
