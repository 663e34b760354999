"""The trainings of a fleet, one after the other: what each cost, how many devices it was for, each group's metric.

Belongs here: keeping a training's rows by its last day of data, and reading them. Does not belong here: the newest
training's full note (fleet_note).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.fleet_note import read_fleet
from mlops_assets.domain.learning.lake_tables import fleet_history_table
from mlops_assets.domain.learning.spec import CorpusSpec
from mlops_assets.domain.ports import Lake, Manifest, ModelSlot, PartitionId

HISTORY_VERSION = "1"
MOST_TRAININGS = 12
_KEPT = ("group", "outcome", "algorithm", "train_rows", "metric", "pooled_metric", "gain", "cpu_seconds")


@dataclass(frozen=True)
class PastTraining:
    """A training: last day of its data, CPU, rows, and each group's row; `devices` is None where not known."""

    day: dt.date
    cpu_seconds: float
    train_rows: int
    devices: int | None
    groups: Mapping[str, Mapping[str, Any]]


def record_training(lake: Lake, slot: ModelSlot, corpus: CorpusSpec, group_column: str) -> Manifest | None:
    """Keep the newest training by its last day of data; None if its data have no days.

    The same training is kept once; a second one on the same day replaces the first.
    """
    import pyarrow.parquet as pq

    groups, _, note = read_fleet(lake, slot)
    if not note.facts["as_of_day"]:
        return None
    day = dt.date.fromisoformat(note.facts["as_of_day"])
    devices = count_devices(lake, PartitionId(corpus.table, slot.segment, day), group_column)
    table = groups.select([name for name in _KEPT if name in groups.column_names])
    partition = PartitionId(fleet_history_table(slot.use_case, slot.model), slot.segment, day)
    facts = {
        "cpu_seconds": note.facts["cpu_seconds"],
        "metric": note.facts["metric"],
        "devices": sum(devices.values()) if devices else None,
    }
    with lake.write(partition, stable_hash([note.build_key, HISTORY_VERSION])) as writer:
        pq.write_table(table, writer.file("data"), compression="zstd")
        return writer.commit(row_count=table.num_rows, facts=facts)


def count_devices(lake: Lake, partition: PartitionId, group_column: str) -> dict[str | None, int]:
    """Return how many rows of a day's table each group has; nothing if the day is not there."""
    import pyarrow.parquet as pq

    if lake.manifest(partition) is None:
        return {}
    groups = pq.read_table(lake.path(partition), columns=[group_column])[group_column]
    return dict(Counter(groups.to_pylist()))


def read_trainings(lake: Lake, slot: ModelSlot, newest: dt.date | None = None) -> list[PastTraining]:
    """Return the last twelve trainings, oldest first, up to a day of data."""
    table = fleet_history_table(slot.use_case, slot.model)
    days = [day for day in lake.days(table, slot.segment) if newest is None or day <= newest]
    return [_read(lake, PartitionId(table, slot.segment, day), day) for day in days[-MOST_TRAININGS:]]


def _read(lake: Lake, partition: PartitionId, day: dt.date) -> PastTraining:
    import pyarrow.parquet as pq

    rows = pq.read_table(lake.path(partition)).to_pylist()
    manifest = lake.manifest(partition)
    facts = manifest.facts if manifest else {}
    return PastTraining(
        day,
        float(facts.get("cpu_seconds", 0.0)),
        sum(row["train_rows"] for row in rows),
        facts.get("devices"),
        {row["group"]: row for row in rows},
    )
