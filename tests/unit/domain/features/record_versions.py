"""Record each table's version and the hash of its SQL, for test_catalogue.py.

Run as `python -m tests.unit.domain.features.record_versions`.
"""

from __future__ import annotations

import json
from pathlib import Path

from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.compile import compile_statements
from mlops_assets.domain.features.table import FeatureTable
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.quality.subscriber_tables import subscriber_tables
from mlops_assets.domain.quality.watched_features import WATCHED_TABLES


def versioned_tables() -> dict[str, FeatureTable]:
    """Return every table that is made by statements, by name."""
    of_quality = (*subscriber_tables("quality/plan_usage/kernel"), *WATCHED_TABLES.values())
    return {table.name: table for table in (*FEATURE_TABLES.values(), *of_quality)}


if __name__ == "__main__":
    versions = {
        table.name: [table.version, stable_hash(compile_statements(table))]
        for table in versioned_tables().values()
    }
    target = Path(__file__).with_name("compiled_versions.json")
    target.write_text(json.dumps(versions, indent=2) + "\n")
