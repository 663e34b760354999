"""The lake on a local or mounted disk: immutable data files, one manifest a partition.

Belongs here: names, publication and removal of partitions. A partition is the folder
`<root>/<table>/<segment>/<day or all>`; its `manifest.json` names the valid files and is replaced
atomically, which makes it the commit point. Does not belong here: what a partition holds.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import StorageError, TableInputError
from mlops_assets.domain.hashing import canonical_json
from mlops_assets.domain.ports import Manifest, PartitionId
from resources.atomic_files import (
    make_folder,
    publish,
    reserve,
    sweep_leftovers,
    temporary_path,
    write_atomic,
)

MANIFEST_NAME = "manifest.json"
WITHOUT_DAY = "all"
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,62}(/[a-z][a-z0-9_]{0,62}){0,3}", re.ASCII)
_SEGMENT = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9_.=-]{0,62}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_ROLE = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,10})?", re.ASCII)
_BUILD_KEY = re.compile(r"[0-9a-f]{12,128}", re.ASCII)
_FORMAT_VERSION = 1


class LocalLake:
    """Implements `ports.Lake` below a folder.

    Args:
        root: folder of the lake; created when first written to.
        grace_s: how long files of superseded versions stay for readers that have already looked them up.
            The previous version stays in any case.
    """

    def __init__(self, root: Path, *, grace_s: float = 3600.0) -> None:
        self.root, self.grace_s = Path(root), grace_s

    def folder(self, partition: PartitionId) -> Path:
        """Return the folder of a partition; StorageError if a component is not an allowed name."""
        day = partition.day.isoformat() if partition.day else WITHOUT_DAY
        return self._table_folder(partition.table, partition.segment) / day

    def manifest(self, partition: PartitionId) -> Manifest | None:
        """Return what is published, or None.

        Raises:
            StorageError: the manifest is unreadable; remove the partition and build it again.
        """
        return _read_manifest(self.folder(partition) / MANIFEST_NAME)

    def path(self, partition: PartitionId, role: str = "data") -> Path:
        """Return the published file of a role.

        Raises:
            TableInputError: the partition or the role is not published; build it first.
            StorageError: the file is gone or of another size than was published; build it again.
        """
        folder = self.folder(partition)
        content = _read_content(folder / MANIFEST_NAME)
        name = content["files"].get(role) if content else None
        if content is None or name is None:
            raise TableInputError(
                f"{partition} has no published {role} file",
                where=str(folder),
                expected=f"a manifest that names a {role} file",
                remedy="build this partition first",
            )
        return _checked(folder / name, content["sizes"][role])

    @contextmanager
    def write(self, partition: PartitionId, build_key: str) -> Iterator[LocalPartitionWriter]:
        """Open a writer; leaving the block without `commit` leaves the old partition as it was.

        Raises:
            StorageError: a name is not allowed, or the disk is full or not writable.
        """
        _require(_BUILD_KEY, build_key, "build key")
        writer = LocalPartitionWriter(self.folder(partition), build_key, self.grace_s)
        try:
            yield writer
        finally:
            writer.discard()

    def days(self, table: str, segment: str) -> list[dt.date]:
        """Return the published days in order."""
        folder = self._table_folder(table, segment)
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        days = [day for name in sorted(names) if (day := _as_day(name)) is not None]
        return [day for day in days if (folder / day.isoformat() / MANIFEST_NAME).is_file()]

    def remove(self, partition: PartitionId) -> None:
        """Unpublish a partition and delete its files (its input was withdrawn)."""
        folder = self.folder(partition)
        try:
            (folder / MANIFEST_NAME).unlink(missing_ok=True)  # from here on it is gone for readers
            for path in folder.iterdir() if folder.is_dir() else ():
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot remove {partition}: {error.strerror}",
                where=str(folder),
                remedy="check permissions and repeat",
            ) from error

    def _table_folder(self, table: str, segment: str) -> Path:
        _require(_TABLE, table, "table")
        _require(_SEGMENT, segment, "segment")
        return self.root / table / segment


class LocalPartitionWriter:
    """Implements `ports.PartitionWriter`: temporary files beside their final place."""

    def __init__(self, folder: Path, build_key: str, grace_s: float) -> None:
        self._folder, self._build_key, self._grace_s = folder, build_key, grace_s
        self._temporary: dict[str, Path] = {}
        self._scratch: list[Path] = []

    def file(self, role: str, suffix: str = ".parquet") -> Path:
        """Return the temporary path where the file of this role is to be written."""
        if role not in self._temporary:
            self._temporary[role] = self._new_path(role, suffix)
        return self._temporary[role]

    def scratch(self, suffix: str = ".parquet") -> Path:
        """Return a temporary path for intermediate rows; the file is deleted with the end of the block."""
        self._scratch.append(self._new_path("scratch", suffix))
        return self._scratch[-1]

    def drop(self, role: str) -> None:
        """Take back a role: its file is not published."""
        if role in self._temporary:
            self._scratch.append(self._temporary.pop(role))

    def commit(
        self,
        *,
        row_count: int,
        inputs: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Publish all files at once: fsync and rename each, then replace the manifest.

        Raises:
            StorageError: a file was announced but not written, or the disk is full; the old partition stands.
        """
        files, sizes = {}, {}
        for role, temporary in self._temporary.items():
            sizes[role] = _written_size(temporary, role)
            final = self._reserve(role, temporary.suffix)
            publish(temporary, final)
            files[role] = final.name
        self._temporary = {}
        content = {
            "format": _FORMAT_VERSION,
            "build_key": self._build_key,
            "row_count": row_count,
            "files": files,
            "sizes": sizes,
            "inputs": dict(inputs or {}),
            "facts": dict(facts or {}),
        }
        encoded = canonical_json(content).encode()
        previous = _superseded(self._folder / MANIFEST_NAME)
        write_atomic(self._folder / MANIFEST_NAME, encoded)
        self._sweep(keep={*files.values(), *previous[0]}, superseded_s=previous[1])
        return _as_manifest(json.loads(encoded))

    def discard(self) -> None:
        """Delete what was written and not committed."""
        for temporary in (*self._temporary.values(), *self._scratch):
            with suppress(OSError):  # a leftover is swept by a later writer
                temporary.unlink(missing_ok=True)
        self._temporary, self._scratch = {}, []

    def _new_path(self, role: str, suffix: str) -> Path:
        _require(_ROLE, role, "role")
        _require(_SUFFIX, suffix, "suffix")
        make_folder(self._folder)
        return temporary_path(self._folder / f"{role}{suffix}")

    def _reserve(self, role: str, suffix: str) -> Path:
        """Take a name that no other writer has: data files are never replaced, only superseded."""
        stem = f"{role}-{self._build_key[:12]}"
        final, number = self._folder / f"{stem}{suffix}", 1
        while not reserve(final):
            number += 1
            final = self._folder / f"{stem}-{number}{suffix}"
        return final

    def _sweep(self, keep: set[str], superseded_s: float) -> None:
        """Delete versions older than the previous one once no reader can still be about to open them."""
        sweep_leftovers(self._folder, self._grace_s)
        limit_s = time.time() - self._grace_s
        if superseded_s > limit_s:
            return
        for path in self._folder.iterdir():
            is_candidate = path.name not in {*keep, MANIFEST_NAME} and not path.name.startswith(".")
            if is_candidate and path.stat().st_mtime < limit_s:
                path.unlink(missing_ok=True)


