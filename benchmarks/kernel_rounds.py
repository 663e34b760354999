"""Rolling monthly origins: the kernel's ranges and those of default Prophet against what then happened.

Every day a forecast is stored, as the kernel asset does; on each origin, thirty days apart, a kernel calibrates
against the forecasts stored until then, and its thirty days of ranges are kept. Default Prophet gets the same
series as it is usually called: MB as they are, linear trend, automatic seasonality, 95 % interval.

Belongs here: making these ranges, and the scores of ranges. Does not belong here: panels (kernel_panels) or goals.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.kernel_panels import QUICK_SUBSCRIBERS, SUBSCRIBERS, Panel, lte_panel, sandbox_panel
from mlops_assets.domain.quality.kernel import build_kernel, forecast_panel, history_days
from mlops_assets.domain.quality.spec import MonitorSpec
from mlops_assets.domain.quality.stored_forecasts import StoredForecasts

HORIZON_DAYS = 30
WINDOW_DAYS, MONTH_DAYS = 60, 30
ALPHA = 0.05
_FIRST_ORIGIN, _FIRST_STORED = 120, 28
_PANEL_DAYS, _QUICK_DAYS = 330, 210
_PEER_SERIES, _PEER_ORIGINS, _QUICK_PEER_SERIES = 20, 8, 5
_SEED = 0

SPEC = MonitorSpec(
    name="volume", description="daily volume", owner="team:data-quality", table="etl/plan_usage_daily",
    series_by=["plan_code"], value="data_mb",
)  # fmt: skip


@dataclass(frozen=True)
class Ranges:
    """Ranges and what happened; float64 [origins x horizon x series].

    `level_mb` [series] is the median over the whole panel, in which widths are expressed.
    """

    low_mb: np.ndarray
    high_mb: np.ndarray
    value_mb: np.ndarray
    level_mb: np.ndarray

    @property
    def is_inside(self) -> np.ndarray:
        """1.0 inside, 0.0 outside, NaN where there is no value or no range."""
        inside = (self.low_mb <= self.value_mb) & (self.value_mb <= self.high_mb)
        is_known = np.isfinite(self.low_mb) & np.isfinite(self.value_mb)
        return np.where(is_known, inside.astype(float), np.nan)

    @property
    def coverage(self) -> float:
        """Share of values inside, all origins and days pooled."""
        return float(np.nanmean(self.is_inside))

    @property
    def worst_tenth(self) -> float:
        """Coverage that nine tenths of the series exceed."""
        return float(np.quantile(np.nanmean(self.is_inside, axis=(0, 1)), 0.1))

    @property
    def alarm_days(self) -> float:
        """Share of days on which more than 20 % of the series are outside."""
        return float((np.nanmean(1 - self.is_inside, axis=2) > 0.2).mean())

    @property
    def winkler(self) -> float:
        """Mean interval score, in medians of the series: width + 2 / alpha x the distance outside (Winkler 1972)."""
        below = np.maximum(self.low_mb - self.value_mb, 0)
        above = np.maximum(self.value_mb - self.high_mb, 0)
        score = self.high_mb - self.low_mb + 2 / ALPHA * (below + above)
        return float(np.nanmean(score / self.level_mb))

    def sizes(self) -> dict[str, int]:
        """Return origins, horizon and series."""
        origins, horizon, series = self.value_mb.shape
        return {"origins": origins, "horizon_days": horizon, "series": series}

    def of(self, series: Sequence[int], origins: int) -> Ranges:
        """Return those of some series and the last origins."""
        low, high, value = (
            values[-origins:][:, :, series] for values in (self.low_mb, self.high_mb, self.value_mb)
        )
        return Ranges(low, high, value, self.level_mb[series])


@dataclass(frozen=True)
class Rounds:
    """A panel with the kernel's ranges, and those of default Prophet on a sample of it."""

    panel: Panel
    kernel: Ranges

    def origins(self) -> list[int]:
        """Return the number of days known at each origin."""
        return _origins(self.panel)


