"""Stored drift verdicts, as far as a retraining is concerned.

Belongs here: reading them back. Does not belong here: making them (monitor_day), or what follows from them
(domain.learning.retraining).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from mlops_assets.domain.learning.retraining import DayVerdict
from mlops_assets.domain.ports import Lake, PartitionId
from mlops_assets.domain.published import find_published
from mlops_assets.domain.quality.monitor_tables import DRIFT, monitor_table

_NO_EVIDENCE = frozenset({"broken_feed", "no_evidence"})


def read_verdicts(lake: Lake, monitor: str, segment: str, days: int) -> list[DayVerdict]:
    """Return the verdicts of a monitor and segment on the newest `days` days, oldest first."""
    table = monitor_table(monitor, DRIFT)
    newest = lake.days(table, segment)[-days:]
    found = find_published(lake, [PartitionId(table, segment, day) for day in newest])
    return [read_verdict(one.day, manifest.facts) for one, manifest in found.items() if one.day]


def read_verdict(day: dt.date, facts: Mapping[str, Any]) -> DayVerdict:
    """Return the verdict that the facts of a day's drift partition hold."""
    verdict, since = facts["verdict"], facts.get("since_day")
    marked = verdict["figures"]["marked_days"]
    return DayVerdict(
        day=day,
        is_shift=verdict["is_retraining_due"],
        is_evidence=verdict["kind"] not in _NO_EVIDENCE,
        first_marked_day=dt.date.fromisoformat(min(marked)) if marked else None,
        since_day=dt.date.fromisoformat(since) if since else None,
        reasons=tuple(verdict["reasons"]),
        kind=verdict["kind"],
    )
