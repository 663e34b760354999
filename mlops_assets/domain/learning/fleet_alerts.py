"""The day's alerts of a fleet: who is to be looked at, in which order, why, and what that is expected to save.

Belongs here: publishing the alerts of a segment's scores with reasons. Does not belong here: which rows are alerts
(alerts), how a reason is found (fleet_reasons), or the list that people get (reporting.fleet_alert_list).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.learning.fleet_blend import GroupScorer
from mlops_assets.domain.learning.fleet_reasons import FEWEST_PEERS, Reason, explain_scores, usual_values
from mlops_assets.domain.learning.fleet_scoring import UNLOADABLE, FleetDay, load_blend, read_fleet_rows
from mlops_assets.domain.learning.lake_tables import alerts_table
from mlops_assets.domain.ports import (
    Lake,
    LedgerEntry,
    Manifest,
    ModelRegistry,
    ModelSlot,
    PartitionId,
    PromotionLedger,
    TableEngine,
)
from mlops_assets.domain.published import find_current

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.bundle import Scorer
    from mlops_assets.domain.learning.dataset import Dataset
    from mlops_assets.domain.learning.spec import AlertSpec

    Floats = NDArray[np.float64]

ALERTS_VERSION = "1"
Row = dict[str, Any]


@dataclass(frozen=True)
class AlertOutcome:
    """What became of one segment's alerts. `status`: built, reused or missing_input."""

    partition: PartitionId
    status: Literal["built", "reused", "missing_input"]
    detail: str
    manifest: Manifest | None = None


@dataclass(frozen=True)
class AlertStores:
    """What alerts are made from."""

    lake: Lake
    engine: TableEngine
    registry: ModelRegistry
    ledger: PromotionLedger


def expected_saving_usd(probabilities: Floats, alerts: AlertSpec) -> Floats:
    """Return what looking at a row saves on average: P x missed event - (1 - P) x false alarm; positive for alerts."""
    return probabilities * alerts.missed_event_usd - (1 - probabilities) * alerts.false_alarm_usd


def publish_alerts(fleet: FleetDay, stores: AlertStores) -> AlertOutcome:
    """Publish the alerts of the day's scores, the one that saves most first.

    Columns: `alert_rank`, entity key, group, `score`, `saving_usd` expected, `model_segment` and `model_version` of who
    scored, `reasons` (feature, value, usual value of the group, drop of the score), empty if no single value explains
    it.

    Raises:
        TypeError: the model has no `alerts`.
    """
    alerts = _alerts_of(fleet)
    target = PartitionId(alerts_table(fleet.slot.use_case, fleet.slot.model), fleet.slot.segment, fleet.day)
    lake = stores.lake
    found = {str(source): lake.manifest(source) for source in (fleet.target, fleet.source)}
    if missing := [name for name, manifest in found.items() if manifest is None]:
        return AlertOutcome(target, "missing_input", f"{' and '.join(missing)} not there")
    inputs = {name: manifest.build_key for name, manifest in found.items() if manifest}
    build_key = stable_hash([inputs, alerts, ALERTS_VERSION])
    current = find_current(lake, target, build_key)
    if current and not current.facts["not_loadable"]:  # else the reasons may be had by now
        return AlertOutcome(target, "reused", _describe(current), current)
    with lake.write(target, build_key) as writer:
        rows, facts = _make_rows(fleet, stores)
        _write(rows, fleet, writer.file("data"))
        manifest = writer.commit(row_count=len(rows), inputs=inputs, facts=facts)
    return AlertOutcome(target, "built", _describe(manifest), manifest)


def read_alerts(lake: Lake, partition: PartitionId) -> list[Row]:
    """Return the rows of a published day, in order."""
    import pyarrow.parquet as pq

    rows: list[Row] = pq.read_table(lake.path(partition)).to_pylist()
    return rows


def _alerts_of(fleet: FleetDay) -> AlertSpec:
    if fleet.spec.alerts is None:
        raise TypeError("a model with alerts is expected")
    return fleet.spec.alerts


def _describe(manifest: Manifest) -> str:
    facts = manifest.facts
    return f"{manifest.row_count} alerts of {facts['worth']} worth their cost, {facts['scored']} scored"


