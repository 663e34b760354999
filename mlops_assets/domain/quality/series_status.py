"""Which series can be forecast, from which of their values, and a word for each that is special.

Belongs here: the words and the rules behind them. Does not belong here: the sentences that explain them
(mlops_assets.domain.reporting.series_words).

| word | meaning | range |
|---|---|---|
| `ok` | nothing special | yes |
| `gaps` | days are unknown on which other series are known | yes, from the others |
| `gigantic_value` | a value over ten times the 90th percentile of its days with traffic | yes, without it |
| `negative` | a value below zero | yes, without it; none if too few are left |
| `constant` | always the same | that value only |
| `short_history` | fewer usable days than the minimum | none |
| `new` | known on the last day only | none |
| `silent` | never any traffic | none |
| `ended` | traffic on most days before, none in the last seven | none |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.quality.forecasters.protocol import FloatArray

if TYPE_CHECKING:
    from numpy.typing import NDArray

OK, CONSTANT = "ok", "constant"
WITH_FORECAST = frozenset({OK, "gaps", "gigantic_value", "negative"})
GIGANTIC_FACTOR = 10.0  # units are wrong by 60, 1000 or 1024; nobody's traffic grows tenfold overnight
_GIGANTIC_QUANTILE = 0.9
_SILENT_DAYS = 7  # a week holds every weekday
_USUAL_SHARE = 0.5  # of days with traffic, for a series of which a silent week says that it ended


@dataclass(frozen=True)
class CleanHistory:
    """A history without values that nothing may be learned from.

    Attributes:
        values_mb: float64 [days x series]; NaN where unknown or unusable.
        status: a word a series.
        is_forecast: bool [series]; whether a forecaster can be fitted.
    """

    values_mb: FloatArray
    status: tuple[str, ...]
    is_forecast: NDArray[np.bool_]


def clean_history(values_mb: FloatArray, min_history_days: int) -> CleanHistory:
    """Find what is special about each series and take unusable values out.

    Args:
        values_mb: float64 [days x series] as delivered; NaN where unknown.
        min_history_days: usable days that a forecast needs.
    """
    is_negative = values_mb < 0
    usable = np.where(is_negative, np.nan, values_mb)
    is_gigantic = usable > GIGANTIC_FACTOR * _high_quantile(usable)
    usable = np.where(is_gigantic, np.nan, usable)
    counts = np.isfinite(usable).sum(axis=0)
    has_negative = is_negative.any(axis=0)
    is_short = counts < min_history_days
    words = [  # the first that applies
        (_has_ended(values_mb), "ended"),
        (_is_new(values_mb), "new"),
        (is_short & has_negative, "negative"),
        (is_short, "short_history"),
        (_is_silent(usable), "silent"),
        (_is_constant(usable), CONSTANT),
        (has_negative, "negative"),
        (is_gigantic.any(axis=0), "gigantic_value"),
        (_has_gaps(values_mb), "gaps"),
    ]
    status = tuple(np.select([found for found, _ in words], [word for _, word in words], OK).tolist())
    is_forecast = ~is_short & np.array([word in WITH_FORECAST for word in status], dtype=bool)
    return CleanHistory(usable, status, is_forecast)


def _high_quantile(usable: FloatArray) -> FloatArray:
    """Return the quantile of days with traffic; infinity for a series without any."""
    with_traffic = np.where(usable > 0, usable, np.nan)
    has_any = np.isfinite(with_traffic).any(axis=0)
    found: FloatArray = np.nanquantile(
        np.where(has_any, with_traffic, np.inf), _GIGANTIC_QUANTILE, axis=0, method="lower"
    )
    return found


def _has_ended(values_mb: FloatArray) -> NDArray[np.bool_]:
    known = np.isfinite(values_mb)
    delivered = np.flatnonzero(known.any(axis=1))
    has_traffic = np.where(known, values_mb, 0.0) > 0
    last = has_traffic[delivered[-_SILENT_DAYS:]]
    before = delivered[:-_SILENT_DAYS]
    known_days = np.maximum(known[before].sum(axis=0), 1)
    traffic_days = has_traffic[before].sum(axis=0)
    was_usual = (traffic_days > 0) & (traffic_days >= _USUAL_SHARE * known_days)
    is_absent = ~known.any(axis=0) & bool(
        len(delivered)
    )  # it is in the panel: it was there before these days
    ended: NDArray[np.bool_] = np.where(last.any(axis=0), False, was_usual | is_absent)
    return ended


def _is_new(values_mb: FloatArray) -> NDArray[np.bool_]:
    known = np.isfinite(values_mb)
    new: NDArray[np.bool_] = np.logical_and(known[-1], known.sum(axis=0) == 1)
    return new


def _is_silent(usable: FloatArray) -> NDArray[np.bool_]:
    has_traffic = np.where(np.isfinite(usable), usable, 0.0) > 0
    return np.logical_not(has_traffic.any(axis=0))


def _is_constant(usable: FloatArray) -> NDArray[np.bool_]:
    known = np.isfinite(usable)
    highest: FloatArray = np.where(known, usable, -np.inf).max(axis=0, initial=-np.inf)
    lowest: FloatArray = np.where(known, usable, np.inf).min(axis=0, initial=np.inf)
    return np.equal(highest, lowest)


def _has_gaps(values_mb: FloatArray) -> NDArray[np.bool_]:
    """Find unknown days after a series' first on which something else of the panel is known."""
    known = np.isfinite(values_mb)
    has_appeared: NDArray[np.bool_] = np.logical_or.accumulate(known, axis=0)
    is_delivered = known.any(axis=1, keepdims=True)
    gaps: NDArray[np.bool_] = np.any(has_appeared & ~known & is_delivered, axis=0)
    return gaps
