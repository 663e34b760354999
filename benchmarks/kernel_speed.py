"""kernel_speed: series per CPU second of the forecasters, and of a whole kernel.

Belongs here: `prophet_ridge` beside Prophet on the same series of 60 days. Does not belong here: whether they agree
(a test holds that).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.kernel_panels import synthetic_panel
from benchmarks.kernel_rounds import HORIZON_DAYS, SPEC, WINDOW_DAYS
from benchmarks.measuring import Goal, Line, Measured, Usage, in_turns, least_cpu_s, measure
from mlops_assets.domain.quality.forecasters import FORECASTERS, ForecastCalendar
from mlops_assets.domain.quality.kernel import build_kernel, forecast_panel, history_days
from mlops_assets.domain.quality.log_scale import find_medians, to_z
from mlops_assets.domain.quality.panel import Panel
from mlops_assets.domain.quality.stored_forecasts import StoredForecasts

NAME = "kernel_speed"
_SERIES, _QUICK_SERIES = 10_000, 2_000
_GAPPY_SHARE = 0.1  # of series with an unknown day, which cannot share one solution
_PEER_SERIES = 20
_KERNEL_SERIES, _STORED_DAYS = 500, 60
_GOAL = 5_000


def run(*, quick: bool) -> Iterator[Line]:
    """Yield series per CPU second of the best round."""
    started, series, rounds = Usage.taken(), _QUICK_SERIES if quick else _SERIES, 2 if quick else 5
    panel = synthetic_panel(days=WINDOW_DAYS, series=series)
    z = to_z(panel.values_mb, find_medians(panel.values_mb))
    gaps = np.random.default_rng(0).random(series) < _GAPPY_SHARE
    z[WINDOW_DAYS // 2, gaps] = np.nan
    calendar = ForecastCalendar(panel.days[0], WINDOW_DAYS, HORIZON_DAYS)

    def forecast(kind: str, count: int) -> Measured:
        return measure(lambda: FORECASTERS[kind].fit_predict(z[:, :count], calendar))

    forecast("prophet", 1)  # imports
    ours, prophet, robust = in_turns(
        rounds,
        lambda: forecast("prophet_ridge", series),
        lambda: forecast("prophet", _PEER_SERIES),
        lambda: forecast("robust_seasonal", series),
    )
    yield Line(
        NAME, series / least_cpu_s(ours), "series per CPU s", Goal("value", _GOAL, is_at_most=False),
        {"series": series, "days": WINDOW_DAYS, "rounds": rounds, "peer_series": _PEER_SERIES},
        Usage.taken().since(started).wall_s, part="prophet_ridge", peer="Prophet, the same model",
        peer_value=_PEER_SERIES / least_cpu_s(prophet), is_quick=quick,
        facts={
            "robust_seasonal": series / least_cpu_s(robust),
            "whole_kernel": _KERNEL_SERIES / least_cpu_s([_measure_kernel() for _ in range(2)]),
        },
    )  # fmt: skip


def _measure_kernel() -> Measured:
    """Measure a kernel of some hundred series with sixty stored days, its table included."""
    days = history_days(SPEC.forecast)
    panel = synthetic_panel(days=days, series=_KERNEL_SERIES)
    pasts = [
        Panel(panel.days[:known], panel.series, panel.values_mb[:known])
        for known in range(days - _STORED_DAYS, days)
    ]
    stored = StoredForecasts.of([forecast_panel(past, SPEC.forecast)[1] for past in pasts])
    return measure(lambda: build_kernel(panel, SPEC, stored).to_arrow())
