"""What a forecaster plug-in promises, and the calendar and forecast that go in and out.

Belongs here: the protocol, its data, and checks that all forecasters share. Does not belong here: any
forecasting method.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.algorithms.protocol import Hyperparameter, unknown_name

FloatArray: TypeAlias = NDArray[np.float64]
FEWEST_DAYS = 14  # two observations of every weekday, if none is missing


@dataclass(frozen=True)
class ForecastCalendar:
    """The days of a history and of the horizon after it.

    Attributes:
        first_day: of the history.
        history_days: its length.
        horizon_days: days to forecast, following the history.
        holidays: holidays among all these days; others are ignored.
    """

    first_day: dt.date
    history_days: int
    horizon_days: int
    holidays: frozenset[dt.date] = frozenset()

    @property
    def days(self) -> list[dt.date]:
        """All days, those of the history first."""
        return [self.first_day + dt.timedelta(days=n) for n in range(self.history_days + self.horizon_days)]

    @property
    def weekdays(self) -> NDArray[np.int64]:
        """Weekday of every day, Monday 0; int64 [history + horizon]."""
        count = self.history_days + self.horizon_days
        return (self.first_day.weekday() + np.arange(count, dtype=np.int64)) % 7

    @property
    def holiday_flags(self) -> FloatArray:
        """1.0 on holidays, else 0.0; float64 [history + horizon]."""
        return np.array([float(day in self.holidays) for day in self.days])


@dataclass(frozen=True)
class Forecast:
    """Middle and uncalibrated half width of the ranges, on the scale of the history.

    Attributes:
        mid: float64 [horizon x series].
        halfwidth: positive float64 [horizon x series]; of a 95 % range if residuals were normal and new days like
            those of the history. Calibration against past forecasts makes it honest.
    """

    mid: FloatArray
    halfwidth: FloatArray


class Forecaster(Protocol):
    """A plug-in: ranges of the coming days from a panel's history.

    Attributes:
        name: key in FORECASTERS and in configuration.
        version: raised when the same history would give another forecast; part of the asset's code version.
        parameters: everything it accepts.
    """

    name: str
    version: str
    parameters: Mapping[str, Hyperparameter]

    def complete_parameters(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return all parameters, defaults where none is given; ConfigError for unknown or unusable ones."""
        for name, value in values.items():
            where = f"forecaster {self.name!r}"
            if name not in self.parameters:
                raise unknown_name(f"parameter {name!r}", where, name, self.parameters)
            self.parameters[name].require(name, value, where)
        return {name: one.default for name, one in self.parameters.items()} | dict(values)

    def fit_predict(
        self, history: FloatArray, calendar: ForecastCalendar, parameters: Mapping[str, Any] | None = None
    ) -> Forecast:
        """Forecast the days after a history.

        Args:
            history: float64 [days x series] on the kernel's log scale; NaN where nothing is known.
            calendar: its days and those to forecast.
            parameters: that differ from the defaults.

        Raises:
            ConfigError: unknown or unusable parameters.
            LearningError: the history does not fit the calendar, is infinite, or a series has fewer than
                FEWEST_DAYS known values; leave such series out.
        """
        ...


def find_forecaster(name: str, forecasters: Mapping[str, Forecaster]) -> Forecaster:
    """Return the plug-in of that name; ConfigError with the nearest name if there is none."""
    if name not in forecasters:
        raise unknown_name(f"forecaster {name!r}", "", name, forecasters)
    return forecasters[name]


def check_history(history: FloatArray, calendar: ForecastCalendar) -> None:
    """Raise LearningError unless the history can be forecast, as `Forecaster.fit_predict` says."""
    if history.ndim != 2 or history.shape[0] != calendar.history_days or calendar.horizon_days < 1:
        raise LearningError(
            "the history does not fit its calendar",
            where=f"shape {history.shape}, horizon {calendar.horizon_days}",
            expected=f"[{calendar.history_days} days x series] and at least one day to forecast",
        )
    if np.isinf(history).any():
        raise LearningError("the history holds infinite values", expected="finite values, NaN where unknown")
    known = np.isfinite(history).sum(axis=0)
    if known.size and known.min() < FEWEST_DAYS:
        raise LearningError(
            f"a series has {int(known.min())} known days",
            where=f"series number {int(known.argmin())} of the history",
            expected=f"at least {FEWEST_DAYS}",
            remedy="leave it out until it has them",
        )
