"""Put a file in place so that readers see the old content or the new, never half of it.

Belongs here: temporary names, fsync, rename, sweeping of leftovers. Does not belong here: which files a
partition, a report or a ledger consists of.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TEMPORARY_NAME = re.compile(r"^\.[0-9a-f]{16}\.tmp([.-]|$)")
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # a disk, or a quota, is full
# Some network file systems cannot fsync a folder; there the rename itself is the server's business.
_FOLDER_SYNC_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOTSUP})


def temporary_path(final: Path) -> Path:
    """Return a fresh hidden name in the folder of `final`, with its suffix, that `sweep_leftovers` knows.

    The suffix is kept because some writers choose the format by it.
    """
    suffix = final.suffix if re.fullmatch(r"\.[A-Za-z0-9]+", final.suffix) else ""
    return final.with_name(f".{secrets.token_hex(8)}.tmp{suffix}")


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is a write that has not ended, or was interrupted."""
    return _TEMPORARY_NAME.match(name) is not None


@contextmanager
def explained_write(final: Path, temporary: Path | None = None) -> Iterator[None]:
    """Turn the OSError of a block that writes `final` into a StorageError, and drop the unfinished file.

    Raises:
        StorageError: the disk is full, or the folder cannot be written; what to do about it.
    """
    try:
        yield
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        full = error.errno in NO_SPACE
        raise StorageError(
            "the disk (or its quota) is full" if full else f"cannot write: {error.strerror or error}",
            where=str(final),
            expected="room for the new file beside the old one" if full else "a writable folder",
            remedy="free space and run again; the previous file is untouched"
            if full
            else "check owner, permissions and mount of the folder, then run again",
        ) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Replace the file `path` by `content`; missing parent folders are created.

    Args:
        path: final path of the file.
        content: its whole content.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the old file is as it was.
    """
    make_folder(path.parent)
    temporary = temporary_path(path)
    with explained_write(path, temporary):
        with temporary.open("xb") as stream:
            stream.write(content)
        publish(temporary, path)


def reserve(final: Path) -> bool:
    """Create `final` empty, for `publish` to put a file there; False if the name is taken.

    Of several processes that ask for one name, exactly one gets it.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    with explained_write(final):
        try:
            final.open("xb").close()
        except FileExistsError:
            return False
    return True


def publish(temporary: Path, final: Path) -> None:
    """Move a completely written file to its final name, durably.

    Args:
        temporary: the written file, on the same file system as `final`; it is gone afterwards, also when
            this fails.
        final: the name readers use.

    Raises:
        StorageError: nothing was replaced; an old `final` is as it was.
    """
    with explained_write(final, temporary):
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(final)
        fsync_dir(final.parent)


def fsync_dir(folder: Path) -> None:
    """Make the names in a folder durable (a rename is lost in a power cut without it)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _FOLDER_SYNC_UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, durably.

    Raises:
        StorageError: a parent cannot be written or a file is in the way.
    """
    missing = []
    current = folder
    while not current.is_dir():
        missing.append(current)
        current = current.parent
    with explained_write(folder):
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            fsync_dir(path.parent)


def sweep_leftovers(folder: Path, older_than_s: float) -> list[Path]:
    """Delete temporary files that killed writers left in `folder` (not below it).

    Args:
        folder: where to look; it need not exist.
        older_than_s: age of the last write, seconds, from which on no writer can still be alive.

    Returns:
        The deleted paths, sorted.

    Raises:
        StorageError: a leftover cannot be deleted.
    """
    oldest_kept_s = time.time() - older_than_s
    swept = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_temporary(path.name) and is_older(path, oldest_kept_s):
            with explained_write(path):
                path.unlink(missing_ok=True)
            swept.append(path)
    return swept


def is_older(path: Path, limit_s: float) -> bool:
    """Whether a regular file was last written before `limit_s`, seconds since 1970; not if it is gone meanwhile."""
    try:
        return path.is_file() and path.stat().st_mtime < limit_s
    except FileNotFoundError:
        return False
