"""What is kept of a fleet's training: one row per group, and one per group and algorithm.

Belongs here: the columns of both files, writing and reading them. Does not belong here: how they look to people
(reports).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import CorpusError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.fleet_blend import PooledVersion
from mlops_assets.domain.learning.fleet_promotion import GroupDecision
from mlops_assets.domain.learning.gate import finite_or_none
from mlops_assets.domain.learning.lake_tables import fleet_table
from mlops_assets.domain.learning.spec import EventLabel, ModelSpec
from mlops_assets.domain.ports import Lake, Manifest, ModelSlot, PartitionId

if TYPE_CHECKING:
    import pyarrow as pa

NOTE_VERSION = "1"
NO_DATES = "the data have no dates: parts are drawn at random, so that later days may be predicted less well"
ENTRIES = "entries"


@dataclass(frozen=True)
class FleetNote:
    """A finished training: slot of the pooled model, parent run, pooled champion, last day of data, decisions."""

    slot: ModelSlot
    run_id: str
    pooled: PooledVersion | None
    as_of_day: dt.date | None
    decisions: tuple[GroupDecision, ...]


def fleet_partition(slot: ModelSlot) -> PartitionId:
    """Return the lake partition of a fleet's newest training."""
    return PartitionId(fleet_table(slot.use_case, slot.model), slot.segment)


def note_fleet(lake: Lake, note: FleetNote, spec: ModelSpec) -> Manifest:
    """Publish the rows of groups (file `data`) and of candidates (file `entries`)."""
    import pyarrow.parquet as pq

    groups, entries = group_table(note.decisions), entry_table(note.decisions)
    facts = {
        "run_id": note.run_id,
        "metric": spec.metric,
        "pooled_version": note.pooled.version if note.pooled else None,
        "pooled_sha256": note.pooled.bundle_sha256 if note.pooled else None,
        "as_of_day": note.as_of_day.isoformat() if note.as_of_day else None,
        "caveat": "" if isinstance(spec.label, EventLabel) else NO_DATES,
        "outcomes": dict(Counter(decision.outcome for decision in note.decisions)),
        "cpu_seconds": sum(decision.result.cpu_seconds for decision in note.decisions),
    }
    key = stable_hash([NOTE_VERSION, facts, [d.result.bundle_sha256 for d in note.decisions]])
    with lake.write(fleet_partition(note.slot), key) as writer:
        pq.write_table(groups, writer.file("data"), compression="zstd")
        pq.write_table(entries, writer.file(ENTRIES), compression="zstd")
        return writer.commit(row_count=groups.num_rows, facts=facts)


def read_fleet(lake: Lake, slot: ModelSlot) -> tuple[pa.Table, pa.Table, Manifest]:
    """Return groups, candidates and facts of the newest training.

    Raises:
        CorpusError: the fleet has not been trained.
    """
    import pyarrow.parquet as pq

    partition = fleet_partition(slot)
    manifest = lake.manifest(partition)
    if manifest is None:
        raise CorpusError(
            "the fleet has not been trained",
            where=slot.registered_name,
            remedy=f"materialise fleet/{slot.use_case}/{slot.model}",
        )
    return pq.read_table(lake.path(partition)), pq.read_table(lake.path(partition, ENTRIES)), manifest


def group_table(decisions: Sequence[GroupDecision]) -> pa.Table:
    """Return one row per group; gains are in the metric's unit, positive is better, null where undefined."""
    import pyarrow as pa

    number, text = pa.float64(), pa.string()
    schema = pa.schema(
        [
            *((name, text) for name in ("group", "segment", "outcome", "detail")),
            *((f"{part}_rows", pa.int64()) for part in ("train", "validation", "holdout")),
            ("holdout_positives", pa.int64()),
            *((name, text) for name in ("algorithm", "version", "bundle_sha256")),
            *((name, number) for name in ("own_share", "metric", "pooled_metric")),
            *((name, number) for name in ("gain", "gain_low", "gain_high", "p_value")),
            ("is_proven", pa.bool_()),
            ("champion_gain", number),
            ("cpu_seconds", number),
        ]
    )
    return pa.Table.from_pylist([_group_row(decision) for decision in decisions], schema)


def _group_row(decision: GroupDecision) -> dict[str, Any]:
    result, evidence, entry = decision.result, decision.result.against_pooled, decision.entry
    own = evidence.challenger if evidence else None
    pooled = evidence.baseline if evidence else None
    champion = result.against_champion
    return {
        "group": result.name,
        "segment": result.segment,
        "outcome": decision.outcome,
        "detail": decision.detail,
        **{f"{part}_rows": rows for part, rows in result.part_rows.items()},
        "holdout_positives": evidence.holdout_positives if evidence else None,
        "algorithm": result.algorithm or None,
        "version": entry.version if entry else None,
        "bundle_sha256": result.bundle_sha256 or None,
        "own_share": result.share,
        "metric": finite_or_none(own.metric if own else None),
        "pooled_metric": finite_or_none(pooled.metric if pooled else None),
        "gain": finite_or_none(evidence.gain if evidence else None),
        "gain_low": finite_or_none(evidence.gain_low if evidence else None),
        "gain_high": finite_or_none(evidence.gain_high if evidence else None),
        "p_value": result.p_value if evidence else None,
        "is_proven": decision.is_proven,
        "champion_gain": finite_or_none(champion.gain if champion else None),
        "cpu_seconds": result.cpu_seconds,
    }


def entry_table(decisions: Sequence[GroupDecision]) -> pa.Table:
    """Return one row per group and candidate, best first within a group."""
    import pyarrow as pa

    number, text = pa.float64(), pa.string()
    schema = pa.schema(
        [
            *((name, text) for name in ("group", "algorithm", "error")),
            ("is_chosen", pa.bool_()),
            ("standard_error", number),
            ("holdout_metric", number),
            ("cpu_seconds", number),
            ("metrics", pa.map_(text, number)),
        ]
    )
    rows = [
        {
            "group": decision.result.name,
            "algorithm": entry.algorithm,
            "error": entry.error or None,
            "is_chosen": entry.is_chosen,
            "standard_error": finite_or_none(entry.standard_error),
            "holdout_metric": finite_or_none(entry.holdout_metric),
            "cpu_seconds": entry.cpu_seconds,
            "metrics": sorted(entry.metrics.items()),
        }
        for decision in decisions
        for entry in decision.result.entries
    ]
    return pa.Table.from_pylist(rows, schema)
