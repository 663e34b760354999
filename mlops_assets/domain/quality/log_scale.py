"""The scale on which series are forecast: z = ln(y / m + 0.1), m the median of the training days.

On it effects are factors, ranges are never negative, and a day without traffic is far away but not infinitely.

Belongs here: the scale and its inverse. Does not belong here: forecasts on it.
"""

from __future__ import annotations

import numpy as np

from mlops_assets.domain.quality.forecasters.protocol import FloatArray

OFFSET = 0.1
_LEAST_MEDIAN_MB = 1e-6  # a byte
_LARGEST_Z = 50.0  # exp(50) medians; beyond it floats lose all meaning


def find_medians(values_mb: FloatArray) -> FloatArray:
    """Return m of each series in MB: its median or, if most days are without traffic, its mean.

    Args:
        values_mb: float64 [days x series], not negative, NaN where unknown.

    Returns:
        Positive float64 [series]; 1.0 for series without any traffic.
    """
    known = np.isfinite(values_mb)
    values = np.where(known.any(axis=0), values_mb, 0.0)
    medians = np.median(values, axis=0) if known.all() else np.nanmedian(values, axis=0)
    means = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    positive = np.where(medians > 0, medians, np.where(means > 0, means, 1.0))
    found: FloatArray = np.maximum(positive, _LEAST_MEDIAN_MB)
    return found


def to_z(values_mb: FloatArray, median_mb: FloatArray) -> FloatArray:
    """Return z of values [... x series]; NaN stays NaN, and what is negative becomes NaN."""
    usable = np.where(values_mb >= 0, values_mb, np.nan)
    z: FloatArray = np.log(usable / median_mb + OFFSET)
    return z


def to_mb(z: FloatArray, median_mb: FloatArray) -> FloatArray:
    """Return the values in MB of z [... x series]; never below zero."""
    values: FloatArray = median_mb * np.maximum(np.exp(np.minimum(z, _LARGEST_Z)) - OFFSET, 0.0)
    return values
