"""What is published: of many partitions, and whether one is as it should be, so that it need not be built again.

Belongs here: the questions that feeds, tables, corpora and scores ask before they build. Does not belong
here: how partitions are stored (the Lake port).
"""

from __future__ import annotations

from collections.abc import Sequence

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.errors import StorageError, TableInputError
from mlops_assets.domain.ports import Lake, Manifest, PartitionId


def read_manifest(lake: Lake, partition: PartitionId) -> Manifest | None:
    """Return what is published; an unreadable manifest counts as nothing, the partition is built anew."""
    try:
        return lake.manifest(partition)
    except StorageError:
        return None


def find_published(lake: Lake, partitions: Sequence[PartitionId]) -> dict[PartitionId, Manifest]:
    """Return the manifests of those partitions that are published, in their order. Raises StorageError."""
    found = zip(partitions, ask_together(lake, lake.manifest, partitions), strict=True)
    return {partition: manifest for partition, manifest in found if manifest is not None}


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
