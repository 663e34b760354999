"""The content of a retraining report: both models measured on the same rows, importances, moved data.

Belongs here: collecting and measuring. Does not belong here: the decision, which is read from the ledger, or
rendering (domain.reporting).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.card import describe_decision
from mlops_assets.domain.learning.dataset import Dataset
from mlops_assets.domain.learning.explanation import find_important, normalise_importances
from mlops_assets.domain.learning.exposure import find_seen_rows
from mlops_assets.domain.learning.metrics import METRICS, measure_all, measure_intervals
from mlops_assets.domain.learning.spec import ModelSpec
from mlops_assets.domain.ports import Lake, LedgerEntry, PartitionId
from mlops_assets.domain.quality.monitor_tables import FEATURES, monitor_table
from mlops_assets.domain.reporting.retraining_report import (
    FeatureMove,
    Measured,
    MetricComparison,
    MovedData,
    RetrainingReport,
    ShiftNote,
)

REVIEW_VERSION = "2"  # to be raised when a report shows something else for the same decision
MOVED_DAYS = 28


@dataclass(frozen=True)
class ReviewSources:
    """What a review is made from.

    Attributes:
        reason: why the model was trained.
        spec: of the model.
        entry: decision on the challenger.
        challenger: the trained model.
        champion: what it was compared with; None for a first champion.
        holdout: rows that hold the features of both.
        columns: feature -> (unit, meaning).
        moved: watched features that moved.
        shift: that made it due.
    """

    reason: str
    spec: ModelSpec
    entry: LedgerEntry
    challenger: Scorer
    champion: Scorer | None
    holdout: Dataset
    columns: Mapping[str, tuple[str, str]]
    moved: tuple[MovedData, ...] = ()
    shift: ShiftNote | None = None


def review_retraining(sources: ReviewSources) -> RetrainingReport:
    """Measure both models on the holdout rows that the champion has not seen, and return the report."""
    entry, spec, champion = sources.entry, sources.spec, sources.champion
    figures = entry.evidence["figures"]
    holdout = sources.holdout
    if champion is not None:
        holdout = holdout.take(~np.asarray(find_seen_rows(champion.exposure, holdout)))
    return RetrainingReport(
        use_case=entry.slot.use_case,
        model=entry.slot.model,
        segment=entry.slot.segment,
        reason=sources.reason,
        data_day=entry.as_of_day,
        decision=describe_decision(entry),
        version=entry.version,
        algorithm=sources.challenger.algorithm,
        champion_version=entry.previous_version if champion else None,
        champion_algorithm=champion.algorithm if champion else None,
        metric=spec.metric,
        metrics=tuple(_compare_metrics(sources.challenger, champion, holdout, spec)),
        **{name: figures[name] for name in ("gain", "gain_low", "gain_high", "holdout_rows")},
        holdout_first_day=_day(figures["holdout_first_day"]),
        holdout_last_day=_day(figures["holdout_last_day"]),
        **_business(figures, spec, has_champion=champion is not None),
        features=tuple(_compare_features(sources.challenger, champion, sources.columns)),
        moved=sources.moved,
        shift=sources.shift,
    )


def _compare_metrics(
    challenger: Scorer, champion: Scorer | None, holdout: Dataset, spec: ModelSpec
) -> list[MetricComparison]:
    if not holdout.rows:
        return []
    ours = _measure(challenger, holdout, spec)
    is_comparable = champion is not None and set(champion.features) <= set(holdout.features)
    theirs = _measure(champion, holdout, spec) if champion and is_comparable else {}
    names = sorted(ours, key=lambda name: (name != spec.metric, name))
    return [
        MetricComparison(
            name=name,
            unit=METRICS[name].unit,
            is_higher_better=METRICS[name].is_higher_better,
            challenger=ours[name],
            champion=theirs.get(name),
        )
        for name in names
    ]


def _measure(scorer: Scorer, holdout: Dataset, spec: ModelSpec) -> dict[str, Measured]:
    predictions = scorer.predict(holdout.select(scorer.features))
    found = measure_all(spec.task, holdout.y, predictions, spec.quantile)
    intervals = measure_intervals(found, holdout.y, predictions, seed=spec.seed, quantile=spec.quantile)
    return {name: Measured(value=found[name], low=low, high=high) for name, (low, high) in intervals.items()}


def _compare_features(
    challenger: Scorer, champion: Scorer | None, columns: Mapping[str, tuple[str, str]]
) -> list[FeatureMove]:
    after = normalise_importances(challenger.importances)
    before = normalise_importances(champion.importances) if champion else {}
    important_after, important_before = find_important(after), find_important(before)
    return [
        FeatureMove(
            name=name,
            meaning=columns.get(name, ("", ""))[1],
            before=before.get(name),
            after=after.get(name),
            is_important_before=name in important_before,
            is_important_after=name in important_after,
        )
        for name in {**after, **before}
    ]


def _business(figures: Mapping[str, Any], spec: ModelSpec, *, has_champion: bool) -> dict[str, Any]:
    ours, theirs = (figures[name] or {} for name in ("challenger", "baseline"))
    if spec.business is None or ours.get("business") is None:
        return {}
    return {
        "business_name": spec.business.name,
        "business_unit": "USD per 1,000 entities",
        "business": ours["business"],
        "champion_business": theirs.get("business") if has_champion else None,
    }


def read_moved_data(
    lake: Lake, monitors: Iterable[str], segment: str, last_day: dt.date | None
) -> tuple[MovedData, ...]:
    """Return the watched features that moved in the four weeks up to a day, those on most days first."""
    if last_day is None:
        return ()
    found: dict[tuple[str, str], dict[dt.date, tuple[float, float]]] = {}
    for day, one in _list_moves(lake, monitors, segment, last_day):
        seen = (one["distance"], one["threshold"])
        by_day = found.setdefault((one["table"], one["feature"]), {})
        by_day[day] = max(by_day.get(day, seen), seen)
    moved = []
    for (table, feature), by_day in found.items():
        distance, threshold = max(by_day.values())
        moved.append(
            MovedData(table=table, feature=feature, days=len(by_day), distance=distance, threshold=threshold)
        )
    return tuple(sorted(moved, key=lambda one: (-one.days, one.table, one.feature)))


def _list_moves(
    lake: Lake, monitors: Iterable[str], segment: str, last_day: dt.date
) -> Iterator[tuple[dt.date, Mapping[str, Any]]]:
    first_day = last_day - dt.timedelta(days=MOVED_DAYS - 1)
    for monitor in monitors:
        table = monitor_table(monitor, FEATURES)
        for day in lake.days(table, segment):
            if first_day <= day <= last_day and (manifest := lake.manifest(PartitionId(table, segment, day))):
                yield from ((day, one) for one in manifest.facts["moved"])


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None
