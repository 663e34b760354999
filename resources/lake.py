"""The lake on a local or mounted disk: immutable data files, one manifest a partition.

Belongs here: names, publication and removal of partitions. A partition is the folder
`<root>/<table>/<segment>/<day or all>`; its `manifest.json` names the valid files and is replaced
atomically, which makes it the commit point. Does not belong here: what a partition holds.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.ports import Manifest, PartitionId
from resources import partition_files as files_of
from resources.atomic_files import is_older, publish, reserve, sweep_leftovers, write_atomic
from resources.partition_files import MANIFEST_NAME, StagedFiles


class LocalLake:
    """Implements `ports.Lake` below a folder.

    Args:
        root: folder of the lake; created when first written to.
        grace_s: how long files of superseded versions stay for readers that have already looked them up.
            The previous version stays in any case.
    """

    questions_at_once = 1

    def __init__(self, root: Path, *, grace_s: float = 3600.0) -> None:
        self.root, self.grace_s = Path(root), grace_s

    def folder(self, partition: PartitionId) -> Path:
        """Return the folder of a partition; StorageError if a component is not an allowed name."""
        return self.root / files_of.partition_folder(partition)

    def manifest(self, partition: PartitionId) -> Manifest | None:
        """Return what is published, or None.

        Raises:
            StorageError: the manifest is unreadable; remove the partition and build it again.
        """
        content = _read_content(self.folder(partition) / MANIFEST_NAME)
        return None if content is None else files_of.as_manifest(content)

    def path(self, partition: PartitionId, role: str = "data") -> Path:
        """Return the published file of a role.

        Raises:
            TableInputError: the partition or the role is not published; build it first.
            StorageError: the file is gone or of another size than was published; build it again.
        """
        folder = self.folder(partition)
        content = _read_content(folder / MANIFEST_NAME)
        name, size_bytes = files_of.published_file(content, partition, role, str(folder))
        return _checked(folder / name, size_bytes)

    @contextmanager
    def write(self, partition: PartitionId, build_key: str) -> Iterator[LocalPartitionWriter]:
        """Open a writer; leaving the block without `commit` leaves the old partition as it was.

        Raises:
            StorageError: a name is not allowed, or the disk is full or not writable.
        """
        files_of.require_build_key(build_key)
        writer = LocalPartitionWriter(self.folder(partition), build_key, self.grace_s)
        try:
            yield writer
        finally:
            writer.discard()

    def days(self, table: str, segment: str) -> list[dt.date]:
        """Return the published days in order."""
        folder = os.path.join(self.root, files_of.table_folder(table, segment))  # noqa: PTH118 - see below
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []
        # Asked some 350 times a day's run, for all days there are: as paths that costs five times as much.
        return [
            day
            for name in names
            if (day := files_of.parse_day(name)) is not None
            and os.path.isfile(f"{folder}/{name}/{MANIFEST_NAME}")  # noqa: PTH113
        ]

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


class LocalPartitionWriter(StagedFiles):
    """Implements `ports.PartitionWriter`: temporary files beside their final place."""

    def __init__(self, folder: Path, build_key: str, grace_s: float) -> None:
        super().__init__(folder)
        self._build_key, self._grace_s = build_key, grace_s

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
            sizes[role] = files_of.written_size(temporary, role)
            final = self._reserve(role, temporary.suffix)
            publish(temporary, final)
            files[role] = final.name
        self._temporary = {}
        manifest = Manifest(self._build_key, row_count, files, inputs or {}, facts or {})
        encoded = files_of.encode_manifest(manifest, sizes)
        previous = _superseded(self.folder / MANIFEST_NAME)
        write_atomic(self.folder / MANIFEST_NAME, encoded)
        self._sweep(keep={*files.values(), *previous[0]}, superseded_s=previous[1])
        return files_of.as_manifest(files_of.read_content(encoded, str(self.folder)))

    def _reserve(self, role: str, suffix: str) -> Path:
        """Take a name that no other writer has: data files are never replaced, only superseded."""
        stem = f"{role}-{self._build_key[:12]}"
        final, number = self.folder / f"{stem}{suffix}", 1
        while not reserve(final):
            number += 1
            final = self.folder / f"{stem}-{number}{suffix}"
        return final

    def _sweep(self, keep: set[str], superseded_s: float) -> None:
        """Delete versions older than the previous one once no reader can still be about to open them."""
        sweep_leftovers(self.folder, self._grace_s)
        limit_s = time.time() - self._grace_s
        if superseded_s > limit_s:
            return
        for path in self.folder.iterdir():
            is_candidate = path.name not in {*keep, MANIFEST_NAME} and not path.name.startswith(".")
            if is_candidate and is_older(path, limit_s):
                path.unlink(missing_ok=True)


def _superseded(manifest_path: Path) -> tuple[list[str], float]:
    """Return the file names of the version about to be superseded, and when it was published."""
    try:
        content = _read_content(manifest_path)
        published_s = manifest_path.stat().st_mtime
    except (StorageError, FileNotFoundError):
        # Unreadable: publishing anew is the remedy, and nothing of it is worth keeping. Or there is none.
        return [], 0.0
    return list(content["files"].values()) if content else [], published_s


def _read_content(path: Path) -> dict[str, Any] | None:
    try:
        encoded = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise files_of.unreadable(str(path)) from error
    return files_of.read_content(encoded, str(path))


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
