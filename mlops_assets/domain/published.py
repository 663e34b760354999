"""Whether a partition is published as it should be, so that it need not be built again.

Belongs here: the one question that feeds, tables, corpora and scores ask before they build. Does not belong
here: how partitions are stored (the Lake port).
"""

from __future__ import annotations

from mlops_assets.domain.errors import StorageError, TableInputError
from mlops_assets.domain.ports import Lake, Manifest, PartitionId


def read_manifest(lake: Lake, partition: PartitionId) -> Manifest | None:
    """Return what is published; an unreadable manifest counts as nothing, the partition is built anew."""
    try:
        return lake.manifest(partition)
    except StorageError:
        return None


def find_current(lake: Lake, partition: PartitionId, build_key: str) -> Manifest | None:
    """Return what is published if it was built from `build_key` and all its files are there, with their sizes."""
    manifest = read_manifest(lake, partition)
    if manifest is None or manifest.build_key != build_key:
        return None
    try:
        for role in manifest.files:
            lake.path(partition, role)
    except (StorageError, TableInputError):
        return None
    return manifest
