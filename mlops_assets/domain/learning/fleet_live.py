"""What a fleet's alerts were worth on matched days, and whether some group's have become worse than by chance.

Belongs here: figures over days, by group and in total, drift, and the gain of group models over the pooled one. Does
not belong here: counting a day (fleet_matching) or pages (reporting).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mlops_assets.domain.learning.fleet_comparison import choose_proven
from mlops_assets.domain.learning.fleet_matching import CAUGHT, SUMS
from mlops_assets.domain.learning.lake_tables import matched_table
from mlops_assets.domain.ports import Lake, ModelSlot, PartitionId

RECENT_DAYS, EARLIER_DAYS = 14, 56
FEWEST_DEVICES = 5  # with an event, in either window
FALSE_DISCOVERY_RATE = 0.05  # largest expected share of groups without change among those called fallen
FEWEST_GROUPS = 5
Drift = Literal["fallen", "as before", "too few events"]
Sums = Mapping[str, float]
_DAY = dt.timedelta(days=1)
_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class DayFigures:
    """A matched day, or one of several: sums over devices."""

    day: dt.date
    sums: Sums


@dataclass(frozen=True)
class GroupDrift:
    """Of the devices with an event, those caught (above the threshold at least half of the days): recently, before."""

    verdict: Drift
    recent: tuple[int, int]
    earlier: tuple[int, int]
    p_value: float | None = None


@dataclass(frozen=True)
class LiveGain:
    """Log loss that the champions of groups saved against the pooled one, nats a row; interval over groups."""

    gain: float
    low: float | None
    high: float | None
    rows: int
    groups: int


@dataclass(frozen=True)
class LiveRecord:
    """Matched days up to one: sums by group (None: devices without one) of the recent days, totals by day, drift."""

    days: tuple[DayFigures, ...] = ()
    by_group: Mapping[str | None, Sums] = field(default_factory=dict)
    drift: Mapping[str | None, GroupDrift] = field(default_factory=dict)
    gain: LiveGain | None = None

    @property
    def total(self) -> Sums:
        """Sums of all groups over the recent days."""
        return add_sums(self.by_group.values())


def add_sums(parts: Iterable[Sums]) -> dict[str, float]:
    """Return the sums of sums."""
    found = list(parts)
    return {name: math.fsum(part[name] for part in found) for name in SUMS}


def share_of(sums: Sums, part: str, whole: str) -> float | None:
    """Return a share such as the precision of alerts (`alert_events` of `alerts`); None of nothing."""
    return sums[part] / sums[whole] if sums[whole] else None


def read_live(lake: Lake, slot: ModelSlot, newest: dt.date) -> LiveRecord:
    """Return the record of the matched days up to `newest`: the last 14 by group, 56 more for what was before."""
    table = matched_table(slot.use_case, slot.model)
    first = newest - (RECENT_DAYS + EARLIER_DAYS - 1) * _DAY
    days = [day for day in lake.days(table, slot.segment) if first <= day <= newest]
    if not days:
        return LiveRecord()
    border = days[-1] - RECENT_DAYS * _DAY
    rows = {day: _read(lake, PartitionId(table, slot.segment, day)) for day in days}
    caught = {day: _read(lake, PartitionId(table, slot.segment, day), CAUGHT) for day in days}
    recent = [day for day in days if day > border]
    by_group = _sum_groups([row for day in recent for row in rows[day]])
    return LiveRecord(
        tuple(DayFigures(day, add_sums(rows[day])) for day in days),
        by_group,
        judge_drift(
            [row for day in recent for row in caught[day]],
            [row for day in days if day <= border for row in caught[day]],
            list(by_group),
        ),
        measure_live_gain(by_group),
    )


def _read(lake: Lake, partition: PartitionId, role: str = "data") -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(lake.path(partition, role)).to_pylist()
    return rows


def _sum_groups(rows: Sequence[Mapping[str, Any]]) -> dict[str | None, Sums]:
    grouped: dict[str | None, list[Sums]] = {}
    for row in rows:
        grouped.setdefault(row["group"], []).append(row)
    return {group: add_sums(parts) for group, parts in grouped.items()}


def judge_drift(
    recent: Sequence[Mapping[str, Any]],
    earlier: Sequence[Mapping[str, Any]],
    groups: Sequence[str | None],
) -> dict[str | None, GroupDrift]:
    """Return for each group whether a smaller share of its events is caught than before, beyond chance.

    A device counts once in a window, however many days of it foretell the same event. Fisher's exact test, one-sided;
    false discoveries among all tested groups are controlled (Benjamini and Hochberg 1995).

    Args:
        recent: rows of the file `events` of the recent days: key, group, is_above.
        earlier: those of the days before.
        groups: all of them.
    """
    windows = _count_caught(recent), _count_caught(earlier)
    counts = {group: (windows[0].get(group, (0, 0)), windows[1].get(group, (0, 0))) for group in groups}
    tested = [group for group in groups if min(counts[group][0][1], counts[group][1][1]) >= FEWEST_DEVICES]
    p_values = {group: _test_fall(*counts[group]) for group in tested}
    chosen = choose_proven(list(p_values.values()), FALSE_DISCOVERY_RATE)
    has_fallen = dict(zip(tested, chosen, strict=True))
    return {
        group: GroupDrift(
            "too few events" if group not in has_fallen else "fallen" if has_fallen[group] else "as before",
            *counts[group],
            p_values.get(group),
        )
        for group in groups
    }


def _count_caught(rows: Sequence[Mapping[str, Any]]) -> dict[str | None, tuple[int, int]]:
    """Return by group how many devices with an event were caught, and how many there are."""
    flags: dict[str | None, dict[str, list[bool]]] = {}
    for row in rows:
        flags.setdefault(row["group"], {}).setdefault(row["key"], []).append(bool(row["is_above"]))
    return {
        group: (sum(2 * sum(one) >= len(one) for one in devices.values()), len(devices))
        for group, devices in flags.items()
    }


def _test_fall(recent: tuple[int, int], earlier: tuple[int, int]) -> float:
    """Return the chance of so few recent hits if both windows had the same share."""
    from scipy.stats import hypergeom  # type: ignore[import-untyped]

    hits, all_devices = recent[0] + earlier[0], recent[1] + earlier[1]
    return float(hypergeom.cdf(recent[0], all_devices, hits, recent[1]))


def measure_live_gain(by_group: Mapping[str | None, Sums]) -> LiveGain | None:
    """Return what the groups' champions saved against the pooled model on the same rows; None without a row.

    These days came after the choice, which has no part in them. Groups are the units of the interval (95 %), since the
    rows of one are alike: the standard error of a ratio estimator; none below five groups.
    """
    saved = {group: sums["pooled_loss"] - sums["loss"] for group, sums in by_group.items()}
    rows = math.fsum(sums["observed"] for sums in by_group.values())
    if not rows:
        return None
    gain = math.fsum(saved.values()) / rows
    residuals = [saved[group] - gain * sums["observed"] for group, sums in by_group.items()]
    return LiveGain(gain, *ratio_interval(gain, residuals, rows), int(rows), len(by_group))


def ratio_interval(gain: float, residuals: Sequence[float], rows: float) -> tuple[float | None, float | None]:
    """Return the interval of 95 % of a mean over rows whose units are groups; None below five groups.

    Args:
        gain: the mean.
        residuals: of each group: its sum less what the mean makes of its rows.
        rows: of all groups.
    """
    count = len(residuals)
    if count < FEWEST_GROUPS:
        return None, None
    error = math.sqrt(math.fsum(one * one for one in residuals) * count / (count - 1)) / rows
    return gain - _NORMAL_95 * error, gain + _NORMAL_95 * error
