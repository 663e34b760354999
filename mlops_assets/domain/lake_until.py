"""A lake as it was on a day: what a replay shows to decisions, so that none of them knows the future.

Belongs here: the view. Does not belong here: storage (resources.lake).
"""

from __future__ import annotations

import datetime as dt
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.domain.errors import StorageError, TableInputError
from mlops_assets.domain.ports import Lake, Manifest, PartitionId, PartitionWriter


@dataclass(frozen=True)
class LakeUntil:
    """Reads a lake without the partitions of days after `last_day`; writing is refused."""

    lake: Lake
    last_day: dt.date

    @property
    def questions_at_once(self) -> int:
        """As many as of the lake."""
        return self.lake.questions_at_once

    def manifest(self, partition: PartitionId) -> Manifest | None:
        """Return what is published, or None; nothing is of a later day."""
        return None if self._is_later(partition) else self.lake.manifest(partition)

    def path(self, partition: PartitionId, role: str = "data") -> Path:
        """Return the published file of this role. Raises TableInputError for a later day."""
        if self._is_later(partition):
            raise TableInputError(
                f"{partition} has no published {role} file as of {self.last_day}",
                expected=f"a day up to {self.last_day}",
                remedy="ask for an earlier day, or read the lake itself",
            )
        return self.lake.path(partition, role)

    def _is_later(self, partition: PartitionId) -> bool:
        return partition.day is not None and partition.day > self.last_day

    def days(self, table: str, segment: str) -> list[dt.date]:
        """Return the published days up to the last, in order."""
        return [day for day in self.lake.days(table, segment) if day <= self.last_day]

    def write(self, partition: PartitionId, build_key: str) -> AbstractContextManager[PartitionWriter]:
        """Refuse. Raises StorageError."""
        raise self._read_only(partition, build_key)

    def remove(self, partition: PartitionId) -> None:
        """Refuse. Raises StorageError."""
        raise self._read_only(partition)

    def _read_only(self, partition: PartitionId, build_key: str = "") -> StorageError:
        return StorageError(
            "a lake as of a day is only read",
            where=f"{partition} {build_key}".strip(),
            remedy="write to the lake itself",
            is_retryable=False,
        )
