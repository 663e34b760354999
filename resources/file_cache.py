"""Copies of immutable objects on a local disk, for libraries that read files.

Belongs here: keeping, finding and evicting copies. Does not belong here: where they come from.

A name stands for one content for ever, so a copy that is there is right. What was used within the last `grace_s` is
never evicted, since a reader may be about to open it: the limit can be exceeded by that much.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import StorageError
from resources.atomic_files import explained_write, make_folder, publish, sweep_leftovers, temporary_path

if TYPE_CHECKING:
    from collections.abc import Callable

_SHARE_BEFORE_LOOKING = 0.05  # of the limit may come in before the folder is looked through again


class FileCache:
    """A folder of copies; safe for any number of threads and processes.

    Args:
        folder: of the copies; created when first written to.
        limit_bytes: how much may be kept.
        grace_s: how long a copy stays after it was used, seconds.
    """

    def __init__(self, folder: Path, limit_bytes: int, *, grace_s: float = 3600.0) -> None:
        self.folder, self.limit_bytes, self.grace_s = folder, limit_bytes, grace_s
        self._added_bytes = limit_bytes  # unknown at first: look
        self._guard = threading.Lock()

    def fetch(self, name: str, size_bytes: int, download: Callable[[Path], object]) -> Path:
        """Return the copy of this name, got by `download` if it is not there.

        Args:
            name: below the folder, with `/`.
            size_bytes: of the content.
            download: writes the content to the path that it is given.

        Raises:
            StorageError: the disk is full, or what came is of another size.
        """
        path = self.folder / name
        if self._use(path, size_bytes):
            return path
        make_folder(path.parent)
        temporary = temporary_path(path)
        try:
            with explained_write(path):
                download(temporary)
                found_bytes = temporary.stat().st_size
            if found_bytes != size_bytes:
                raise _of_another_size(path, found_bytes, size_bytes)
            return self.adopt(temporary, name)
        finally:
            temporary.unlink(missing_ok=True)

    def adopt(self, written: Path, name: str) -> Path:
        """Move a written file into the cache and return its path there. Raises StorageError."""
        path = self.folder / name
        make_folder(path.parent)
        size_bytes = written.stat().st_size
        publish(written, path)
        self._make_room(size_bytes)
        return path

    def _use(self, path: Path, size_bytes: int) -> bool:
        """Whether a whole copy is there; its time then says that it was used."""
        try:
            if path.stat().st_size != size_bytes:
                return False
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _make_room(self, added_bytes: int) -> None:
        with self._guard:
            self._added_bytes += added_bytes
            if self._added_bytes < self.limit_bytes * _SHARE_BEFORE_LOOKING:
                return
            self._added_bytes = 0
        self.evict()

    def evict(self) -> int:
        """Delete what was not used for longest until the limit holds; return how many copies went."""
        found = sorted(self._copies())
        total_bytes, evicted = sum(size for _, size, _ in found), 0
        limit_s = time.time() - self.grace_s
        for used_s, size, path in found:
            if total_bytes <= self.limit_bytes or used_s > limit_s:
                break
            path.unlink(missing_ok=True)
            total_bytes, evicted = total_bytes - size, evicted + 1
        return evicted

    def _copies(self) -> list[tuple[float, int, Path]]:
        """Return when each copy was used, its size and its path; leftovers of killed processes are swept."""
        found = []
        for place, _, names in os.walk(self.folder):
            base = Path(place)
            sweep_leftovers(base, self.grace_s)
            for name in names:
                with suppress(FileNotFoundError):  # another process makes room, too
                    status = (base / name).stat()
                    found.append((status.st_mtime, status.st_size, base / name))
        return found


def _of_another_size(path: Path, found: int, expected: int) -> StorageError:
    return StorageError(
        f"a copy came with {found} bytes",
        where=str(path),
        expected=f"{expected} bytes, as published",
        remedy="run again; if it stays so, build the partition again",
    )
