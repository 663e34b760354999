"""The lake on Google Cloud Storage: immutable data objects, one manifest a partition.

Belongs here: names, publication, removal and local copies of partitions. A partition is the prefix
`<table>/<segment>/<day or all>`; its `manifest.json` names the valid objects and is written last, by compare-and-swap,
which makes it the commit point. Does not belong here: what a partition holds.

Data objects are named by role, build key and a token of their own: a name stands for one content for ever, so that a
local copy never goes stale.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.ports import Manifest, PartitionId
from resources import partition_files as files_of
from resources.file_cache import FileCache
from resources.object_store import ABSENT, QUESTIONS_AT_ONCE, ObjectChangedError, ObjectStore
from resources.partition_files import MANIFEST_NAME, StagedFiles


class GcsLake:
    """Implements `ports.Lake` in a bucket.

    Args:
        store: the objects.
        cache: copies of data objects; writers put their files there, too, so the engine must be allowed there.
        grace_s: how long objects of superseded versions stay for readers that have already looked them up. The
            previous version stays in any case.
    """

    questions_at_once = QUESTIONS_AT_ONCE

    def __init__(self, store: ObjectStore, cache: FileCache, *, grace_s: float = 3600.0) -> None:
        self.store, self.cache, self.grace_s = store, cache, grace_s

    def manifest(self, partition: PartitionId) -> Manifest | None:
        """Return what is published, or None.

        Raises:
            StorageError: the manifest is unreadable, or the store cannot be reached.
        """
        content = self._content(files_of.partition_folder(partition))
        return None if content is None else files_of.as_manifest(content)

    def path(self, partition: PartitionId, role: str = "data") -> Path:
        """Return a local copy of the published file of a role; it stays for an hour after its last use at least.

        Raises:
            TableInputError: the partition or the role is not published; build it first.
            StorageError: the object is gone or damaged, or the store cannot be reached.
        """
        folder = files_of.partition_folder(partition)
        content = self._content(folder)
        name, size_bytes = files_of.published_file(content, partition, role, self.store.where(folder))
        copy = f"{folder}/{name}"
        return self.cache.fetch(copy, size_bytes, lambda target: self.store.download(copy, target))

    @contextmanager
    def write(self, partition: PartitionId, build_key: str) -> Iterator[GcsPartitionWriter]:
        """Open a writer; leaving the block without `commit` leaves the old partition as it was.

        Raises:
            StorageError: a name is not allowed, the disk is full, or the store cannot be reached.
        """
        files_of.require_build_key(build_key)
        writer = GcsPartitionWriter(self, files_of.partition_folder(partition), build_key)
        try:
            yield writer
        finally:
            writer.discard()

    def days(self, table: str, segment: str) -> list[dt.date]:
        """Return the published days in order. Raises StorageError."""
        folder = files_of.table_folder(table, segment)
        names = (found.name.removeprefix(f"{folder}/").split("/") for found in self.store.list(folder))
        days = (files_of.parse_day(parts[0]) for parts in names if parts[1:] == [MANIFEST_NAME])
        return sorted(day for day in days if day is not None)

    def remove(self, partition: PartitionId) -> None:
        """Unpublish a partition and delete its objects (its input was withdrawn). Raises StorageError."""
        folder = files_of.partition_folder(partition)
        self.store.delete(f"{folder}/{MANIFEST_NAME}")  # from here on it is gone for readers
        for found in self.store.list(folder):
            self.store.delete(found.name)

    def _content(self, folder: str) -> dict[str, Any] | None:
        name = f"{folder}/{MANIFEST_NAME}"
        encoded = self.store.read(name)
        return None if encoded is None else files_of.read_content(encoded, self.store.where(name))


class GcsPartitionWriter(StagedFiles):
    """Implements `ports.PartitionWriter`: local files that are uploaded with the commit."""

    def __init__(self, lake: GcsLake, folder: str, build_key: str) -> None:
        super().__init__(lake.cache.folder / folder)
        self._lake, self._store = lake, lake.store
        self._prefix, self._build_key = folder, build_key
        self._superseded = self._store.find(f"{folder}/{MANIFEST_NAME}")

    def commit(
        self,
        *,
        row_count: int,
        inputs: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Publish all files at once: upload each under a new name, then replace the manifest.

        If somebody else has published the same build meanwhile, theirs stands and is returned.

        Raises:
            ObjectChangedError: somebody else has published another build since this writer was opened; theirs stands.
            StorageError: a file was announced but not written, or the store cannot be reached; the old partition
                stands, or the new one if only the answer was lost.
        """
        files, sizes = self._upload_all()
        manifest = Manifest(self._build_key, row_count, files, inputs or {}, facts or {})
        encoded = files_of.encode_manifest(manifest, sizes)
        superseded = self._published_files()
        expected = self._superseded.generation if self._superseded else ABSENT
        try:
            self._store.write(self._name(MANIFEST_NAME), encoded, expected=expected)
        except ObjectChangedError:
            return self._same_build_of_another(files)
        for role, name in files.items():
            self._lake.cache.adopt(self._temporary[role], f"{self._prefix}/{name}")
        self._temporary = {}
        self._sweep(keep={MANIFEST_NAME, *files.values(), *superseded})
        return files_of.as_manifest(files_of.read_content(encoded, self._prefix))

    def _upload_all(self) -> tuple[dict[str, str], dict[str, int]]:
        """Upload every announced file; return their names and sizes by role."""
        sizes = {role: files_of.written_size(path, role) for role, path in self._temporary.items()}
        files = {}
        for role, path in self._temporary.items():
            files[role] = f"{role}-{self._build_key[:12]}-{secrets.token_hex(4)}{path.suffix}"
            self._store.upload(self._name(files[role]), path)
        return files, sizes

    def _published_files(self) -> list[str]:
        """Return the file names of the version about to be superseded."""
        try:
            content = self._lake._content(self._prefix)  # noqa: SLF001 - one unit
        except StorageError as error:
            if error.is_retryable:
                raise
            return []  # unreadable: publishing anew is the remedy, and nothing of it is worth keeping
        return list(content["files"].values()) if content else []

    def _same_build_of_another(self, files: Mapping[str, str]) -> Manifest:
        """Take over what another writer has published if it is the same build; what was uploaded here goes."""
        for name in files.values():
            self._store.delete(self._name(name))
        content = self._lake._content(self._prefix)  # noqa: SLF001 - one unit
        if content is not None and content["build_key"] == self._build_key:
            return files_of.as_manifest(content)
        raise ObjectChangedError(
            "a partition was published by somebody else while it was built",
            where=self._store.where(self._prefix),
            expected="one run at a time for a partition",
            remedy="run again: the partition is built on what is there now if it is still due",
        )

    def _sweep(self, keep: set[str]) -> None:
        """Delete objects of versions older than the previous one once no reader can still be about to open them."""
        limit = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=self._lake.grace_s)
        if self._superseded and self._superseded.updated_at_utc > limit:
            return  # what it superseded itself may have been looked up a moment before
        for found in self._store.list(self._prefix):
            if found.name.removeprefix(f"{self._prefix}/") not in keep and found.updated_at_utc < limit:
                self._store.delete(found.name)

    def _name(self, name: str) -> str:
        return f"{self._prefix}/{name}"