def _as_day(name: str) -> dt.date | None:
    """Return the day a folder is named by; None for others, such as a copy that somebody laid beside it."""
    if not _DAY.fullmatch(name):
        return None
    try:
        return dt.date.fromisoformat(name)
    except ValueError:
        return None


def _superseded(manifest_path: Path) -> tuple[list[str], float]:
    """Return the file names of the version about to be superseded, and when it was published."""
    try:
        content = _read_content(manifest_path)
    except StorageError:  # unreadable: publishing anew is the remedy, and nothing of it is worth keeping
        content = None
    if content is None:
        return [], 0.0
    return list(content["files"].values()), manifest_path.stat().st_mtime


def _written_size(temporary: Path, role: str) -> int:
    try:
        return temporary.stat().st_size
    except FileNotFoundError as error:
        raise StorageError(
            f"the {role} file was announced but not written",
            where=str(temporary.parent),
            expected="a written file before commit",
            remedy="write every file that `PartitionWriter.file` returned",
            is_retryable=False,
        ) from error


def _read_content(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT_VERSION:
        raise _unreadable(path)
    return content


def _unreadable(path: Path) -> StorageError:
    return StorageError(
        "the manifest of a partition is unreadable",
        where=str(path),
        expected=f"JSON of format {_FORMAT_VERSION}",
        remedy="delete this manifest and build the partition again",
        is_retryable=False,
    )


def _read_manifest(path: Path) -> Manifest | None:
    content = _read_content(path)
    return None if content is None else _as_manifest(content)


def _as_manifest(content: Mapping[str, Any]) -> Manifest:
    return Manifest(
        content["build_key"], content["row_count"], content["files"], content["inputs"], content["facts"]
    )


def _checked(path: Path, size_bytes: int) -> Path:
    try:
        found = path.stat().st_size
    except OSError:
        found = None
    if found != size_bytes:
        raise StorageError(
            "a published file is gone" if found is None else f"a published file has {found} bytes",
            where=str(path),
            expected=f"{size_bytes} bytes, as published",
            remedy="restore it, or build the partition again",
            is_retryable=False,
        )
    return path


def _require(pattern: re.Pattern[str], value: str, name: str) -> None:
    if not pattern.fullmatch(value):
        raise StorageError(
            f"{value!r} is not allowed as {name}",
            expected=f"a name like {pattern.pattern}",
            remedy="use letters, digits and _; no absolute path, `..`, backslash or control character",
            is_retryable=False,
        )
