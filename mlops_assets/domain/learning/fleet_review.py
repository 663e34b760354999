"""From what is stored about a fleet to its report.

Belongs here: joining the newest training, the ledger, the newest scores and the matched days by group. Does not belong
here: how the report looks (reporting.fleet_report_page).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlops_assets.domain.learning.champions import current_champion
from mlops_assets.domain.learning.fleet_gains import gain_over_best_single, gain_over_pooled
from mlops_assets.domain.learning.fleet_history import PastTraining, read_trainings
from mlops_assets.domain.learning.fleet_live import LiveRecord, Sums, read_live, share_of
from mlops_assets.domain.learning.fleet_note import fleet_partition, read_fleet
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.learning.metrics import METRICS
from mlops_assets.domain.learning.slots import group_segment
from mlops_assets.domain.learning.spec import ModelSpec
from mlops_assets.domain.ports import Lake, LedgerEntry, ModelSlot, PartitionId, PromotionLedger
from mlops_assets.domain.reporting.fleet_report import (
    FaultLine,
    FleetReport,
    GainLine,
    GroupLine,
    LiveLine,
    TrainingLine,
)

FLEET_REVIEW_VERSION = "1"
NEW_GROUP = "new"
_NEW_DETAIL = "came after the newest training; the next one will try a model of its own"
_POOLED_NOTE = "own model in every group that was tested, used or not, on the holdout of the newest training"
_SINGLE_NOTE = "both chosen by validation rows, compared on the holdout of the newest training"
_LIVE_NOTE = "the champions in use, on matched days after they were chosen; log loss"


@dataclass(frozen=True)
class FleetSources:
    """What a report is made of.

    Attributes:
        slot, spec: of the model.
        groups, entries, facts: of the newest training.
        histories: decisions by segment, oldest first.
        trainings: the last ones, oldest first.
        live: matched days.
        scored: devices of the newest scores by group, and their day.
        missing: feeds that days wait for.
        newest_day: day of the report; None for data without days.
    """

    slot: ModelSlot
    spec: ModelSpec
    groups: Sequence[Mapping[str, Any]]
    entries: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    histories: Mapping[str, Sequence[LedgerEntry]]
    trainings: Sequence[PastTraining] = ()
    live: LiveRecord = field(default_factory=LiveRecord)
    scored: tuple[dt.date | None, Mapping[str | None, int]] = (None, {})
    missing: tuple[str, ...] = ()
    newest_day: dt.date | None = None


def read_sources(
    slot: ModelSlot,
    spec: ModelSpec,
    newest_day: dt.date | None,
    *,
    lake: Lake,
    ledger: PromotionLedger,
    missing: Sequence[str] = (),
) -> FleetSources | None:
    """Return what is known of a fleet; None if it has not been trained.

    Args:
        slot: of the pooled model.
        spec: the model; has a fleet.
        newest_day: newest day that may be in the report; None for data without days.
        lake: holds trainings, scores and matched days.
        ledger: who is champion.
        missing: feeds that days wait for.
    """
    if lake.manifest(fleet_partition(slot)) is None:
        return None
    groups, entries, note = read_fleet(lake, slot)
    trained = note.facts["as_of_day"]
    day = newest_day or (dt.date.fromisoformat(trained) if trained else None)
    return FleetSources(
        slot,
        spec,
        groups.to_pylist(),
        entries.to_pylist(),
        note.facts,
        ledger.histories(slot.use_case, slot.model),
        read_trainings(lake, slot, day) if day else [],
        read_live(lake, slot, day) if day else LiveRecord(),
        _count_scored(lake, slot, spec, day),
        tuple(missing),
        day,
    )


def _count_scored(
    lake: Lake, slot: ModelSlot, spec: ModelSpec, newest_day: dt.date | None
) -> tuple[dt.date | None, dict[str | None, int]]:
    import pyarrow.parquet as pq

    table = scores_table(slot.use_case, slot.model)
    days = [day for day in lake.days(table, slot.segment) if newest_day is None or day <= newest_day]
    if not days or spec.fleet is None:
        return None, {}
    column = spec.fleet.group_column
    path = lake.path(PartitionId(table, slot.segment, days[-1]))
    return days[-1], dict(Counter(pq.read_table(path, columns=[column])[column].to_pylist()))


def assemble_fleet_report(sources: FleetSources) -> FleetReport:
    """Return the report."""
    slot, spec, live = sources.slot, sources.spec, sources.live
    pooled = current_champion(sources.histories.get(slot.segment, ()))
    trained = {row["group"] for row in sources.groups}
    new = sorted(group for group in sources.scored[1] if group is not None and group not in trained)
    lines = [_group_line(sources, row, pooled) for row in sources.groups]
    lines += [
        _group_line(sources, {"group": name, "outcome": NEW_GROUP, "detail": _NEW_DETAIL}, pooled)
        for name in new
    ]
    return FleetReport(
        use_case=slot.use_case,
        model=slot.model,
        segment=slot.segment,
        data_day=sources.newest_day,
        group_column=spec.fleet.group_column if spec.fleet else "",
        metric=spec.metric,
        caveat=str(sources.facts.get("caveat", "")),
        pooled_version=pooled.version if pooled else "",
        scored_day=sources.scored[0],
        groups=tuple(lines),
        gains=tuple(_gains(sources)),
        trainings=tuple(_training_line(one) for one in sources.trainings),
        live=tuple(_live_line(one.day, one.sums) for one in live.days),
        live_total=_live_line(live.days[-1].day, live.total) if live.days else None,
        faults=tuple(_faults(sources)),
        missing=sources.missing,
    )


def _group_line(sources: FleetSources, row: Mapping[str, Any], pooled: LedgerEntry | None) -> GroupLine:
    name = row["group"]
    own = current_champion(sources.histories.get(group_segment(sources.slot.segment, name), ()))
    serving = own or pooled
    sums, drift = sources.live.by_group.get(name), sources.live.drift.get(name)
    is_newest = own is not None and own.version == row.get("version")
    return GroupLine(
        group=name,
        devices=sources.scored[1].get(name, 0) if sources.scored[0] else None,
        served="own" if own else "pooled" if pooled else "nobody",
        version=serving.version if serving else "",
        algorithm=str(row.get("algorithm") or "") if is_newest else "",
        outcome=row["outcome"],
        detail=row["detail"] or "",
        age_days=_age_days(serving, sources.newest_day),
        metric=_serving_metric(row, sources.spec, own),
        pooled_metric=row.get("pooled_metric"),
        trend=_trend(row, sources),
        gain=row.get("gain"),
        gain_low=row.get("gain_low"),
        gain_high=row.get("gain_high"),
        events=int(sums["events"]) if sums else None,
        alerts=int(sums["alerts"]) if sums else None,
        precision=share_of(sums, "alert_events", "alerts") if sums else None,
        recall=share_of(sums, "above_events", "events") if sums else None,
        drift=drift.verdict if drift else "",
        cpu_seconds=row.get("cpu_seconds") or 0.0,
    )


def _age_days(entry: LedgerEntry | None, newest_day: dt.date | None) -> int | None:
    return (newest_day - entry.as_of_day).days if entry and entry.as_of_day and newest_day else None


def _serving_metric(row: Mapping[str, Any], spec: ModelSpec, own: LedgerEntry | None) -> float | None:
    """Return the metric on the newest holdout of who serves: the new champion, the kept one or the pooled one."""
    if own is None:
        return row.get("pooled_metric")
    metric, over_champion = row.get("metric"), row.get("champion_gain")
    if own.version == row.get("version"):
        return metric
    if metric is None or over_champion is None:
        return None
    return float(metric - over_champion if METRICS[spec.metric].is_higher_better else metric + over_champion)


def _trend(row: Mapping[str, Any], sources: FleetSources) -> float | None:
    """Return how much better the candidate is than that of the training before, each on its own holdout."""
    before = sources.trainings[-2].groups.get(row["group"], {}) if len(sources.trainings) > 1 else {}
    old, new = before.get("metric"), row.get("metric")
    return None if old is None or new is None else METRICS[sources.spec.metric].gain(new, old)


def _gains(sources: FleetSources) -> Iterator[GainLine]:
    pooled = gain_over_pooled(sources.groups)
    single = gain_over_best_single(sources.groups, sources.entries, sources.spec.metric)
    for found, note in ((pooled, _POOLED_NOTE), (single, _SINGLE_NOTE)):
        if found:
            yield GainLine(
                against=found.against,
                gain=found.gain,
                low=found.low,
                high=found.high,
                groups=found.groups,
                rows=found.rows,
                note=note,
            )
    if live := sources.live.gain:
        yield GainLine(
            against="one model for all, live",
            gain=live.gain,
            low=live.low,
            high=live.high,
            groups=live.groups,
            rows=live.rows,
            note=_LIVE_NOTE,
        )


def _training_line(one: PastTraining) -> TrainingLine:
    return TrainingLine(
        day=one.day,
        groups=len(one.groups),
        devices=one.devices,
        train_rows=one.train_rows,
        cpu_seconds=one.cpu_seconds,
    )


def _live_line(day: dt.date, sums: Sums) -> LiveLine:
    return LiveLine(
        day=day,
        observed=int(sums["observed"]),
        events=int(sums["events"]),
        expected_events=sums["expected_events"],
        alerts=int(sums["alerts"]),
        precision=share_of(sums, "alert_events", "alerts"),
        capacity_precision=share_of(sums, "at_capacity_events", "at_capacity"),
        recall=share_of(sums, "above_events", "events"),
        alert_recall=share_of(sums, "alert_events", "events"),
    )


def _faults(sources: FleetSources) -> Iterator[FaultLine]:
    for row in sources.groups:
        if row["outcome"] == "failed":
            yield FaultLine(group=row["group"], what="the group", error=row["detail"] or "")
    for row in sources.entries:
        if row["error"]:
            yield FaultLine(group=row["group"], what=row["algorithm"], error=row["error"])
