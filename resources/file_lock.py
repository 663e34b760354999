"""One process at a time: an exclusive lock on a file.

Belongs here: the lock itself. Does not belong here: what is done while it is held.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from mlops_assets.domain.errors import StorageError
from resources.atomic_files import explained_write, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_S = 0.02


@contextmanager
def exclusive_lock(path: Path, timeout_s: float = 120.0) -> Iterator[None]:
    """Hold the lock file `path` exclusively, against other processes and other threads.

    The kernel frees the lock when its holder dies, so a killed process blocks nobody; the empty file
    stays. Not re-entrant.

    Args:
        path: the lock file; created if missing.
        timeout_s: how long to wait for another holder, seconds.

    Raises:
        StorageError: another process still holds the lock after `timeout_s`, or the file cannot be opened.
    """
    make_folder(path.parent)
    with explained_write(path):
        stream = path.open("a", encoding="utf-8")
    with stream:
        _acquire(stream, path, timeout_s)
        yield  # closing the file frees the lock


def _acquire(stream: IO[str], path: Path, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline_s:
                raise StorageError(
                    f"another process has held a lock for more than {timeout_s:g} s",
                    where=str(path),
                    expected="that process to finish",
                    remedy="wait for the other run, or stop it if it hangs; do not delete the lock file",
                ) from error
            time.sleep(_POLL_S)
        else:
            return
