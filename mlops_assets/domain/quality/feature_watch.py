"""A monitor's watched features of a day beside the same weekdays before: which have moved.

Belongs here: which days are compared, publishing the distances, asking a classifier. Does not belong here: the
distances themselves (feature_drift.py), counting (feature_histograms.py), or what follows (drift_verdict.py).

A day's distances are kept, and the thresholds of later days rest on them; what had moved is left out of them,
or a lasting shift would hide itself within days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.ports import Manifest, PartitionId
from mlops_assets.domain.published import find_current
from mlops_assets.domain.quality.feature_drift import (
    FeatureDrift,
    Histograms,
    domain_classifier_auc,
    measure_drift,
)
from mlops_assets.domain.quality.feature_histograms import merge_histograms, read_histograms
from mlops_assets.domain.quality.feature_sample import numeric_features, sample_features
from mlops_assets.domain.quality.monitor_day import MonitorDay, MonitorOutcome
from mlops_assets.domain.quality.monitor_tables import FEATURES
from mlops_assets.domain.quality.watched_features import WATCHED_TABLES

if TYPE_CHECKING:
    import pyarrow as pa

_WEEK_DAYS = 7


def compare_features(monitored: MonitorDay) -> MonitorOutcome:
    """Publish the distances of a day's watched features, or find them published.

    Raises:
        TableInputError: a histogram cannot be read.
    """
    tables = [name for name in monitored.spec.features.tables if _manifest(monitored, name, monitored.day)]
    if not tables:
        return monitored.missing(FEATURES, "no watched table")
    past = monitored.manifests(FEATURES, monitored.spec.features.history_days)
    counted = {name: _counted_days(monitored, name) for name in tables}
    inputs = {str(part): manifest.build_key for days in counted.values() for part, manifest in days.items()}
    key = monitored.key(FEATURES, inputs | {str(day): one.build_key for day, one in past.items()})
    partition = monitored.partition(FEATURES)
    if current := find_current(monitored.lake, partition, key):
        return MonitorOutcome("reused", partition, current, _detail(current))
    drifts = {name: _compare(monitored, list(counted[name]), _history(past, name)) for name in tables}
    facts = {
        "distances": {name: _distances(found) for name, found in drifts.items()},
        "moved": [_moved(name, one) for name, found in drifts.items() for one in found if one.is_drifted],
        "classifier": {
            name: found
            for name, some in drifts.items()
            if any(one.is_drifted for one in some) and (found := _ask_classifier(monitored, name))
        },
    }
    outcome = monitored.publish(FEATURES, key, _rows(drifts), inputs, facts)
    return MonitorOutcome("built", partition, outcome.manifest, _detail(outcome.manifest))


def _manifest(monitored: MonitorDay, table: str, day: dt.date) -> Manifest | None:
    return monitored.lake.manifest(_histograms(monitored, table, day))


def _histograms(monitored: MonitorDay, table: str, day: dt.date) -> PartitionId:
    return PartitionId(WATCHED_TABLES[table].name, monitored.segment, day)


def _counted_days(monitored: MonitorDay, table: str) -> dict[PartitionId, Manifest]:
    """Return the published histograms of the day and of its reference, the day first."""
    weeks = range(monitored.spec.features.reference_weeks + 1)
    days = [monitored.day - dt.timedelta(days=_WEEK_DAYS * back) for back in weeks]
    found = {_histograms(monitored, table, day): _manifest(monitored, table, day) for day in days}
    return {partition: manifest for partition, manifest in found.items() if manifest is not None}


def _compare(
    monitored: MonitorDay, partitions: Sequence[PartitionId], history: Mapping[str, Sequence[float]]
) -> list[FeatureDrift]:
    """Compare the first partition with the others; with more than one week missing there is no reference."""
    if len(partitions) < monitored.spec.features.reference_weeks:
        return []
    current, *reference = (_read(monitored, one) for one in partitions)
    return measure_drift(current, merge_histograms(reference), history, monitored.spec.features)


def _read(monitored: MonitorDay, partition: PartitionId) -> Histograms:
    import pyarrow.parquet as pq

    return read_histograms(pq.read_table(monitored.lake.path(partition)))


def _history(past: Mapping[dt.date, Manifest], table: str) -> dict[str, list[float]]:
    distances: dict[str, list[float]] = {}
    for manifest in past.values():
        moved = {one["feature"] for one in manifest.facts["moved"] if one["table"] == table}
        for feature, distance in manifest.facts["distances"].get(table, {}).items():
            if feature not in moved:
                distances.setdefault(feature, []).append(distance)
    return distances


def _distances(drifts: Iterable[FeatureDrift]) -> dict[str, float]:
    return {one.feature: one.distance for one in drifts}


def _moved(table: str, one: FeatureDrift) -> dict[str, Any]:
    return {"table": table, "feature": one.feature, "distance": one.distance, "threshold": one.threshold}


def _ask_classifier(monitored: MonitorDay, name: str) -> dict[str, float] | None:
    """Return how well the day can be told from a week before, and that week from the one before it.

    None if the table has no documented features, an earlier day is not published, or a day has too few rows.
    """
    table = FEATURE_TABLES.get(name)
    days = [monitored.day - dt.timedelta(days=_WEEK_DAYS * back) for back in range(3)]
    partitions = [PartitionId(name, monitored.segment, day) for day in days]
    if table is None or not all(monitored.lake.manifest(one) for one in partitions):
        return None
    features = numeric_features(table)
    samples = [
        sample_features(table, one, lake=monitored.lake, engine=monitored.engine, features=features)
        for one in partitions
    ]
    try:
        aucs = [
            domain_classifier_auc(before.values, after.values, (before.key_hashes, after.key_hashes))
            for after, before in pairwise(samples)
        ]
    except LearningError:
        return None
    return {"roc_auc": aucs[0], "ordinary_roc_auc": aucs[1]}


def _rows(drifts: Mapping[str, Sequence[FeatureDrift]]) -> pa.Table:
    """Return one row per table and feature."""
    import pyarrow as pa

    columns = {
        "table": pa.string(),
        "feature": pa.string(),
        "distance": pa.float64(),
        "psi": pa.float64(),
        "missing_change": pa.float64(),
        "threshold": pa.float64(),
        "p_value": pa.float64(),
        "is_drifted": pa.bool_(),
        "history_days": pa.int64(),
    }
    rows = [{"table": name, **vars(one)} for name, found in drifts.items() for one in found]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items())))


def _detail(manifest: Manifest | None) -> str:
    if manifest is None or not any(manifest.facts["distances"].values()):
        return "too few of the same weekdays before to compare with"
    moved = [f"{one['feature']} of {one['table']}" for one in manifest.facts["moved"]]
    return f"moved: {', '.join(moved)}" if moved else "no feature moved"
