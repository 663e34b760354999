"""The kernel: ranges of the coming days for every series of a panel.

With data up to and including a day: unusable values are taken out, every series goes to the log scale, a
forecaster gives the middle and an uncalibrated half width, and past forecasts say by how much it must be
multiplied, at the published level and at that which removes values.

Belongs here: this order, and the kernel's rows. Does not belong here: the steps (series_status, log_scale,
forecasters, calibration) or judging values (series_judgement).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.quality.calibration import (
    Limits,
    calibrate,
    find_strata,
    gather_scores,
)
from mlops_assets.domain.quality.forecasters import FORECASTERS, ForecastCalendar, find_forecaster
from mlops_assets.domain.quality.forecasters.protocol import FloatArray
from mlops_assets.domain.quality.holiday_calendar import find_holidays
from mlops_assets.domain.quality.log_scale import find_medians, to_mb, to_z
from mlops_assets.domain.quality.outliers import soften_outliers
from mlops_assets.domain.quality.panel import Panel
from mlops_assets.domain.quality.series_status import CONSTANT, CleanHistory, clean_history
from mlops_assets.domain.quality.spec import ForecasterSpec, ForecastSpec, MonitorSpec
from mlops_assets.domain.quality.stored_forecasts import DayForecast, StoredForecasts

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

CALIBRATION_DAYS = 120  # target days whose scores count: a panel of few series needs the shifts of months
_PSEUDO_STEP_DAYS = 3  # between the days on which missing past forecasts are made up for
_ENOUGH_DAYS = 30  # days that the longest horizon has been scored on, after which nothing is made up
_NO_STRATUM = ""


def history_days(spec: ForecastSpec) -> int:
    """Return how many last days of a panel a kernel uses at most: training, and what past forecasts hit."""
    return spec.window_days + CALIBRATION_DAYS + spec.horizon_days


@dataclass(frozen=True)
class Kernel:
    """Ranges of the days after `made_day` for every series of a panel, also for those without one.

    Arrays are float64 [horizon x series], NaN where there is no range.

    Attributes:
        forecast: forecasts on the log scale.
        mid_mb: expected values.
        low_mb, high_mb: the published range.
        removal_low_mb, removal_high_mb: the range outside which values are removed, for values from which the
            common residual of their day is subtracted.
        forecaster: name of the plug-in, one a series; empty without a forecast.
        status: a word of `series_status`, one a series.
    """

    forecast: DayForecast
    mid_mb: FloatArray
    low_mb: FloatArray
    high_mb: FloatArray
    removal_low_mb: FloatArray
    removal_high_mb: FloatArray
    forecaster: tuple[str, ...]
    status: tuple[str, ...]

    @property
    def made_day(self) -> dt.date:
        """Last day that the kernel knows."""
        return self.forecast.made_day

    def to_arrow(self) -> pa.Table:
        """Return one row per series and coming day; null where there is no range."""
        import pyarrow as pa

        one, (horizon, series) = self.forecast, self.mid_mb.shape
        ahead = np.arange(1, horizon + 1)
        numbers = {
            "mid_mb": self.mid_mb, "low_mb": self.low_mb, "high_mb": self.high_mb,
            "removal_low_mb": self.removal_low_mb, "removal_high_mb": self.removal_high_mb,
            "z_mid": one.mid_z, "z_halfwidth": one.halfwidth_z,
            "median_mb": np.tile(one.median_mb, (horizon, 1)),
        }  # fmt: skip
        words = {"forecaster": self.forecaster, "stratum": one.stratum, "status": self.status}
        days = [self.made_day + dt.timedelta(days=int(n)) for n in ahead]
        return pa.table(
            {
                "series": pa.array(np.repeat(np.array(one.series, dtype=object), horizon), pa.string()),
                "target_day": pa.array(days * series, pa.date32()),
                "horizon_days": pa.array(np.tile(ahead, series), pa.int64()),
                **{
                    name: pa.array(values.T.ravel(), pa.float64(), from_pandas=True)
                    for name, values in numbers.items()
                },
                **{
                    name: pa.array(np.repeat(np.array(values, dtype=object), horizon), pa.string())
                    for name, values in words.items()
                },
            }
        )


def build_kernel(panel: Panel, spec: MonitorSpec, past: StoredForecasts | None = None) -> Kernel:
    """Return the ranges of the days after the panel's last.

    Args:
        panel: values up to the kernel's day; days of unhealthy feeds are NaN. Give it `history_days` to use all
            past forecasts, or fewer while there are no more.
        spec: of the monitor.
        past: kernels of earlier days. Without enough of them, forecasts of earlier days are made up from what was
            known then, by the forecaster `beyond`: the days that they are scored on were not seen by them.

    Raises:
        PlatformError: the panel has no day.
        ConfigError: an unknown forecaster, parameter or country.
    """
    if not panel.days:
        raise PlatformError("a kernel cannot be built from no days", expected="a panel with days")
    history, forecast, names = forecast_panel(panel, spec.forecast)
    stored = () if past is None else past.forecasts
    earlier = tuple(one for one in stored if one.made_day < panel.days[-1])
    scores = gather_scores(
        [*earlier, *_make_up_forecasts(panel, spec.forecast, earlier)], panel, CALIBRATION_DAYS
    )
    limits = calibrate(scores, spec.ranges)
    return _with_ranges(history, forecast, names, limits)


def forecast_panel(panel: Panel, spec: ForecastSpec) -> tuple[CleanHistory, DayForecast, tuple[str, ...]]:
    """Forecast the days after a panel's last on the log scale.

    Returns:
        the cleaned history, the forecasts (NaN for series without), and each series' forecaster.
    """
    window = panel.last(spec.window_days)
    history = clean_history(window.values_mb, spec.min_history_days)
    medians = find_medians(history.values_mb)
    columns = np.flatnonzero(history.is_forecast)
    calendar = _calendar_of(window, spec)
    mid, halfwidth = np.full((2, spec.horizon_days, len(panel.series)), np.nan)
    names = np.full(len(panel.series), "", dtype=object)
    z = soften_outliers(to_z(history.values_mb[:, columns], medians[columns]), calendar)
    for chosen, which in _share_out(history.values_mb[:, columns], spec):
        plug_in = find_forecaster(chosen.kind, FORECASTERS)
        found = plug_in.fit_predict(z[:, which], calendar, chosen.parameters)
        mid[:, columns[which]], halfwidth[:, columns[which]] = found.mid, found.halfwidth
        names[columns[which]] = chosen.kind
    strata = np.full(len(panel.series), _NO_STRATUM, dtype=object)
    strata[columns] = find_strata(halfwidth[:, columns])
    forecast = DayForecast(panel.days[-1], panel.series, mid, halfwidth, medians, tuple(strata.tolist()))
    return history, forecast, tuple(names.tolist())


def _calendar_of(window: Panel, spec: ForecastSpec) -> ForecastCalendar:
    calendar = ForecastCalendar(window.days[0], len(window.days), spec.horizon_days)
    days = calendar.days
    return replace(calendar, holidays=find_holidays(spec.holidays_country, days[0], days[-1]))


def _share_out(values_mb: FloatArray, spec: ForecastSpec) -> list[tuple[ForecasterSpec, NDArray[np.int64]]]:
    """Return which series go to which forecaster: the largest by volume, ties by order, and all others."""
    order = np.argsort(-np.nansum(values_mb, axis=0), kind="stable")
    largest, beyond = order[: spec.largest_series], order[spec.largest_series :]
    shares = [(spec.largest, np.sort(largest)), (spec.beyond, np.sort(beyond))]
    return [(chosen, which) for chosen, which in shares if len(which)]


def _make_up_forecasts(
    panel: Panel, spec: ForecastSpec, earlier: tuple[DayForecast, ...]
) -> list[DayForecast]:
    """Return forecasts as earlier days would have made them, if those of some horizon are missing."""
    last = panel.days[-1]
    stored_days = (last - earlier[0].made_day).days if earlier else 0
    if stored_days >= spec.horizon_days + _ENOUGH_DAYS:
        return []
    spec = spec.model_copy(update={"largest_series": 0})
    ages = range(stored_days + _PSEUDO_STEP_DAYS, CALIBRATION_DAYS + 1, _PSEUDO_STEP_DAYS)
    pasts = [panel.up_to(last - dt.timedelta(days=age)) for age in ages]
    return [forecast_panel(past, spec)[1] for past in pasts if len(past.days) >= spec.min_history_days]


def _with_ranges(
    history: CleanHistory, forecast: DayForecast, names: tuple[str, ...], limits: Limits
) -> Kernel:
    mid, width, medians = forecast.mid_z, forecast.halfwidth_z, forecast.median_mb
    stratum = [word or "ordinary" for word in forecast.stratum]  # NaN without a forecast, whatever the word
    published, removal = limits.widths(stratum, len(mid))
    mid_mb, low, high, removal_low, removal_high = (
        to_mb(mid + sign * width, medians) for sign in (0.0, -published, published, -removal, removal)
    )
    constant = np.array([word == CONSTANT for word in history.status], dtype=bool)
    for array in (mid_mb, low, high):
        array[:, constant] = _any_value(history.values_mb[:, constant])
    return Kernel(forecast, mid_mb, low, high, removal_low, removal_high, names, history.status)


def _any_value(values: Any) -> Any:
    """Return the value of series that have only one [series]."""
    return np.nanmax(values, axis=0) if values.shape[1] else np.empty(0)
