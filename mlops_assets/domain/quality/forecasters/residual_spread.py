"""How far residuals of a fit spread.

Belongs here: one robust estimate that forecasters share. Does not belong here: calibration against past
forecasts (mlops_assets.domain.quality.calibration).
"""

from __future__ import annotations

import numpy as np

from mlops_assets.domain.quality.forecasters.protocol import FloatArray

NORMAL_95 = 1.959964  # standard deviations on either side that hold 95 % of a normal distribution
MAD_TO_SD = 1.4826  # of a normal distribution
_CLIP_SDS = 2.5
_CLIPPED_VARIANCE = 0.9563  # variance of a standard normal variable clipped at +/- _CLIP_SDS
_LEAST_SD = 0.002  # log units: volumes are not known to better than some tenths of a percent


def measure_halfwidth(residuals: FloatArray, fitted_parameters: int) -> FloatArray:
    """Return the half width of a 95 % range from residuals, robust against single outliers.

    The standard deviation of residuals clipped at 2.5 robust standard deviations (median absolute deviation,
    though never less than half the plain one, since a series of few distinct values has none), corrected for
    the clipping and for fitted parameters (Huber, Robust Statistics, 1981, chapter 5: proposal 2 in one step).

    Args:
        residuals: float64 [days x series], NaN where unknown.
        fitted_parameters: number of coefficients of each series.

    Returns:
        Positive float64 [series].
    """
    known = np.isfinite(residuals)
    counts = known.sum(axis=0)
    values = np.where(known, residuals, 0.0)
    plain = np.sqrt((values**2).sum(axis=0) / counts)
    first = np.maximum(MAD_TO_SD * _median_size(residuals, is_complete=bool(known.all())), plain / 2)
    clipped = np.minimum(np.abs(values), _CLIP_SDS * first)
    variance = (clipped**2).sum(axis=0) / np.maximum(counts - fitted_parameters, 1) / _CLIPPED_VARIANCE
    spread: FloatArray = NORMAL_95 * np.maximum(np.sqrt(variance), _LEAST_SD)
    return spread


def _median_size(residuals: FloatArray, *, is_complete: bool) -> FloatArray:
    # nanmedian is twenty times slower, and almost all series are complete.
    sizes = np.abs(residuals)
    found: FloatArray = np.median(sizes, axis=0) if is_complete else np.nanmedian(sizes, axis=0)
    return found
