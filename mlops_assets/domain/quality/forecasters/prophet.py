"""Prophet with flat growth, weekly seasonality and holidays, one fit a series.

Its uncertainty sampling is off: it takes most of the time, and ranges are calibrated against past forecasts in
any case. The half width is that of the residuals.

Belongs here: the call of the library. Does not belong here: its closed form (prophet_ridge.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.learning.algorithms.protocol import Hyperparameter
from mlops_assets.domain.quality.forecasters.protocol import (
    FloatArray,
    Forecast,
    ForecastCalendar,
    Forecaster,
    check_history,
)
from mlops_assets.domain.quality.forecasters.residual_spread import measure_halfwidth
from mlops_assets.domain.quality.forecasters.weekly_design import SEASONAL_SD, design_matrix

if TYPE_CHECKING:
    import pandas as pd

_SEED = 1
_CHATTY = ("prophet", "cmdstanpy")


class ProphetForecaster(Forecaster):
    """Prophet itself: tenths of a second a series, so for the largest ones."""

    name = "prophet"
    version = "1"
    parameters: Mapping[str, Hyperparameter] = {
        "holiday_prior_sd": Hyperparameter(10.0, low=0.001, high=100.0),
    }

    def fit_predict(
        self, history: FloatArray, calendar: ForecastCalendar, parameters: Mapping[str, Any] | None = None
    ) -> Forecast:
        """Forecast as the protocol says."""
        settings = self.complete_parameters(parameters or {})
        check_history(history, calendar)
        days, series = history.shape
        fitted = np.empty((days + calendar.horizon_days, series))
        with _quiet():
            for number in range(series):
                fitted[:, number] = _fit_one(history[:, number], calendar, settings["holiday_prior_sd"])
        halfwidth = measure_halfwidth(history - fitted[:days], design_matrix(calendar).shape[1])
        return Forecast(fitted[days:], np.tile(halfwidth, (calendar.horizon_days, 1)))


def _fit_one(values: FloatArray, calendar: ForecastCalendar, holiday_sd: float) -> FloatArray:
    """Return what Prophet expects on every day of history and horizon."""
    import pandas as pd
    from prophet import Prophet

    days = pd.to_datetime(calendar.days)
    model = Prophet(
        growth="flat",
        weekly_seasonality=True,
        yearly_seasonality=False,
        daily_seasonality=False,
        uncertainty_samples=0,
        seasonality_prior_scale=SEASONAL_SD,
        holidays_prior_scale=holiday_sd,
        holidays=_holiday_frame(calendar),
    )
    known = pd.DataFrame({"ds": days[: len(values)], "y": values}).dropna()
    # Prophet takes Newton's method for so few days, which stops up to 2e-3 log units from the optimum.
    model.fit(known, seed=_SEED, algorithm="LBFGS")
    expected: FloatArray = model.predict(pd.DataFrame({"ds": days}))["yhat"].to_numpy(np.float64)
    return expected


def _holiday_frame(calendar: ForecastCalendar) -> pd.DataFrame | None:
    """Return all holidays under one name: each by itself occurs too seldom within the window to be learned."""
    import pandas as pd

    found = sorted(calendar.holidays.intersection(calendar.days))
    return pd.DataFrame({"ds": pd.to_datetime(found), "holiday": "holiday"}) if found else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the lines that Prophet and its backend log for every fit; failures are raised all the same."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    states = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True  # not its level: the backend sets that when it first logs
    try:
        yield
    finally:
        for logger, state in zip(loggers, states, strict=True):
            logger.disabled = state
