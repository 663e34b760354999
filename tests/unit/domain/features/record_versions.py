"""Record each table's version and the hash of its SQL, for test_catalogue.py.

Run as `python -m tests.unit.domain.features.record_versions`.
"""

from __future__ import annotations

import json
from pathlib import Path

from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.compile import compile_statements
from mlops_assets.domain.hashing import stable_hash

if __name__ == "__main__":
    versions = {
        table.name: [table.version, stable_hash(compile_statements(table))]
        for table in FEATURE_TABLES.values()
    }
    target = Path(__file__).with_name("compiled_versions.json")
    target.write_text(json.dumps(versions, indent=2) + "\n")
