"""Whether a day's values look as if part of them were delivered in another unit.

Belongs here: the statistic that tells a wrong unit from people who behave differently. Does not belong here:
any other fault of a delivery (feed_gate), or counting values (feed_profile).

A wrong unit moves the values of some share of the rows by one factor, in all columns of that unit alike, and
leaves their spread as it was; people move by factors of their own, near 1, each column differently. So two
explanations of the day's histograms compete: the usual ones with a share of the rows moved by a unit factor
(one factor and share for all columns), and the usual ones moved by at most three times, freely for each
column. A unit is suspected if it leaves clearly less unexplained than behaviour does, and than no change does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mlops_assets.domain.quality.feed_profile import BUCKETS_PER_E, FEWEST_VALUES, NumberProfile

Shares = npt.NDArray[np.float64]

# Least distance from the usual that is worth an explanation, as a share of the rows.
_LEAST_DISTANCE = 0.05
# What a unit may leave unexplained, of what no change and what behaviour leave unexplained.
_OF_NO_CHANGE, _OF_BEHAVIOUR = 0.4, 0.6
_MOST_BEHAVIOUR = math.log(3.0)
_BEHAVIOUR_SHIFTS = np.linspace(-_MOST_BEHAVIOUR, _MOST_BEHAVIOUR, 23)
_BEHAVIOUR_SHARES = (0.25, 0.5, 0.75, 1.0)
_FAULT_SHARES = np.round(np.arange(0.05, 1.001, 0.05), 2)
_KERNEL = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 9.0  # a spike that falls between two buckets is one spike


@dataclass(frozen=True)
class UnitFault:
    """A suspected unit.

    Attributes:
        factor: delivered values are so many times the usual ones.
        share: of the rows, about.
        columns: concerned.
        unexplained: share of the values that the fault does not explain.
        unexplained_by_behaviour: share that no change of behaviour explains.
    """

    factor: float
    share: float
    columns: tuple[str, ...]
    unexplained: float
    unexplained_by_behaviour: float


def find_unit_fault(
    today: Mapping[str, NumberProfile],
    references: Sequence[Mapping[str, NumberProfile]],
    factors: Sequence[float],
    share_min: float,
) -> UnitFault | None:
    """Return the unit fault that explains the day's columns of one unit, or None.

    Args:
        today: column to its counts; columns of one dimension of units.
        references: the same columns on healthy days.
        factors: suspected factors above 1; their inverses are tried as well. Without any, nothing is suspected.
        share_min: least share of rows that a fault must concern.

    Returns:
        The best explanation: of all columns together, or else of a single one most of whose rows moved.
    """
    columns = [c for c in (_column(name, today, references) for name in today) if c is not None]
    if not columns or not factors:
        return None
    fault = _explain(columns, factors, share_min)
    if fault is not None or len(columns) == 1:
        return fault
    alone = (_explain([column], factors, max(share_min, 0.5)) for column in columns)
    return next((found for found in alone if found is not None), None)


@dataclass(frozen=True)
class _Column:
    """The day's and the usual shares of values by bucket, on one grid wide enough for every shift."""

    name: str
    delivered: Shares
    usual: Shares
    noise: float

    def unexplained(self, shift: float, share: float) -> float:
        """Return the share of values left unexplained if `share` of them moved by `shift` (log units)."""
        return self._distance((1.0 - share) * self._smooth_usual + share * self._shifted(shift))

    @cached_property
    def unchanged(self) -> float:
        """Share of values that differ from the usual."""
        return self._distance(self._smooth_usual)

    @cached_property
    def by_behaviour(self) -> float:
        """Share of values that no moderate change of behaviour explains."""
        tried = (self.unexplained(s, share) for s in _BEHAVIOUR_SHIFTS for share in _BEHAVIOUR_SHARES)
        return min(tried)

    @cached_property
    def _smooth_usual(self) -> Shares:
        return _smooth(self.usual)

    @cached_property
    def _smooth_today(self) -> Shares:
        return _smooth(self.delivered)

    def _shifted(self, shift: float) -> Shares:
        grid = np.arange(len(self.usual), dtype=np.float64)
        return np.interp(grid - shift * BUCKETS_PER_E, grid, self._smooth_usual, left=0.0, right=0.0)

    def _distance(self, model: Shares) -> float:
        """Total variation distance, less what the sample's size alone makes of it."""
        return max(0.0, 0.5 * float(np.abs(self._smooth_today - model).sum()) - self.noise)


def _column(
    name: str, today: Mapping[str, NumberProfile], references: Sequence[Mapping[str, NumberProfile]]
) -> _Column | None:
    usual = [r[name] for r in references if name in r and sum(r[name].bucket_counts) >= FEWEST_VALUES]
    if not usual or sum(today[name].bucket_counts) < FEWEST_VALUES:
        return None
    profiles = [today[name], *usual]
    margin = math.ceil(BUCKETS_PER_E * math.log(1e9) / 2)
    first = min(p.first_bucket for p in profiles) - margin
    last = max(p.first_bucket + len(p.bucket_counts) for p in profiles) + margin
    shares = [_shares(p, first, last) for p in profiles]
    expected = np.mean(shares[1:], axis=0)
    return _Column(name, shares[0], expected, _noise(expected, sum(today[name].bucket_counts)))


def _shares(profile: NumberProfile, first: int, last: int) -> Shares:
    shares = np.zeros(last - first)
    start = profile.first_bucket - first
    counts = np.asarray(profile.bucket_counts, dtype=np.float64)
    shares[start : start + len(counts)] = counts / counts.sum()
    return shares


def _smooth(shares: Shares) -> Shares:
    return np.convolve(shares, _KERNEL, mode="same")


def _noise(expected: Shares, count: int) -> float:
    """Return the total variation distance that a sample of this size has from its own distribution.

    Mean absolute deviation of a binomial share, sqrt(2 / pi) of its standard deviation; smoothing with the
    kernel reduces it by the root of the sum of its squared weights.
    """
    deviations = np.sqrt(2.0 / math.pi * expected * (1.0 - expected) / count)
    return 0.5 * float(deviations.sum()) * float(np.sqrt((_KERNEL**2).sum()))


def _explain(columns: Sequence[_Column], factors: Sequence[float], share_min: float) -> UnitFault | None:
    unchanged = _mean(c.unchanged for c in columns)
    if unchanged < _LEAST_DISTANCE:
        return None
    shares = [float(share) for share in _FAULT_SHARES if share >= share_min]
    candidates = [
        (_mean(c.unexplained(math.log(factor), share) for c in columns), factor, share)
        for base in factors
        for factor in (base, 1.0 / base)
        for share in shares
    ]
    unexplained, factor, share = min(candidates)
    behaviour = _mean(c.by_behaviour for c in columns)
    if unexplained > _OF_NO_CHANGE * unchanged or unexplained >= _OF_BEHAVIOUR * behaviour:
        return None
    return UnitFault(factor, share, tuple(c.name for c in columns), unexplained, behaviour)


def _mean(values: Iterator[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
