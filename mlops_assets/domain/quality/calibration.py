"""Split conformal calibration: how much wider or narrower ranges must be, judged by forecasts of the past.

A score is |z - mid| / halfwidth of a value that had been forecast. The q-th smallest of n scores,
q = ceil((n + 1) (1 - alpha)), bounds a new score with probability 1 - alpha if it is exchangeable with them
(Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005; Lei et al., JASA 113, 2018). Scores are
pooled by stratum and horizon (Mondrian), and wider where there are too few of them for alpha.

All scores of healthy days count, those of removed values too: without them ranges would shrink towards what they
let through, and call more and more values anomalies. What many anomalies do to the far tail is bounded by a
multiple of the 80 % score instead, which they hardly move. Correcting single series by their own scores was
tried: at the same coverage ranges became wider, since a few months of one series say little about its future.

Belongs here: scores and limits. Does not belong here: making forecasts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mlops_assets.domain.quality.forecasters.protocol import FloatArray
from mlops_assets.domain.quality.log_scale import to_z
from mlops_assets.domain.quality.panel import Panel
from mlops_assets.domain.quality.spec import RangeSpec
from mlops_assets.domain.quality.stored_forecasts import DayForecast

if TYPE_CHECKING:
    from numpy.typing import NDArray

Cell: TypeAlias = tuple[str, int]  # stratum, horizon bucket
BUCKET_ENDS = (7, 14)  # horizon buckets in days: 1-7, 8-14, from 15
FEWEST_FOR_COMMON = 5  # series; the median of fewer is mostly one of their own residuals
_STRATA = ((0.1, "steady"), (0.3, "ordinary"), (math.inf, "restless"))  # by half width, log units
_BODY = 0.8  # quantile that bounds the tails
_TAIL_CAP = 3.0  # times it; the 99.8 % score of normal ones is 2.4, that of t with ten degrees 3.0
_REMOVAL_OVER_PUBLISHED = 2.3  # of t with 5 degrees, where scores are too few for the removal level
_UNCALIBRATED = 1.3  # residuals of a fit are smaller than errors of its forecasts
_FEWEST_SCORES = 20
_KEY = 1 << 20  # more days than any panel has


def find_bucket(horizon_days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the horizon bucket."""
    return np.searchsorted(np.array(BUCKET_ENDS), horizon_days, side="left").astype(np.int64)


def find_strata(halfwidth_z: FloatArray) -> tuple[str, ...]:
    """Return the stratum of each series from its half widths [horizon x series]: how restless it is."""
    widths = halfwidth_z[0] if len(halfwidth_z) else np.zeros(halfwidth_z.shape[1])
    return tuple(next(word for limit, word in _STRATA if width <= limit) for width in widths)


