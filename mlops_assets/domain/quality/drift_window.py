"""The window of days that a drift verdict looks at, and its figures.

Belongs here: which days count, and what persists on them, as numbers. Does not belong here: the arithmetic of
chance (drift_persistence), the verdict and its sentences (drift_verdict).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.percentages import show_percent
from mlops_assets.domain.quality.drift_evidence import DayEvidence, common_log_move
from mlops_assets.domain.quality.drift_persistence import (
    ALONE,
    LONG_COMMON_SDS,
    MAD_TO_SD,
    WITH_WITNESS,
    ChanceLimits,
    Scores,
    common_limit,
    common_scores,
    excess_over,
    persistent_level,
    series_needed,
    shared_scores,
    tail_probability,
    without_echo,
)
from mlops_assets.domain.quality.spec import OLDEST_EVIDENCE_DAYS, DriftSpec

_HISTORY_DAYS = 60
_SETTLED_DAYS = 14
_ACCEPTED_FOR_DAYS = 60  # by then the ranges are made of days after the shift
# After a festival allowances are used up: for a week and more everything is lower. Measured: half-way to the low
# end of the ranges, some plans outside, after two days at three to seven times their high end.
_ECHO_DAYS, _EVENT_SCORE = 10, 1.5
_PUBLISHED_ALPHA = 0.05
_ONE_DAY_CHANCE = 0.01
_WITNESS_HISTORY_DAYS = 14
_WITNESS_SDS, _WITNESS_FACTOR = 6.0, 1.5


class DriftFigures(Record):
    """The numbers behind a verdict. Scores are in units of the published range, 1 is its end.

    Attributes:
        series: judged on the day.
        series_outside: of them outside their ranges, beyond what a retraining has accepted.
        window_days: the usable days that the rule looked at, oldest first.
        marked_days: of them those with more than the threshold outside.
        skipped_days: days in between without usable evidence.
        common_log_move: natural logarithm of the typical series' change against expectation.
        common_level: common score that was reached on one side on as many days as the rule asks for.
        common_limit: what it must exceed.
        long_level, long_limit: the same over a longer window, where a smaller deviation is enough.
        persistent_series: series that stayed outside on one side on as many days.
        persistent_needed: how many of them chance does not explain.
        witnesses: what else moved, in words.
    """

    series: int = 0
    series_outside: int = 0
    window_days: tuple[dt.date, ...] = ()
    marked_days: tuple[dt.date, ...] = ()
    skipped_days: tuple[dt.date, ...] = ()
    common_log_move: float = 0.0
    common_level: float = 0.0
    common_limit: float = 0.0
    long_level: float = 0.0
    long_limit: float = 0.0
    persistent_series: tuple[str, ...] = ()
    persistent_needed: int = 0
    witnesses: tuple[str, ...] = ()


@dataclass(frozen=True)
class DriftDays:
    """Which days count as what. All but `skipped` are usable; each list is in order of days."""

    judged: DayEvidence
    window: list[DayEvidence]
    long_window: list[DayEvidence]
    before: list[DayEvidence]
    accepted: list[DayEvidence]
    skipped: list[dt.date]

    @property
    def known(self) -> list[DayEvidence]:
        """All days that count, each once, oldest first."""
        days = {one.day: one for one in (*self.before, *self.long_window, *self.window)}
        return [days[day] for day in sorted(days)]


def long_rule(spec: DriftSpec) -> tuple[int, int]:
    """Return on how many of how many usable days a small common shift must persist: 8 of 10 for 3 of 4."""
    return 2 * spec.of_days, 2 * spec.of_days + 2


def select_days(
    by_day: Mapping[dt.date, DayEvidence], day: dt.date, spec: DriftSpec, since_day: dt.date | None
) -> DriftDays:
    """Sort the days up to the judged one, which must be usable and not before `since_day`.

    Args:
        by_day: evidence by day, all of one segment.
        day: the judged day.
        spec: the rule, which says how many usable days the window has.
        since_day: first day that counts after a retraining; the days before it give the accepted level.
    """
    first = since_day or dt.date.min
    past = [by_day[known] for known in sorted(by_day) if known <= day]
    usable = [one for one in past if one.is_usable]
    counting = [one for one in usable if one.day >= first]
    oldest = day - dt.timedelta(days=OLDEST_EVIDENCE_DAYS)
    recent = [one for one in counting if one.day > oldest]
    window, long_window = recent[-spec.of_days :], recent[-long_rule(spec)[1] :]
    # A shift that is not recognised yet must not count as history; early on there is no other.
    settled = counting[: len(counting) - len(long_window)]
    before = settled if len(settled) >= _SETTLED_DAYS else counting[: len(counting) - len(window)]
    accepted = []
    if since_day is not None and (day - since_day).days < _ACCEPTED_FOR_DAYS:
        accepted = [one for one in usable if one.day < since_day][-spec.of_days :]
    skipped = [one.day for one in past if one.day >= window[0].day and not one.is_usable]
    return DriftDays(by_day[day], window, long_window, before[-_HISTORY_DAYS:], accepted, skipped)


def _score_matrix(days: Sequence[DayEvidence], names: Sequence[str]) -> Scores:
    """Return scores [days x series], NaN where a series has none."""
    rows = [[day.series[name].score if name in day.series else np.nan for name in names] for day in days]
    return np.array(rows, dtype=np.float64).reshape(len(days), len(names))


class DriftWindow:
    """The statistics of a usable day, computed when they are asked for."""

    def __init__(self, days: DriftDays, spec: DriftSpec) -> None:
        self.days, self.spec = days, spec
        self.names = sorted({name for one in days.known for name in one.series})

    @cached_property
    def window(self) -> Scores:
        """Scores of the window [days x series], beyond what is accepted, without echoes."""
        return self._scores(self.days.window)

    def _scores(self, days: list[DayEvidence]) -> Scores:
        scores = excess_over(_score_matrix(days, self.names), self.accepted)
        # The literal rule knows no other days.
        return scores if self.spec.of_days == 1 else without_echo(scores, self._event_sides(days))

    def _event_sides(self, judged_days: list[DayEvidence]) -> Scores:
        """Return for each of these days the side of the largest event shortly before it, or 0."""
        days = self.days.known
        common = common_scores(excess_over(_score_matrix(days, self.names), self.accepted))
        sides = np.zeros(len(judged_days))
        for number, judged in enumerate(judged_days):
            ages = np.array([(judged.day - one.day).days for one in days])
            recent = common[(ages > 0) & (ages <= _ECHO_DAYS)]
            if recent.size and np.abs(recent).max() > _EVENT_SCORE:
                sides[number] = np.sign(recent[np.abs(recent).argmax()])
        return sides

    @cached_property
    def accepted(self) -> Scores:
        """Level per series that the last retraining has seen; 0 without one."""
        scores = _score_matrix(self.days.accepted, self.names)
        levels = np.zeros(len(self.names))
        has_any = np.isfinite(scores).any(axis=0)
        levels[has_any] = np.nanmedian(scores[:, has_any], axis=0)
        return levels

    @cached_property
    def history(self) -> Scores:
        """Common scores of the days before the window."""
        return common_scores(excess_over(_score_matrix(self.days.before, self.names), self.accepted))

    @cached_property
    def outside_shares(self) -> Scores:
        """Share of series outside, by day of the window."""
        judged = np.isfinite(self.window).sum(axis=1)
        return np.asarray((np.abs(np.nan_to_num(self.window)) > 1.0).sum(axis=1) / np.maximum(judged, 1))

    @cached_property
    def marked_days(self) -> tuple[dt.date, ...]:
        """Days of the window on which more than the threshold lies outside."""
        marks = zip(self.days.window, self.outside_shares > self.spec.anomaly_share, strict=True)
        return tuple(one.day for one, is_marked in marks if is_marked)

    @cached_property
    def limits(self) -> ChanceLimits:
        """What chance may explain: less is needed where a second witness speaks."""
        return WITH_WITNESS if self.witnesses else ALONE

    @cached_property
    def witnesses(self) -> tuple[str, ...]:
        """What else has moved on as many days of the window as the rule asks for."""
        return (*_hear_subscribers(self.days, self.spec), *_hear_features(self.days, self.spec))

    @cached_property
    def figures(self) -> DriftFigures:
        """All numbers of the day."""
        common, today = common_scores(self.window), self.window[-1]
        shared = shared_scores(self.window)[:, np.newaxis]
        own = np.abs(persistent_level(self.window - shared, self.spec.days)) > 1.0
        judged = int((np.isfinite(self.window).sum(axis=0) >= self.spec.days).sum())
        return DriftFigures(
            series=int(np.isfinite(today).sum()),
            series_outside=int((np.abs(np.nan_to_num(today)) > 1.0).sum()),
            window_days=tuple(one.day for one in self.days.window),
            marked_days=self.marked_days,
            skipped_days=tuple(self.days.skipped),
            common_log_move=common_log_move(self.days.judged),
            common_level=float(persistent_level(common[:, np.newaxis], self.spec.days)[0]),
            common_limit=common_limit(self.history, self.limits.common_sds),
            long_level=self._long_level(),
            long_limit=common_limit(self.history, LONG_COMMON_SDS),
            persistent_series=tuple(name for name, stays in zip(self.names, own, strict=True) if stays),
            persistent_needed=series_needed(judged, self.spec.anomaly_share, self.limits),
            witnesses=self.witnesses,
        )

    def _long_level(self) -> float:
        common = common_scores(self._scores(self.days.long_window))
        return float(persistent_level(common[:, np.newaxis], long_rule(self.spec)[0])[0])

    @property
    def is_persistent(self) -> bool:
        """Whether the deviations persist beyond chance, together or singly; the literal rule does not ask."""
        if self.spec.of_days == 1:
            return True
        figures = self.figures
        is_common = (
            abs(figures.common_level) > figures.common_limit or abs(figures.long_level) > figures.long_limit
        )
        return is_common or len(figures.persistent_series) >= figures.persistent_needed

    @property
    def is_event(self) -> bool:
        """Whether more series are outside today than chance puts there."""
        figures = self.figures
        is_many = self.outside_shares[-1] > self.spec.anomaly_share
        chance = tail_probability(figures.series, figures.series_outside, _PUBLISHED_ALPHA)
        return bool(is_many and chance <= _ONE_DAY_CHANCE)


def _hear_subscribers(days: DriftDays, spec: DriftSpec) -> list[str]:
    """Return a sentence if the share of subscribers outside their ranges is beyond its own history."""
    before = [one.subscribers_outside_share for one in days.before]
    history = np.array([share for share in before if share is not None])
    if history.size < _WITNESS_HISTORY_DAYS:
        return []
    usual = float(np.median(history))
    spread = MAD_TO_SD * float(np.median(np.abs(history - usual)))
    limit = max(usual + _WITNESS_SDS * spread, _WITNESS_FACTOR * usual)
    shares = [one.subscribers_outside_share for one in days.window]
    beyond = [share for share in shares if share is not None and share > limit]
    if len(beyond) < spec.days:
        return []
    now, before_now = (show_percent(share, decimals=1) for share in (max(beyond), usual))
    return [f"{now} of subscribers left their own ranges, {before_now} is usual"]


def _hear_features(days: DriftDays, spec: DriftSpec) -> list[str]:
    """Return a sentence on the features that moved on as many days of the window as the rule asks for."""
    moved = [feature.name for one in days.window for feature in one.moved_features]
    before = {feature.name for one in days.before[-spec.of_days :] for feature in one.moved_features}
    names = sorted(name for name in set(moved) - before if moved.count(name) >= spec.days)
    return [f"features moved as well: {', '.join(names)}"] if names else []