def _origins(panel: Panel) -> list[int]:
    return list(range(len(panel.days) - HORIZON_DAYS, _FIRST_ORIGIN, -HORIZON_DAYS))[::-1]


@cache
def find_rounds(panel_name: str, *, quick: bool) -> Rounds:
    """Return the rounds of a panel: `sandbox`, `lte_daily` or `lte_hourly`."""
    if panel_name == "sandbox":
        days, people = (_QUICK_DAYS, QUICK_SUBSCRIBERS) if quick else (_PANEL_DAYS, SUBSCRIBERS)
        panel = sandbox_panel(days=days, subscribers=people)
    else:
        panel = lte_panel(by_hour=panel_name == "lte_hourly")
        panel = panel.last(_QUICK_DAYS) if quick else panel
    return Rounds(panel, roll_kernel(panel, SPEC))


def roll_kernel(panel: Panel, spec: MonitorSpec) -> Ranges:
    """Return the kernel's ranges from every origin."""
    origins, stored, kernels = set(_origins(panel)), [], []
    for known in range(_FIRST_STORED, len(panel.days)):
        past = panel.up_to(panel.days[known - 1]).last(history_days(spec.forecast))
        stored.append(forecast_panel(past, spec.forecast)[1])
        if known in origins:
            kernels.append(
                build_kernel(past, spec, StoredForecasts.of(stored[-history_days(spec.forecast) :]))
            )
    return Ranges(
        np.stack([kernel.low_mb for kernel in kernels]),
        np.stack([kernel.high_mb for kernel in kernels]),
        _coming(panel),
        np.nanmedian(panel.values_mb, axis=0),
    )


def _coming(panel: Panel) -> np.ndarray:
    return np.stack([panel.values_mb[known : known + HORIZON_DAYS] for known in _origins(panel)])


def sample_series(panel: Panel, *, quick: bool) -> list[int]:
    """Return the numbers of the series that default Prophet is run on; Prophet is slow."""
    wanted = min(_QUICK_PEER_SERIES if quick else _PEER_SERIES, len(panel.series))
    return sorted(np.random.default_rng(_SEED).choice(len(panel.series), wanted, replace=False).tolist())


@cache
def roll_peer(panel_name: str, history: int, *, quick: bool) -> tuple[Ranges, Ranges]:
    """Return default Prophet's ranges on a sample, given so many days, and the kernel's for the same values."""
    rounds = find_rounds(panel_name, quick=quick)
    panel, origins = rounds.panel, rounds.origins()
    series = sample_series(panel, quick=quick)
    found = np.empty((2, len(origins), HORIZON_DAYS, len(series)))
    for number, known in enumerate(origins):
        past = panel.up_to(panel.days[known - 1]).last(history)
        for place, column in enumerate(series):
            found[:, number, :, place] = find_default_ranges(past, column, 1 - ALPHA)
    ours = rounds.kernel.of(series, len(origins))
    return Ranges(found[0], found[1], ours.value_mb, ours.level_mb), ours


def find_default_ranges(past: Panel, column: int, coverage: float) -> np.ndarray:
    """Return low and high [2 x horizon] in MB of Prophet as it comes."""
    import pandas as pd
    from prophet import Prophet

    for name in ("prophet", "cmdstanpy"):
        logging.getLogger(name).disabled = True
    np.random.seed(_SEED)  # noqa: NPY002 - Prophet samples from the global generator
    model = Prophet(interval_width=coverage)
    model.fit(pd.DataFrame({"ds": pd.to_datetime(past.days), "y": past.values_mb[:, column]}), seed=1)
    future = model.make_future_dataframe(HORIZON_DAYS, include_history=False)
    return model.predict(future)[["yhat_lower", "yhat_upper"]].to_numpy().T
