"""A process that publishes to a bucket as fast as it can, for the test that kills it.

`python -m tests.integration.cloud.gcs_lake_writer BUCKET FOLDER`: see tests.unit.resources.lake_writer.
"""

from __future__ import annotations

import sys
from pathlib import Path

from resources.file_cache import FileCache
from resources.gcs_lake import GcsLake
from resources.object_store import ObjectStore
from tests.unit.resources.lake_writer import publish_for_ever

if __name__ == "__main__":
    cache = FileCache(Path(sys.argv[2]), limit_bytes=10_000_000)
    publish_for_ever(GcsLake(ObjectStore(sys.argv[1], "some/prefix"), cache, grace_s=30.0))
