"""How deviations of several days and series add up: what persists, and whether chance could do it.

Belongs here: pure arithmetic on arrays of scores [days x series]. Does not belong here: feeds, reasons and the
verdict (drift_verdict).

A score is a deviation in units of the published range: 1 is its end. Chance puts one score in twenty beyond 1,
but neighbouring days and all series of a segment move together, so shares of single days prove little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

# A normal variable whose 95 % range ends at 1 has a standard deviation of 0.51.
_EXPECTED_SD = 0.5
_EXPECTED_SD_WEIGHT_DAYS = 4
# A shift of less than this is not worth a retraining, however sure it is.
_LEAST_COMMON = 0.75
MAD_TO_SD = 1.4826  # of a normal distribution


@dataclass(frozen=True)
class ChanceLimits:
    """What chance is allowed to explain.

    Attributes:
        common_sds: standard deviations of the common score that a common shift must exceed.
        series_chance: largest acceptable probability that as many series persist without any shift.
    """

    common_sds: float
    series_chance: float


# Alone, the series must be beyond doubt; where subscribers or features have moved as well, less is enough.
# Simulated without shift, all series moving as one with the autocorrelation of the weather (0.65 from day to day):
# 3.5 with the rule 3 of 4 fires on 0.02 % of days (once in 25 years, as they come in runs), on 0.004 % if half of
# the variance belongs to single series; 4.0 on a third of that.
ALONE = ChanceLimits(common_sds=3.5, series_chance=1e-5)
# On 8 of 10 days; fires by chance on 0.006 % of days.
LONG_COMMON_SDS = 1.8
WITH_WITNESS = ChanceLimits(common_sds=2.5, series_chance=1e-3)
# Probability that a series without shift stays outside on one side on 3 of 4 days (measured: 0.01 to 0.02).
SERIES_PERSISTS_BY_CHANCE = 0.02


def excess_over(scores: Scores, accepted: Scores | float) -> Scores:
    """Return how far scores lie beyond the span from 0 to the accepted level, with their sign.

    After a retraining the ranges still come from the days before the shift. What the retraining has seen is
    accepted; so is every step on the way back, while the ranges catch up.
    """
    level = np.asarray(accepted, dtype=np.float64)
    return np.asarray(scores - np.clip(scores, np.minimum(level, 0.0), np.maximum(level, 0.0)))


def persistent_level(scores: Scores, days: int) -> Scores:
    """Return per series the level that was reached on the same side on at least `days` days.

    Args:
        scores: [days x series]; NaN where a series has no score, which counts as no deviation.
        days: how many days must reach the level.

    Returns:
        [series], signed; the larger side where both are reached, 0 where none is.
    """
    if scores.shape[0] < days:
        return np.zeros(scores.shape[1])
    ordered = np.sort(np.nan_to_num(scores), axis=0)
    above, below = np.maximum(ordered[-days], 0.0), np.minimum(ordered[days - 1], 0.0)
    return np.asarray(np.where(above >= -below, above, below), dtype=np.float64)


def common_scores(scores: Scores) -> Scores:
    """Return each day's median score over series [days]; 0 on a day without any."""
    common = np.zeros(scores.shape[0])
    has_any = np.isfinite(scores).any(axis=1)
    if has_any.any():
        common[has_any] = np.nanmedian(scores[has_any], axis=1)
    return common


def shared_scores(scores: Scores) -> Scores:
    """Return the movement that two thirds of the series share on each day [days]; 0 if they share none.

    The score of the series at a third from zero's side. A median would lie half-way between two halves of a
    panel of which one has moved, and hide it.
    """
    shared = np.zeros(scores.shape[0])
    has_any = np.isfinite(scores).any(axis=1)
    if has_any.any():
        low, high = np.nanquantile(scores[has_any], [1 / 3, 2 / 3], axis=1)
        shared[has_any] = np.maximum(low, 0.0) + np.minimum(high, 0.0)
    return shared


def without_echo(scores: Scores, sides: Scores) -> Scores:
    """Return scores [days x series] with those on the side of an event's echo set to 0.

    Args:
        scores: beyond what is accepted.
        sides: of the event before each day [days]: 1 where everything had been far above, -1 far below, 0 none.
    """
    is_echo = np.sign(scores) == -sides[:, np.newaxis]
    return np.where(is_echo & (sides != 0)[:, np.newaxis], 0.0, scores)


def common_limit(history: Scores, sds: float) -> float:
    """Return the common score that a shift must exceed on the days that count.

    The spread of the common score is that of its own past days (median absolute value, robust against single
    events), shrunk towards what calibrated ranges imply if all series moved as one: with few past days the
    latter decides. Never below three quarters of the way to the end of the typical series' own range.

    Args:
        history: [days] common scores of usable days before the judged window.
        sds: standard deviations that chance may explain.
    """
    spread = MAD_TO_SD * float(np.median(np.abs(history))) if history.size else _EXPECTED_SD
    weight = _EXPECTED_SD_WEIGHT_DAYS
    variance = (history.size * spread**2 + weight * _EXPECTED_SD**2) / (history.size + weight)
    return max(_LEAST_COMMON, sds * math.sqrt(variance))


def series_needed(series: int, anomaly_share: float, limits: ChanceLimits) -> int:
    """Return how many series must persist, beside the common movement, to be more than chance.

    The smallest number above `anomaly_share` of the series whose binomial upper tail, each series persisting
    with `SERIES_PERSISTS_BY_CHANCE`, is at most `limits.series_chance`. May exceed `series`: then so few series
    prove nothing.
    """
    needed = math.floor(anomaly_share * series) + 1
    while (
        needed <= series
        and tail_probability(series, needed, SERIES_PERSISTS_BY_CHANCE) > limits.series_chance
    ):
        needed += 1
    return needed


def tail_probability(trials: int, least: int, probability: float) -> float:
    """Return the binomial probability of at least `least` successes."""
    if least <= 0:
        return 1.0
    log_odds = math.log(probability) - math.log1p(-probability)
    log_none = trials * math.log1p(-probability)
    terms = (
        math.exp(_log_choose(trials, count) + count * log_odds + log_none)
        for count in range(least, trials + 1)
    )
    return min(1.0, math.fsum(terms))


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)
