"""Single odd days in a history, moved to where they no longer bend a fit.

Belongs here: clipping of training values. Does not belong here: what an anomaly is (series_judgement); scores
always come from the values as they were.
"""

from __future__ import annotations

import numpy as np

from mlops_assets.domain.quality.calibration import FEWEST_FOR_COMMON
from mlops_assets.domain.quality.forecasters.protocol import FloatArray, ForecastCalendar
from mlops_assets.domain.quality.forecasters.residual_spread import MAD_TO_SD

_SPREADS = 5.0  # robust standard deviations: a normal day is beyond them once in a million
_LEAST_SD = 0.01
_WEEK = 7


def soften_outliers(z: FloatArray, calendar: ForecastCalendar) -> FloatArray:
    """Return a history with values clipped to five robust standard deviations around their expectation.

    Expectation: the median of the series, plus the median deviation of the weekday from it, plus that of all
    series on the day (a festival is no oddity of one series). Holidays stay as they are: their effect is to be
    learned. A lasting shift moves the medians within weeks and is then no outlier.

    Args:
        z: float64 [days x series], NaN where unknown.
        calendar: its days.
    """
    if not z.size:
        return z
    weekdays = calendar.weekdays[: len(z)]
    residuals = z - _median(z)
    for weekday in range(_WEEK):
        residuals[weekdays == weekday] -= _median(residuals[weekdays == weekday])
    common = _median(residuals.T).T if z.shape[1] >= FEWEST_FOR_COMMON else np.zeros((len(z), 1))
    residuals -= common
    limit = _SPREADS * np.maximum(MAD_TO_SD * _median(np.abs(residuals)), _LEAST_SD)
    clipped = np.clip(residuals, -limit, limit)
    is_holiday = calendar.holiday_flags[: len(z), None] > 0
    softened: FloatArray = np.where(is_holiday, z, z - residuals + clipped)
    return softened


def _median(values: FloatArray) -> FloatArray:
    """Return the median over days [1 x series], 0.0 where nothing is known."""
    if np.isfinite(values).all():
        whole: FloatArray = np.median(values, axis=0, keepdims=True)
        return whole
    is_unknown = np.isnan(values).all(axis=0, keepdims=True)
    found: FloatArray = np.nanmedian(np.where(is_unknown, 0.0, values), axis=0, keepdims=True)
    return found
