"""A process that publishes as fast as it can, for the tests that kill it; and what tests of lakes publish.

`python -m tests.unit.resources.lake_writer FOLDER` prints the number of each version once it is published.
"""

from __future__ import annotations

import datetime as dt
import itertools
import sys
from pathlib import Path

from mlops_assets.domain.ports import Lake, Manifest, PartitionId
from resources.lake import LocalLake

DAY = dt.date(2026, 8, 10)
USAGE = PartitionId("feeds/usage", "cl", DAY)
KEYS = {name: name * 64 for name in "abcdef"}
ROLES = ("data", "quarantine")


def publish(lake: Lake, key: str, content: bytes = b"rows", partition: PartitionId = USAGE) -> Manifest:
    """Publish a partition of one file."""
    with lake.write(partition, key) as writer:
        writer.file("data").write_bytes(content)
        return writer.commit(row_count=len(content), inputs={"raw": "x"}, facts={"day": DAY})


def content_of(number: int) -> bytes:
    """Return what each file of a version holds; its manifest has the number as rows."""
    return f"{number:08d}".encode() * 50


def publish_for_ever(lake: Lake) -> None:
    """Publish one version after the other, each file written in small pieces."""
    for number in itertools.count():
        with lake.write(USAGE, f"{number:064x}"[::-1]) as writer:
            for role in ROLES:
                with writer.file(role).open("wb", buffering=0) as stream:
                    for start in range(0, len(content_of(number)), 8):
                        stream.write(content_of(number)[start : start + 8])
            writer.commit(row_count=number)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    publish_for_ever(LocalLake(Path(sys.argv[1]), grace_s=0.0))
