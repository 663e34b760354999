"""What a day tells about drift in one segment: health of its feeds, deviations of its series, further witnesses.

Belongs here: the shape of that evidence, and a series' deviation from its published range as a pure number.
Does not belong here: what follows from it (drift_verdict), how deviations add up (drift_persistence).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, Literal

from pydantic import Field

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.model_base import Record

FeedStatus = Literal["healthy", "broken", "unknown", "missing"]
# Newer ranges swallow a shift: a few days of it, all series at once, are more than the 5 % of past scores that
# calibration leaves outside. Measured on simulated shifts of 20 to 30 % of the volume: judged by ranges of the day
# before, the typical score falls from 1.9 to 0.7 within three days; by ranges of 14 days before it stays above 1.2.
_RANGES_AGE_DAYS, RANGES_AGE_MIN_DAYS, _RANGES_AGE_MAX_DAYS = 14, 7, 30
_OFFSET_SHARE = 0.1  # of the centre of a range; that of the kernel's scale ln(y / m + 0.1)


class FeedEvidence(Record):
    """Health of one feed of the day. `unknown`: too little history to say; `findings` are sentences."""

    feed: str
    status: FeedStatus
    findings: tuple[str, ...] = ()


class MovedFeature(Record):
    """A feature whose distribution moved by `distance`, more than `threshold` (false discoveries controlled)."""

    name: str
    distance: float
    threshold: float


def read_moved_features(facts: Mapping[str, Any], min_classifier_gain: float) -> tuple[MovedFeature, ...]:
    """Return the moved features that count as a witness.

    Those of a table that a classifier cannot tell from a week before much better than two earlier days from
    each other do not.

    Args:
        facts: of the day's compared features (feature_watch); none if they were not compared.
        min_classifier_gain: least difference of the two ROC AUCs.
    """
    doubted = {
        name
        for name, found in facts.get("classifier", {}).items()
        if found["roc_auc"] - found["ordinary_roc_auc"] < min_classifier_gain
    }
    return tuple(
        MovedFeature(name=one["feature"], distance=one["distance"], threshold=one["threshold"])
        for one in facts.get("moved", ())
        if one["table"] not in doubted
    )


class SeriesDeviation(Record):
    """Where a value lies relative to its published range.

    Attributes:
        score: 0 in the middle, -1 and 1 at the ends of the range, on the kernel's log scale.
        log_move: natural logarithm of value / expectation, both plus a tenth of the expectation.
    """

    score: float
    log_move: float

    @property
    def is_outside(self) -> bool:
        """Whether the value lies outside the published range."""
        return abs(self.score) > 1.0


class DayEvidence(Record):
    """Everything that one day of one segment tells about drift.

    Attributes:
        day: local business day.
        segment: geography code.
        feeds: every feed that the monitored values are made of.
        series: deviation by series; only those that have a range and whose value is known.
        subscribers_outside_share: of the subscribers with ranges; None if they were not validated.
        moved_features: features that moved, if they were compared.
    """

    day: dt.date
    segment: str
    feeds: tuple[FeedEvidence, ...]
    series: dict[str, SeriesDeviation] = {}
    subscribers_outside_share: float | None = Field(None, ge=0.0, le=1.0)
    moved_features: tuple[MovedFeature, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether all feeds are known to be healthy and there is something to judge."""
        return bool(self.feeds and self.series) and all(feed.status == "healthy" for feed in self.feeds)

    @property
    def outside_share(self) -> float:
        """Share of series outside their published range; 0 without series."""
        return sum(one.is_outside for one in self.series.values()) / max(len(self.series), 1)

    def to_facts(self) -> dict[str, Any]:
        """Return JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> DayEvidence:
        """Read what `to_facts` wrote."""
        return cls.model_validate(facts)


def choose_ranges_day(made_days: Iterable[dt.date], day: dt.date) -> dt.date | None:
    """Return the day whose kernel a day's drift evidence is compared with, or None.

    The newest that is at least two weeks old, or the oldest that is at least one: ranges must not know what they
    are to judge. Anomalies and reports use the newest kernel instead.

    Args:
        made_days: days on which kernels were made that reach the judged day.
        day: the judged day.
    """
    ages = {(day - made).days: made for made in made_days}
    usable = [age for age in ages if RANGES_AGE_MIN_DAYS <= age <= _RANGES_AGE_MAX_DAYS]
    old = [age for age in usable if age >= _RANGES_AGE_DAYS]
    return ages[min(old) if old else max(usable)] if usable else None


def measure_deviation(value_mb: float, low_mb: float, high_mb: float) -> SeriesDeviation:
    """Return where a value lies relative to its range.

    On the scale ln(y + c), c a tenth of the range's centre, low and high become -1 and 1. Since the kernel's
    ranges are symmetric on ln(y / m + 0.1), that is its |z - mid| / (q * halfwidth) up to the choice of c, and
    exact at both ends: the score is beyond 1 if and only if the value is outside.

    Raises:
        PlatformError: a number is negative or not finite, or the range has no width.
    """
    if not (all(map(math.isfinite, (value_mb, low_mb, high_mb))) and 0 <= low_mb < high_mb and value_mb >= 0):
        raise PlatformError(
            "a value cannot be compared with its range",
            where=f"{value_mb} MB, range {low_mb} to {high_mb} MB",
            expected="finite numbers, none negative, the low end below the high end",
            remedy="leave out series without a range and negative values, as measure_deviations does",
        )
    offset = _OFFSET_SHARE * (low_mb + high_mb) / 2
    low, high, value = (math.log(figure + offset) for figure in (low_mb, high_mb, value_mb))
    middle = (low + high) / 2
    return SeriesDeviation(score=(value - middle) / ((high - low) / 2), log_move=value - middle)


def measure_deviations(rows: Iterable[Mapping[str, Any]]) -> dict[str, SeriesDeviation]:
    """Return the deviations of a day's rows of `quality/<monitor>/anomalies`.

    Args:
        rows: with series, value_mb, low_mb and high_mb; rows where one of them is absent or not a number,
            negative values, and ranges without width (a constant series), are left out: they say nothing about drift.
    """
    return {
        str(row["series"]): measure_deviation(
            *(float(row[name]) for name in ("value_mb", "low_mb", "high_mb"))
        )
        for row in rows
        if _is_comparable(row)
    }


def _is_comparable(row: Mapping[str, Any]) -> bool:
    figures = [row.get(name) for name in ("value_mb", "low_mb", "high_mb")]
    if any(figure is None or not math.isfinite(figure) for figure in figures):
        return False
    return bool(row["value_mb"] >= 0 and row["low_mb"] < row["high_mb"])


def common_log_move(evidence: DayEvidence) -> float:
    """Return the median move of the day's series; 0 without series."""
    return median(one.log_move for one in evidence.series.values()) if evidence.series else 0.0
