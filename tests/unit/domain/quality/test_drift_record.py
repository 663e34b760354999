"""Stored verdicts read back for retraining: nothing is lost between what was judged and what is planned."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.retraining import DayVerdict
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.drift_record import read_verdict, read_verdicts
from mlops_assets.domain.quality.drift_verdict import DriftVerdict, VerdictKind
from mlops_assets.domain.quality.drift_window import DriftFigures
from resources.lake import LocalLake

FIRST = dt.date(2026, 8, 3)


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def facts(
    number: int, kind: VerdictKind = "healthy", *marked: int, since: int | None = None
) -> dict[str, Any]:
    """Return what MonitorDay.decide keeps of a verdict."""
    verdict = DriftVerdict(
        kind=kind,
        day=day(number),
        segment="cl",
        reasons=(f"{kind} it is", "so it seems"),
        is_retraining_due=kind == "behaviour_shift",
        figures=DriftFigures(marked_days=tuple(map(day, marked))),
    )
    return {"verdict": verdict.to_facts(), "since_day": str(day(since)) if since is not None else None}


def publish(lake: LocalLake, number: int, segment: str = "cl", **changes: Any) -> None:
    partition = PartitionId("quality/plan_usage/drift", segment, day(number))
    with lake.write(partition, stable_hash(number)) as writer:
        writer.commit(row_count=0, facts=facts(number, **changes))


def test_a_shift_keeps_its_first_marked_day_its_reasons_and_since_when_evidence_counts() -> None:
    assert read_verdict(day(9), facts(9, "behaviour_shift", 8, 6, 9, since=4)) == DayVerdict(
        day=day(9),
        is_shift=True,
        is_evidence=True,
        first_marked_day=day(6),
        since_day=day(4),
        reasons=("behaviour_shift it is", "so it seems"),
        kind="behaviour_shift",
    )


@pytest.mark.parametrize(
    ("kind", "is_evidence"),
    [("healthy", True), ("one_off_event", True), ("broken_feed", False), ("no_evidence", False)],
)
def test_only_sound_days_are_evidence(kind: VerdictKind, is_evidence: bool) -> None:
    found = read_verdict(day(3), facts(3, kind))
    assert (found.is_shift, found.is_evidence, found.kind) == (False, is_evidence, kind)
    assert (found.first_marked_day, found.since_day) == (None, None)


def test_verdicts_of_before_retrainings_were_known_have_no_since_day() -> None:
    old = facts(3)
    del old["since_day"]
    assert read_verdict(day(3), old).since_day is None


def test_newest_days_are_read_in_order(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path / "lake")
    for number in (5, 1, 3, 8):
        publish(lake, number)
    publish(lake, 9, "pe")
    assert [one.day for one in read_verdicts(lake, "plan_usage", "cl", 3)] == [day(3), day(5), day(8)]
    assert [one.day for one in read_verdicts(lake, "plan_usage", "cl", 90)] == [day(n) for n in (1, 3, 5, 8)]
    assert read_verdicts(lake, "another", "cl", 90) == []
