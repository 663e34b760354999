"""Prophet's flat model with weekly seasonality and holidays, solved in closed form for all series at once.

Without trend and changepoints Prophet's posterior mode is a ridge regression on an intercept (prior standard
deviation 5), three weekly Fourier pairs (10) and holidays, of values divided by their largest magnitude. Only
the noise differs: Prophet estimates it, here it is fixed; priors so wide make the difference vanish.

Belongs here: the closed form. Does not belong here: the real Prophet (prophet.py); a test holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from mlops_assets.domain.quality.forecasters.weekly_design import design_matrix, prior_precision

_NOISE_SD = 0.05  # of values divided by their largest magnitude
_LEAST_SCALE = 1e-9
_SERIES_AT_ONCE = 4096  # keeps the working arrays in tens of megabytes


class ProphetRidgeForecaster(Forecaster):
    """Flat growth, weekly seasonality, holidays; some microseconds a series."""

    name = "prophet_ridge"
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
        design = design_matrix(calendar)
        precision = _NOISE_SD**2 * prior_precision(design.shape[1], settings["holiday_prior_sd"])
        series = history.shape[1]
        mid = np.empty((calendar.horizon_days, series))
        halfwidth = np.empty((calendar.horizon_days, series))
        for start in range(0, series, _SERIES_AT_ONCE):
            part = slice(start, start + _SERIES_AT_ONCE)
            mid[:, part], halfwidth[:, part] = _fit_part(history[:, part], design, precision)
        return Forecast(mid, halfwidth)


def _fit_part(
    history: FloatArray, design: FloatArray, precision: FloatArray
) -> tuple[FloatArray, FloatArray]:
    past, coming = design[: len(history)], design[len(history) :]
    known = np.isfinite(history)
    values = np.where(known, history, 0.0)
    scale = np.maximum(np.abs(values).max(axis=0, initial=0.0), _LEAST_SCALE)
    coefficients = _solve(past, values / scale, known, precision) * scale
    residuals = history - past @ coefficients
    return coming @ coefficients, measure_halfwidth(residuals, design.shape[1])[None, :]


def _solve(past: FloatArray, values: FloatArray, known: Any, precision: FloatArray) -> FloatArray:
    """Return coefficients [regressors x series]; complete series share one matrix, others have their own."""
    coefficients = np.empty((past.shape[1], values.shape[1]))
    is_complete = known.all(axis=0)
    shared = past.T @ past + np.diag(precision)
    coefficients[:, is_complete] = np.linalg.solve(shared, past.T @ values[:, is_complete])
    gappy = ~is_complete
    if gappy.any():
        regressors = past.shape[1]
        products = (past[:, :, None] * past[:, None, :]).reshape(len(past), -1)
        own = (products.T @ known[:, gappy].astype(np.float64)).T.reshape(-1, regressors, regressors)
        targets = (past.T @ values[:, gappy]).T[:, :, None]
        coefficients[:, gappy] = np.linalg.solve(own + np.diag(precision), targets)[:, :, 0].T
    return coefficients