def _make_rows(fleet: FleetDay, stores: AlertStores) -> tuple[list[Row], dict[str, Any]]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    alerts, scores = _alerts_of(fleet), pq.read_table(stores.lake.path(fleet.target))
    listed = scores.filter(scores["is_alert"]).sort_by("alert_rank")
    saved = expected_saving_usd(listed["score"].to_numpy(), alerts)
    reasons, unexplained = _explain(fleet, listed, stores)
    key = fleet.corpus.entity_key
    kept = ("alert_rank", key, fleet.group_column, "score", "model_segment", "model_version")
    rows = [
        row | {"saving_usd": round(usd, 2), "reasons": [asdict(one) for one in reasons[str(row[key])]]}
        for row, usd in zip(listed.select(kept).to_pylist(), saved.tolist(), strict=True)
    ]
    facts = {
        "scored": scores.num_rows,
        "worth": int(pc.sum(pc.greater(scores["score"], alerts.threshold)).as_py() or 0),
        "threshold": alerts.threshold,
        "capacity_per_day": alerts.capacity_per_day,
        "not_loadable": sorted(unexplained),
    }
    return rows, facts


def _explain(
    fleet: FleetDay, listed: pa.Table, stores: AlertStores
) -> tuple[dict[str, list[Reason]], set[str]]:
    """Return reasons by key, and the segments whose model cannot be loaded: their alerts have no reason."""
    keys = [str(key) for key in listed[fleet.corpus.entity_key].to_pylist()]
    found: dict[str, list[Reason]] = {key: [] for key in keys}
    by_maker: dict[tuple[str, str], list[str]] = {}
    segments, versions = listed["model_segment"].to_pylist(), listed["model_version"].to_pylist()
    for key, segment, version in zip(keys, segments, versions, strict=True):
        by_maker.setdefault((segment, version), []).append(key)
    models, failed = _load_makers(fleet, list(by_maker), stores)
    if models:
        parts = [part for model in models.values() for part in _parts_of(model)]
        rows = read_fleet_rows(fleet, parts, stores.engine, stores.lake.path(fleet.source))
        for maker, model in models.items():
            found |= _explain_by(model, fleet, set(by_maker[maker]), rows)
    return found, failed


def _load_makers(
    fleet: FleetDay, makers: Sequence[tuple[str, str]], stores: AlertStores
) -> tuple[dict[tuple[str, str], Scorer | GroupScorer], set[str]]:
    histories = stores.ledger.histories(fleet.slot.use_case, fleet.slot.model)
    models, failed = {}, set()
    for segment, version in makers:
        try:
            loaded = _load(histories.get(segment, ()), version, fleet.slot, stores.registry)
            models[segment, version] = loaded
        except UNLOADABLE:
            failed.add(segment)
    return models, failed


def _parts_of(model: Scorer | GroupScorer) -> list[Scorer]:
    if not isinstance(model, GroupScorer):
        return [model]
    return [model.own, model.pooled] if model.pooled else [model.own]


def _load(
    history: Sequence[LedgerEntry], version: str, slot: ModelSlot, registry: ModelRegistry
) -> Scorer | GroupScorer:
    entry = next(one for one in reversed(history) if one.version == version)
    if entry.slot == slot:
        return load_version(registry, slot, entry.version, entry.bundle_sha256)
    return load_blend(entry, slot, registry)


def _explain_by(
    model: Scorer | GroupScorer, fleet: FleetDay, keys: set[str], day: Dataset
) -> Mapping[str, list[Reason]]:
    """Return the reasons of the rows that one model scored, against the rows of their own group."""
    features = model.signature.features
    rows = day.select(features)
    names = [name for name in features if name != fleet.group_column]
    groups = rows.segment_values[fleet.group_column].astype(str)
    wanted = np.array([str(key) in keys for key in rows.keys.tolist()], dtype=bool)
    reasons: dict[str, list[Reason]] = {}
    for group in np.unique(groups[wanted]).tolist():
        chosen = rows.take(wanted & (groups == group))
        found = explain_scores(chosen, usual_values(_peers(rows, groups == group)), names, model.predict)
        reasons |= dict(zip(map(str, chosen.keys.tolist()), found, strict=True))
    return reasons


def _peers(rows: Dataset, is_member: NDArray[np.bool_]) -> Dataset:
    """Return the rows of a group; everybody, if it is too small to say what is usual."""
    return rows.take(is_member) if is_member.sum() >= FEWEST_PEERS else rows


def _write(rows: Sequence[Row], fleet: FleetDay, target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number = pa.string(), pa.float64()
    reason = pa.struct([("feature", text), ("value", text), ("usual", text), ("score_drop", number)])
    schema = pa.schema(
        [
            ("alert_rank", pa.int32()),
            (fleet.corpus.entity_key, text),
            (fleet.group_column, text),
            ("score", number),
            ("saving_usd", number),
            ("model_segment", text),
            ("model_version", text),
            ("reasons", pa.list_(reason)),
        ]
    )
    named = [row | {fleet.corpus.entity_key: str(row[fleet.corpus.entity_key])} for row in rows]
    pq.write_table(pa.Table.from_pylist(named, schema), target, compression="zstd")
