"""The regressors of Prophet's flat model with weekly seasonality, and the precision of their priors.

Belongs here: the design matrix. Does not belong here: fitting.
"""

from __future__ import annotations

import numpy as np

from mlops_assets.domain.quality.forecasters.protocol import FloatArray, ForecastCalendar

_PAIRS = 3  # Prophet's Fourier order of weekly seasonality
INTERCEPT_SD, SEASONAL_SD = 5.0, 10.0  # Prophet's priors, for values divided by their largest magnitude


def design_matrix(calendar: ForecastCalendar) -> FloatArray:
    """Return intercept, weekly Fourier pairs and, if the history has a holiday, a holiday column.

    A holiday that the history has not seen cannot be learned from: its prior mean is no effect.

    Returns:
        float64 [history + horizon x regressors].
    """
    angles = 2 * np.pi / 7 * calendar.weekdays.astype(np.float64)
    pairs = [wave(n * angles) for n in range(1, _PAIRS + 1) for wave in (np.sin, np.cos)]
    columns = [np.ones(len(angles)), *pairs]
    flags = calendar.holiday_flags
    if flags[: calendar.history_days].any():
        columns.append(flags)
    return np.stack(columns, axis=1)


def prior_precision(regressors: int, holiday_sd: float) -> FloatArray:
    """Return 1 / sd**2 of each regressor's prior; float64 [regressors]."""
    deviations = np.full(regressors, SEASONAL_SD)
    deviations[0] = INTERCEPT_SD
    deviations[1 + 2 * _PAIRS :] = holiday_sd
    precision: FloatArray = deviations**-2.0
    return precision
