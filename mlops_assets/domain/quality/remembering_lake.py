"""A lake that remembers what one process has read of it and written to it.

A replay asks for the same hundred manifests on each of hundreds of days. While nobody else writes the tables
concerned, the answers do not change but by its own writing.

Belongs here: the memory. Does not belong here: storing anything (the Lake behind it).
"""

from __future__ import annotations

import datetime as dt
from bisect import insort
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlops_assets.domain.ports import Lake, Manifest, PartitionId, PartitionWriter


class RememberingLake:
    """Implements `ports.Lake` in front of another one.

    Args:
        lake: where partitions are; others must not write what is read here while this object is in use.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._manifests: dict[PartitionId, Manifest | None] = {}
        self._days: dict[tuple[str, str], list[dt.date]] = {}

    @property
    def questions_at_once(self) -> int:
        """As many as of the lake behind."""
        return self._lake.questions_at_once

    def manifest(self, partition: PartitionId) -> Manifest | None:
        """Return what is published, or None."""
        if partition not in self._manifests:
            self._manifests[partition] = self._lake.manifest(partition)
        return self._manifests[partition]

    def path(self, partition: PartitionId, role: str = "data") -> Path:
        """Return the published file of this role; TableInputError if there is none."""
        return self._lake.path(partition, role)

    def days(self, table: str, segment: str) -> list[dt.date]:
        """Return the published days in order."""
        key = (table, segment)
        if key not in self._days:
            self._days[key] = self._lake.days(table, segment)
        return list(self._days[key])

    def remove(self, partition: PartitionId) -> None:
        """Unpublish a partition."""
        self._lake.remove(partition)
        self._manifests[partition] = None
        self._days.pop((partition.table, partition.segment), None)

    @contextmanager
    def write(self, partition: PartitionId, build_key: str) -> Iterator[PartitionWriter]:
        """Open a writer of the lake behind; what it commits is remembered."""
        with self._lake.write(partition, build_key) as writer:
            yield _NotedWriter(writer, self, partition)

    def note(self, partition: PartitionId, manifest: Manifest) -> None:
        """Remember what has been published."""
        self._manifests[partition] = manifest
        days = self._days.get((partition.table, partition.segment))
        if days is not None and partition.day is not None and partition.day not in days:
            insort(days, partition.day)


class _NotedWriter:
    """Implements `ports.PartitionWriter`: the writer behind, and a note of what it published."""

    def __init__(self, writer: PartitionWriter, lake: RememberingLake, partition: PartitionId) -> None:
        self._writer, self._lake, self._partition = writer, lake, partition

    def file(self, role: str, suffix: str = ".parquet") -> Path:
        """Return the temporary path where the file of this role is to be written."""
        return self._writer.file(role, suffix)

    def scratch(self, suffix: str = ".parquet") -> Path:
        """Return a temporary path for intermediate rows."""
        return self._writer.scratch(suffix)

    def drop(self, role: str) -> None:
        """Take back a role."""
        self._writer.drop(role)

    def commit(
        self,
        *,
        row_count: int,
        inputs: Mapping[str, str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """Publish all files at once."""
        manifest = self._writer.commit(row_count=row_count, inputs=inputs, facts=facts)
        self._lake.note(self._partition, manifest)
        return manifest
