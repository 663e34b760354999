"""What MLflow's store says about a version, read from its database beside the pages.

Belongs here: reading. Does not belong here: what the pages make of it (the tests).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_VERSION = "SELECT version, run_id FROM model_versions WHERE name = ? ORDER BY version DESC LIMIT 1"
_TAGS = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
_EXPERIMENT = "SELECT experiment_id FROM runs WHERE run_uuid = ?"
_METRIC = "SELECT value FROM latest_metrics WHERE run_uuid = ? AND key LIKE '%roc_auc' ORDER BY key LIMIT 1"


@dataclass(frozen=True)
class TrackedVersion:
    """A registered version: of which run, with which tags, how good (the beginning of the number as text)."""

    version: str
    run_id: str
    experiment_id: str
    tags: dict[str, str]
    metric_text: str


def read_newest_version(home: Path, model: str) -> TrackedVersion:
    """Return the newest version of a registered model of a data root."""
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as connection:
        version, run_id = connection.execute(_VERSION, (model,)).fetchone()
        tags = dict(connection.execute(_TAGS, (model, version)))
        (experiment,) = connection.execute(_EXPERIMENT, (run_id,)).fetchone()
        (metric,) = connection.execute(_METRIC, (run_id,)).fetchone()
    return TrackedVersion(str(version), run_id, str(experiment), tags, f"{metric:.4f}"[:5])
