"""anomaly_removal: injected point anomalies at the removal level, day by day as the platform would see them.

Three percent of all values of the sandbox panel are spoiled: multiplied or divided by a factor, log-uniform from 2
to 10. Spoiled values are in the training history, in the stored scores and in the days judged alike. Every day of the
last `_JUDGED_DAYS` is judged against the kernel of the day before. Default Prophet, given the previous 60 days,
judges a sample of the series once a month at its 99.8 % interval.

Belongs here: spoiling, and precision and recall. Does not belong here: panels (kernel_panels).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.kernel_panels import Panel
from benchmarks.kernel_rounds import (
    HORIZON_DAYS,
    SPEC,
    WINDOW_DAYS,
    find_default_ranges,
    find_rounds,
    sample_series,
)
from benchmarks.measuring import Goal, Line, Usage
from mlops_assets.domain.quality.kernel import build_kernel, forecast_panel, history_days
from mlops_assets.domain.quality.series_judgement import judge_day, read_day_ranges
from mlops_assets.domain.quality.stored_forecasts import DayForecast, StoredForecasts

NAME = "anomaly_removal"
_SHARE = 0.03
_FACTORS = (2.0, 10.0)
_JUDGED_DAYS, _QUICK_DAYS = 90, 30
_FIRST_STORED = 28
_GOAL, _QUICK_GOAL = 0.93, 0.85
_SEEDS = (3, 4)


@dataclass
class _Tally:
    """Removed and spoiled values, and those that are both."""

    removed: int = 0
    spoiled: int = 0
    both: int = 0

    def add(self, removed: np.ndarray, spoiled: np.ndarray) -> None:
        self.removed += int(removed.sum())
        self.spoiled += int(spoiled.sum())
        self.both += int((removed & spoiled).sum())

    @property
    def precision(self) -> float:
        return self.both / max(self.removed, 1)

    @property
    def recall(self) -> float:
        return self.both / max(self.spoiled, 1)


def run(*, quick: bool) -> Iterator[Line]:
    """Yield precision and recall."""
    started = Usage.taken()
    clean = find_rounds("sandbox", quick=quick).panel
    days = _QUICK_DAYS if quick else _JUDGED_DAYS
    ours, outside, peer = _Tally(), _Tally(), _Tally()
    for seed in _SEEDS[:1] if quick else _SEEDS:
        panel, spoiled = _spoil(clean, seed)
        _judge_days(panel, spoiled, days, ours, outside)
        _judge_with_peer(panel, spoiled, days, peer, series=sample_series(panel, quick=quick))
    seconds = Usage.taken().since(started).wall_s
    sizes = {
        "days": days,
        "series": len(clean.series),
        "seeds": 1 if quick else len(_SEEDS),
        "spoiled": ours.spoiled,
        "peer_spoiled": peer.spoiled,
    }
    facts = {
        "removed": ours.removed,
        "precision_of_published_range": outside.precision,
        "recall_of_published_range": outside.recall,
    }
    goal = Goal("value", _QUICK_GOAL if quick else _GOAL, is_at_most=False)
    for part in ("precision", "recall"):
        yield Line(
            NAME, getattr(ours, part), "share", goal, sizes, seconds, part=part,
            peer="default Prophet, 60 days, 99.8 %", peer_value=getattr(peer, part), is_quick=quick, facts=facts,
        )  # fmt: skip


def _spoil(panel: Panel, seed: int) -> tuple[Panel, np.ndarray]:
    """Return the panel with spoiled values, and which they are."""
    chance = np.random.default_rng(seed)
    spoiled = chance.random(panel.values_mb.shape) < _SHARE
    sizes = np.exp(chance.uniform(*np.log(_FACTORS), panel.values_mb.shape))
    factors = np.where(chance.random(panel.values_mb.shape) < 0.5, sizes, 1 / sizes)
    values = np.where(spoiled, panel.values_mb * factors, panel.values_mb)
    return Panel(panel.days, panel.series, values), spoiled & np.isfinite(values)


def _judge_days(panel: Panel, spoiled: np.ndarray, days: int, removal: _Tally, published: _Tally) -> None:
    """Add what the removal level finds and what the published range finds."""
    stored: list[DayForecast] = []
    first = len(panel.days) - days
    for known in range(_FIRST_STORED, len(panel.days)):
        past = panel.up_to(panel.days[known - 1]).last(history_days(SPEC.forecast))
        if known < first:
            stored.append(forecast_panel(past, SPEC.forecast)[1])
            continue
        kernel = build_kernel(past, SPEC, StoredForecasts(tuple(stored[-history_days(SPEC.forecast) :])))
        stored.append(kernel.forecast)
        day = panel.days[known]
        values = dict(zip(panel.series, panel.values_mb[known].tolist(), strict=True))
        judged = {
            one.series: one for one in judge_day(day, read_day_ranges(kernel.to_arrow(), day), values).series
        }
        found = [judged[name] for name in panel.series]
        removal.add(np.array([one.is_removed for one in found]), spoiled[known])
        published.add(np.array([bool(one.is_outside) for one in found]), spoiled[known])


def _judge_with_peer(
    panel: Panel, spoiled: np.ndarray, days: int, tally: _Tally, *, series: list[int]
) -> None:
    """Add what default Prophet's interval finds in some series."""
    for known in range(len(panel.days) - days, len(panel.days), HORIZON_DAYS):
        past = panel.up_to(panel.days[known - 1]).last(WINDOW_DAYS)
        for column in series:
            low, high = find_default_ranges(past, column, 1 - SPEC.ranges.removal_alpha)
            values = panel.values_mb[known : known + HORIZON_DAYS, column]
            removed = (values < low[: len(values)]) | (values > high[: len(values)])
            tally.add(removed, spoiled[known : known + HORIZON_DAYS, column])
