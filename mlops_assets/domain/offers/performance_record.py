"""Verdicts on what offers brought, in the lake.

Belongs here: reading weeks of reconciliation, writing verdicts, reading them back for plans and reports. Does not
belong here: the verdict (performance.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.lake_tables import performance_table
from mlops_assets.domain.learning.retraining import DayVerdict
from mlops_assets.domain.offers.decision_data import STEP_DAYS
from mlops_assets.domain.offers.offer_tables import proposals_table
from mlops_assets.domain.offers.performance import (
    PerformanceVerdict,
    WeekFigures,
    judge_performance,
    summarise_week,
)
from mlops_assets.domain.offers.performance_spec import PerformanceSpec
from mlops_assets.domain.offers.reconciliation import reconciliation_table
from mlops_assets.domain.offers.reconciliation_day import read_day
from mlops_assets.domain.ports import Lake, LedgerEntry, Manifest, ModelSlot, PartitionId, TableEngine
from mlops_assets.domain.published import find_published

PERFORMANCE_VERSION = "2"


def read_week(
    use_case: str, segment: str, last_day: dt.date, *, lake: Lake, engine: TableEngine
) -> WeekFigures:
    """Return the figures of the week that ends on a day, of the days that have been reconciled.

    Raises:
        ReconciliationError: the counts of a day do not add up.
    """
    table = reconciliation_table(proposals_table(use_case))
    days = [last_day - dt.timedelta(days=back) for back in range(STEP_DAYS - 1, -1, -1)]
    found = [read_day(table, segment, day, lake=lake, engine=engine) for day in days]
    return summarise_week(last_day, [one for one in found if one is not None])


def find_policy_since(decisions: Sequence[LedgerEntry], day: dt.date) -> tuple[dt.date | None, str]:
    """Return since when the policy that is champion on `day` may have decided, and its version; None if none was."""
    serving = [one for one in decisions if one.makes_champion and one.as_of_day and one.as_of_day < day]
    return (_first_sent_day(serving[-1]), serving[-1].version) if serving else (None, "")


def find_first_policy_day(decisions: Sequence[LedgerEntry]) -> dt.date | None:
    """Return the first day on which any policy of ours decided what was sent; None if none ever was champion."""
    champions = [one for one in decisions if one.makes_champion]
    return _first_sent_day(champions[0]) if champions else None


def _first_sent_day(entry: LedgerEntry) -> dt.date | None:
    """The end of the day after its data is the first on which a policy proposes; its offers are sent a day later."""
    return entry.as_of_day + dt.timedelta(days=2) if entry.as_of_day else None


def judge_week(
    slot: ModelSlot,
    last_day: dt.date,
    spec: PerformanceSpec,
    decisions: Sequence[LedgerEntry],
    *,
    lake: Lake,
    engine: TableEngine,
) -> PerformanceVerdict:
    """Judge the week that ends on a day, and note the verdict in the lake.

    Args:
        slot: use case, agent and segment.
        last_day: a Sunday.
        spec: when a fall counts.
        decisions: of the slot, oldest first.
        lake: holds the reconciliation, receives the verdict.
        engine: reads it.
    """
    ends = [last_day - dt.timedelta(days=STEP_DAYS * back) for back in range(spec.weeks - 1, -1, -1)]
    weeks = [read_week(slot.use_case, slot.segment, end, lake=lake, engine=engine) for end in ends]
    verdict = judge_performance(weeks, spec, *find_policy_since(decisions, last_day))
    _note(slot, verdict, lake)
    return verdict


def _note(slot: ModelSlot, verdict: PerformanceVerdict, lake: Lake) -> Manifest:
    facts = to_facts(verdict)
    partition = PartitionId(performance_table(slot.use_case), slot.segment, verdict.day)
    with lake.write(partition, stable_hash([facts, PERFORMANCE_VERSION])) as writer:
        return writer.commit(row_count=0, facts=facts)


def to_facts(verdict: PerformanceVerdict) -> dict[str, Any]:
    """Return a verdict as JSON values; plans are left to the reconciliation."""
    week = verdict.week
    shown = week and {
        "offers": week.offers,
        "left_out": week.left_out,
        "days": week.days,
        "acceptances": asdict(week.acceptances),
        "margin_usd": asdict(week.margin_usd),
    }
    return {
        "kind": verdict.kind,
        "reasons": list(verdict.reasons),
        "first_marked_day": _text(verdict.first_marked_day),
        "since_day": _text(verdict.since_day),
        "week": shown,
    }


def read_performance_verdicts(lake: Lake, use_case: str, segment: str, weeks: int) -> list[DayVerdict]:
    """Return the newest verdicts as retraining plans read them, oldest first."""
    table = performance_table(use_case)
    newest = lake.days(table, segment)[-weeks:]
    found = find_published(lake, [PartitionId(table, segment, day) for day in newest])
    return [_verdict(one.day, manifest) for one, manifest in found.items() if one.day]


def _verdict(day: dt.date, manifest: Manifest) -> DayVerdict:
    facts = manifest.facts
    return DayVerdict(
        day=day,
        is_shift=facts["kind"] == "performance_fall",
        is_evidence=facts["kind"] != "no_evidence",
        first_marked_day=_day(facts["first_marked_day"]),
        since_day=_day(facts["since_day"]),
        reasons=tuple(facts["reasons"]),
        kind=facts["kind"],
    )


def _text(day: dt.date | None) -> str | None:
    return day.isoformat() if day else None


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None
