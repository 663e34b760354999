"""What best fit gained on the holdouts of a training: over one model for all, and over the best single algorithm.

Belongs here: both figures with their intervals. Does not belong here: the gain on later days (fleet_live), which has no
part in any choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.domain.learning.fleet_live import ratio_interval
from mlops_assets.domain.learning.metrics import METRICS

Row = Mapping[str, Any]


@dataclass(frozen=True)
class HoldoutGain:
    """A mean over groups, weighted by holdout rows, with its interval of 95 % (None below five groups)."""

    against: str
    gain: float
    low: float | None
    high: float | None
    groups: int
    rows: int


def gain_over_pooled(groups: Sequence[Row]) -> HoldoutGain | None:
    """Return the mean gain of the own model in every group that was tested, whether it was then used or not.

    The mean over the chosen ones alone would flatter: they were chosen by these very rows.
    """
    known = [(row["gain"], row["holdout_rows"]) for row in groups if row["gain"] is not None]
    return _mean("one model for all", known)


def gain_over_best_single(groups: Sequence[Row], entries: Sequence[Row], metric: str) -> HoldoutGain | None:
    """Return the mean gain of each group's chosen algorithm over the one that is best over all groups.

    Both are chosen by validation rows and compared on holdout rows. Groups in which an algorithm failed or could not be
    measured are left out.

    Args:
        groups: rows of the note.
        entries: rows per group and algorithm.
        metric: by which algorithms are compared.
    """
    rows_of = {row["group"]: (row["validation_rows"], row["holdout_rows"]) for row in groups}
    by_group = _complete_groups(entries, metric)
    if not by_group:
        return None
    sums: dict[str, float] = {}
    for group, found in by_group.items():
        for name, row in found.items():
            sums[name] = sums.get(name, 0.0) + dict(row["metrics"])[metric] * rows_of[group][0]
    direction = METRICS[metric]
    best = max(sorted(sums), key=lambda name: sums[name] if direction.is_higher_better else -sums[name])
    known = []
    for group, found in by_group.items():
        chosen = next(row for row in found.values() if row["is_chosen"])
        gain = direction.gain(chosen["holdout_metric"], found[best]["holdout_metric"])
        known.append((gain, rows_of[group][1]))
    return _mean(f"the best single algorithm, {best}", known)


def _complete_groups(entries: Sequence[Row], metric: str) -> dict[str, dict[str, Row]]:
    """Return the measured entries by group and algorithm, of groups that have every algorithm measured anywhere."""
    found: dict[str, dict[str, Row]] = {}
    for row in entries:
        is_measured = row["holdout_metric"] is not None and dict(row["metrics"] or ()).get(metric) is not None
        if is_measured and not row["error"]:
            found.setdefault(row["group"], {})[row["algorithm"]] = row
    names = {name for one in found.values() for name in one}
    return {
        group: one
        for group, one in found.items()
        if one.keys() == names and any(row["is_chosen"] for row in one.values())
    }


def _mean(against: str, known: Sequence[tuple[float, int]]) -> HoldoutGain | None:
    """Return the weighted mean; the standard error is that of a ratio estimator over groups."""
    rows = sum(weight for _, weight in known)
    if not rows:
        return None
    gain = math.fsum(value * weight for value, weight in known) / rows
    residuals = [weight * (value - gain) for value, weight in known]
    return HoldoutGain(against, gain, *ratio_interval(gain, residuals, rows), len(known), rows)
