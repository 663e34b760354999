"""A recent level plus weekday effects by median polish: nothing that single odd days could move.

Belongs here: the method. Does not belong here: least squares (prophet_ridge.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlops_assets.domain.learning.algorithms.protocol import Hyperparameter
from mlops_assets.domain.quality.forecasters.protocol import (
    FEWEST_DAYS,
    FloatArray,
    Forecast,
    ForecastCalendar,
    Forecaster,
    check_history,
)
from mlops_assets.domain.quality.forecasters.residual_spread import measure_halfwidth

_ROUNDS = 3
_NEAR_DAYS, _FAR_DAYS = 7, 14  # pseudo horizons at which the spread of the level is measured
_WEEK = 7


class RobustSeasonalForecaster(Forecaster):
    """Follows the level of the last weeks, which the flat models do not."""

    name = "robust_seasonal"
    version = "1"
    parameters: Mapping[str, Hyperparameter] = {
        "level_days": Hyperparameter(14, low=5, high=60, is_integer=True),
        "shrink_weeks": Hyperparameter(4.0, low=0.0, high=50.0),
    }

    def fit_predict(
        self, history: FloatArray, calendar: ForecastCalendar, parameters: Mapping[str, Any] | None = None
    ) -> Forecast:
        """Forecast as the protocol says."""
        settings = self.complete_parameters(parameters or {})
        check_history(history, calendar)
        if not history.shape[1]:
            return Forecast(*np.empty((2, calendar.horizon_days, 0)))
        weekdays = calendar.weekdays
        past, coming = weekdays[: len(history)], weekdays[len(history) :]
        effects = _weekday_effects(history, past, settings["shrink_weeks"])
        levels = _trailing_medians(history - effects[past], settings["level_days"])
        halfwidth = _halfwidth(history - effects[past], levels, calendar.horizon_days)
        return Forecast(levels[-1] + effects[coming], halfwidth)


def _weekday_effects(history: FloatArray, weekdays: Any, shrink_weeks: float) -> FloatArray:
    """Return effects [7 x series] by median polish of weeks and weekdays, shrunk to the panel's median effect.

    Source: Tukey, Exploratory Data Analysis, 1977, chapter 11. Weeks start with the first day of the history.
    """
    weeks = -(-len(history) // _WEEK)
    padded = np.full((weeks * _WEEK, history.shape[1]), np.nan)
    padded[: len(history)] = history
    table = padded.reshape(weeks, _WEEK, -1)
    columns = np.zeros((1, _WEEK, history.shape[1]))
    for _ in range(_ROUNDS):
        rows = _median(table - columns, axis=1)
        columns = _median(table - rows, axis=0)
        columns -= columns.mean(axis=1, keepdims=True)
    pool = np.median(columns, axis=2, keepdims=True)
    shrunk = (weeks * columns + shrink_weeks * pool) / (weeks + shrink_weeks)
    effects = np.zeros((_WEEK, history.shape[1]))
    effects[weekdays[:_WEEK]] = shrunk[0]
    return effects


def _median(values: FloatArray, axis: int) -> FloatArray:
    """Return medians of what is known, 0.0 where nothing is."""
    is_unknown = np.isnan(values).all(axis=axis, keepdims=True)
    found: FloatArray = np.nanmedian(np.where(is_unknown, 0.0, values), axis=axis, keepdims=True)
    return found


def _trailing_medians(values: FloatArray, days: int) -> FloatArray:
    """Return the median of the last `days` known values up to each day [days x series]; NaN before the first.

    A gap at the end is bridged: the level is that of the days before it.
    """
    import pandas as pd

    rolled = pd.DataFrame(values).rolling(days, min_periods=1).median().ffill()
    found: FloatArray = rolled.to_numpy(np.float64)
    return found


def _halfwidth(values: FloatArray, levels: FloatArray, horizon_days: int) -> FloatArray:
    """Return the spread around past levels, near ones up to a week ahead, then growing to far ones."""
    near = _spread_at(values, levels, (1, 3, _NEAR_DAYS))
    lags = (_FAR_DAYS - 4, _FAR_DAYS)
    far = near if len(values) < 2 * FEWEST_DAYS else np.maximum(_spread_at(values, levels, lags), near)
    ahead = np.arange(1, horizon_days + 1)
    weight = np.clip((ahead - _NEAR_DAYS) / _FAR_DAYS, 0.0, 1.0)[:, None]
    spread: FloatArray = near * (1 - weight) + far * weight
    return spread


def _spread_at(values: FloatArray, levels: FloatArray, lags: tuple[int, ...]) -> FloatArray:
    start = _WEEK - 1  # earlier levels rest on less than a week
    errors = [values[start + lag :] - levels[start:-lag] for lag in lags]
    together = np.concatenate(errors)
    is_unknown = ~np.isfinite(together).any(axis=0)
    together[:, is_unknown] = 0.0
    return measure_halfwidth(together, 1)
