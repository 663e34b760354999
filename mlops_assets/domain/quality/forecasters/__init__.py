"""The forecasters a monitor may name in its configuration.

A new forecaster is one file beside this one and one line below. Importing this package loads numpy, and no
forecasting library: a plug-in imports what it needs when it fits.
"""

from __future__ import annotations

from mlops_assets.domain.quality.forecasters.prophet import ProphetForecaster
from mlops_assets.domain.quality.forecasters.prophet_ridge import ProphetRidgeForecaster
from mlops_assets.domain.quality.forecasters.protocol import (
    Forecast,
    ForecastCalendar,
    Forecaster,
    find_forecaster,
)
from mlops_assets.domain.quality.forecasters.robust_seasonal import RobustSeasonalForecaster

__all__ = ["FORECASTERS", "Forecast", "ForecastCalendar", "Forecaster", "find_forecaster"]

FORECASTERS: dict[str, Forecaster] = {
    "prophet": ProphetForecaster(),
    "prophet_ridge": ProphetRidgeForecaster(),
    "robust_seasonal": RobustSeasonalForecaster(),
}