def find_common_residual(residuals: FloatArray) -> FloatArray:
    """Return what all series of a day have in common: their median residual.

    Args:
        residuals: z - mid, float64 [days x series], NaN where unknown.

    Returns:
        float64 [days]; 0.0 where fewer than FEWEST_FOR_COMMON series are known.
    """
    known = np.isfinite(residuals).sum(axis=1)
    has_enough = known >= FEWEST_FOR_COMMON
    common = np.zeros(len(residuals))
    # NaN sorts to the end; numpy's own nanmedian takes twenty times as long for a panel of few series.
    ordered, count = np.sort(residuals[has_enough], axis=1), known[has_enough]
    row = np.arange(len(count))
    common[has_enough] = (ordered[row, (count - 1) // 2] + ordered[row, count // 2]) / 2
    return common


@dataclass(frozen=True)
class Scores:
    """Scores of past forecasts, one entry for each.

    Attributes:
        published: |z - mid| / halfwidth.
        removal: the same after the day's common residual is subtracted.
        bucket: horizon bucket.
        stratum: of the series when the forecast was made.
        series: number of the series.
        day: number of the target day.
    """

    published: FloatArray
    removal: FloatArray
    bucket: NDArray[np.int64]
    stratum: NDArray[np.str_]
    series: NDArray[np.int64]
    day: NDArray[np.int64]

    @property
    def value_keys(self) -> NDArray[np.int64]:
        """A number for each value, the same for all forecasts of it."""
        return self.series * _KEY + self.day


def gather_scores(forecasts: Sequence[DayForecast], panel: Panel, calibration_days: int) -> Scores:
    """Score forecasts against the panel's last days.

    Args:
        forecasts: of past days; what they say of days outside the panel's last days is left out.
        panel: what happened; unknown and negative values give no score.
        calibration_days: number of last days that count.
    """
    recent = panel.last(calibration_days)
    numbers = {name: number for number, name in enumerate(panel.series)}
    parts = [part for one in forecasts if (part := _score_day(one, recent, numbers)) is not None]
    if not parts:
        nothing, none = np.empty(0), np.empty(0, dtype=np.int64)
        return Scores(nothing, nothing, none, np.empty(0, dtype=str), none, none)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Scores(*columns)


def _score_day(
    forecast: DayForecast, panel: Panel, numbers: Mapping[str, int]
) -> tuple[NDArray[np.generic], ...] | None:
    places = [(own, numbers[name]) for own, name in enumerate(forecast.series) if name in numbers]
    if not places or not panel.days:
        return None
    own, columns = np.array(places, dtype=np.int64).T
    first = (forecast.made_day - panel.days[0]).days + 1  # row of the panel for horizon 1
    horizon = np.arange(max(0, -first), min(len(forecast.mid_z), len(panel.days) - first))
    if not len(horizon):
        return None
    values = to_z(panel.values_mb[np.ix_(horizon + first, columns)], forecast.median_mb[own])
    cells = np.ix_(horizon, own)
    residuals, halfwidth = values - forecast.mid_z[cells], forecast.halfwidth_z[cells]
    own_residuals = residuals - find_common_residual(residuals)[:, None]
    is_known = np.isfinite(residuals)
    shape = residuals.shape
    return (
        (np.abs(residuals) / halfwidth)[is_known],
        (np.abs(own_residuals) / halfwidth)[is_known],
        np.broadcast_to(find_bucket(horizon + 1)[:, None], shape)[is_known],
        np.broadcast_to(np.array(forecast.stratum)[own], shape)[is_known],
        np.broadcast_to(columns, shape)[is_known],
        np.broadcast_to((horizon + first)[:, None], shape)[is_known],
    )


@dataclass(frozen=True)
class Limits:
    """Multiples of the half width within which values are normal.

    Both by stratum and horizon bucket: of the published range, and of that which removes values.
    """

    published: Mapping[Cell, float]
    removal: Mapping[Cell, float]

    def widths(self, stratum: Sequence[str], horizon_days: int) -> tuple[FloatArray, FloatArray]:
        """Return the multiples, published and removal, float64 [horizon x series] each."""
        buckets = find_bucket(np.arange(1, horizon_days + 1)).tolist()
        published, removal = (
            np.array([[limits[word, bucket] for word in stratum] for bucket in buckets]).reshape(
                horizon_days, len(stratum)
            )
            for limits in (self.published, self.removal)
        )
        return published, removal


def calibrate(scores: Scores, ranges: RangeSpec) -> Limits:
    """Return the limits that past scores give, each cell's own or, if they are too few, wider ones."""
    published = _find_limits(scores.published, scores, ranges.published_alpha)
    removal = _find_limits(scores.removal, scores, ranges.removal_alpha)
    limits = {cell: _cap(found, _UNCALIBRATED) for cell, found in published.items()}
    return Limits(
        published=limits,
        removal={
            cell: _cap(found, _REMOVAL_OVER_PUBLISHED * limits[cell]) for cell, found in removal.items()
        },
    )


def conformal_quantile(scores: FloatArray, alpha: float) -> float:
    """Return the ceil((n + 1) (1 - alpha))-th smallest of n scores, n at least 1; the largest if that is beyond."""
    rank = min(math.ceil((len(scores) + 1) * (1 - alpha)), len(scores))
    return float(np.partition(scores, rank - 1)[rank - 1])


@dataclass(frozen=True)
class _Found:
    """The conformal limit, None where scores are too few, and the score that bounds the body of all."""

    limit: float | None
    body: float | None


def _cap(found: _Found, otherwise: float) -> float:
    limit = otherwise if found.limit is None else found.limit
    return limit if found.body is None else min(limit, _TAIL_CAP * found.body)


def _find_limits(values: FloatArray, scores: Scores, alpha: float) -> dict[Cell, _Found]:
    """Return what is found for each cell: in its own scores, else in its bucket's, else in all."""
    is_any = np.ones(len(values), dtype=bool)
    whole = _find_limit(values, scores, is_any, alpha)
    limits: dict[Cell, _Found] = {}
    for bucket in range(len(BUCKET_ENDS) + 1):
        is_bucket = scores.bucket == bucket
        wider = _find_limit(values, scores, is_bucket, alpha)
        wider = whole if wider.limit is None else wider
        for _, word in _STRATA:
            own = _find_limit(values, scores, is_bucket & (scores.stratum == word), alpha)
            limits[word, bucket] = wider if own.limit is None else own
    return limits


def _find_limit(values: FloatArray, scores: Scores, is_wanted: NDArray[np.bool_], alpha: float) -> _Found:
    wanted = values[is_wanted]
    # Forecasts of the same value on several days say nearly the same: values count, not forecasts.
    count = len(np.unique(scores.value_keys[is_wanted]))
    if count < _FEWEST_SCORES:
        return _Found(None, None)
    body = float(np.quantile(wanted, _BODY))
    return _Found(conformal_quantile(wanted, alpha) if count >= 2 / alpha else None, body)
