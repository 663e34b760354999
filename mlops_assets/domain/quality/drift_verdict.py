"""The drift verdict of a day and segment: evidence in, kind and reasons out.

Belongs here: the pure decision and its typed record. Does not belong here: gathering evidence
(drift_evidence), the arithmetic of persistence (drift_persistence), or starting a retraining.

The configured rule is necessary: on at least `days` of the last `of_days` usable days more than `anomaly_share`
of the series lie outside their ranges. Days with a broken, missing or unjudged feed are no evidence, neither for
nor against; they are skipped. The rule alone is not enough: a geography has about seven plans, so two of them
are more than 20 %, and all of them share the weather of the day. So the deviations must also *persist beyond
chance*, in one of two ways:
    - together: the median score of the series stays on one side on `days` of the days, further out than
      3.5 standard deviations of its own history, or than 1.8 on 8 of the last 10 days (in general
      2 * of_days of 2 * of_days + 2);
    - singly: so many series stay outside on the same side, after the common movement is taken out, that chance
      explains it with at most 1e-5.
A second witness (more subscribers than ever outside their own ranges, or the same feature moved on these days)
lowers the bar to 2.5 standard deviations and 1e-3. With `days: 1, of_days: 1` the literal rule decides alone.

An event of one or two days cannot reach a rule that asks for three. What follows it on the other side (allowances
are used up) is its echo and does not count for ten days. After a retraining (`since_day`) the days before no
longer count, and the level they had reached is accepted, because the ranges need weeks to follow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import model_validator

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.percentages import show_percent
from mlops_assets.domain.quality.drift_evidence import DayEvidence, FeedEvidence
from mlops_assets.domain.quality.drift_window import DriftFigures, DriftWindow, select_days
from mlops_assets.domain.quality.spec import DriftSpec

VerdictKind = Literal["healthy", "broken_feed", "one_off_event", "behaviour_shift", "no_evidence"]

_NAMED_SERIES = 8
_NAMED_FINDINGS = 2


class DriftVerdict(Record):
    """What a day and segment mean for the models that learn from them.

    Only `behaviour_shift` makes a retraining due; a record that says otherwise is refused. `reasons` are
    sentences for people.
    """

    kind: VerdictKind
    day: dt.date
    segment: str
    reasons: tuple[str, ...]
    is_retraining_due: bool
    figures: DriftFigures = DriftFigures()

    @model_validator(mode="after")
    def _due_only_after_a_shift(self) -> DriftVerdict:
        if self.is_retraining_due != (self.kind == "behaviour_shift"):
            raise ValueError(f"{self.kind} does not go with is_retraining_due: {self.is_retraining_due}")
        return self

    def to_facts(self) -> dict[str, Any]:
        """Return JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> DriftVerdict:
        """Read what `to_facts` wrote."""
        return cls.model_validate(facts)


def decide_drift(
    history: Sequence[DayEvidence],
    *,
    day: dt.date,
    segment: str,
    spec: DriftSpec,
    since_day: dt.date | None = None,
) -> DriftVerdict:
    """Judge one day of one segment.

    Args:
        history: evidence of the day and of the days before, any order; some 60 days are enough. Later days
            are not looked at.
        day: the judged day.
        segment: geography code; all evidence is of this segment.
        spec: threshold and rule.
        since_day: first day that counts after a promoted retraining; None if there was none.

    Raises:
        PlatformError: evidence of another segment, or two evidences of one day.
    """
    by_day = _index_by_day(history, segment)
    today = by_day.get(day)
    if today is None or not today.is_usable:
        return _judge_unusable(today, day, segment)
    if since_day is not None and day < since_day:
        reason = f"the models were retrained after this day; evidence counts from {since_day} on"
        return _verdict("no_evidence", day, segment, [reason])
    return _judge_window(DriftWindow(select_days(by_day, day, spec, since_day), spec), spec)


def continue_shift(verdict: DriftVerdict, before: DriftVerdict | None, spec: DriftSpec) -> DriftVerdict:
    """Return a day's verdict as a shift, if the shift that was recognised before it still goes on.

    The days of a shift become part of the history that chance is judged by, so that it soon looks like chance. Once
    recognised, it lasts as long as the configured rule holds.

    Args:
        verdict: of the day by itself.
        before: of the last day with evidence before it, under the same `since_day`; None if there is none.
        spec: the rule.
    """
    goes_on = before is not None and before.kind == "behaviour_shift"
    if not goes_on or verdict.kind not in {"healthy", "one_off_event"}:
        return verdict
    if len(verdict.figures.marked_days) < spec.days:
        return verdict
    reason = "the shift that was recognised before goes on: the rule still holds"
    return _verdict(
        "behaviour_shift", verdict.day, verdict.segment, [reason, *verdict.reasons], verdict.figures
    )


def _index_by_day(history: Sequence[DayEvidence], segment: str) -> dict[dt.date, DayEvidence]:
    by_day = {evidence.day: evidence for evidence in history}
    strangers = sorted({evidence.segment for evidence in history} - {segment})
    if strangers or len(by_day) != len(history):
        raise PlatformError(
            "drift cannot be judged on mixed evidence",
            where=f"segment {segment}",
            expected="one evidence a day, all of this segment",
            remedy=f"leave out {', '.join(strangers)}" if strangers else "give each day once",
        )
    return by_day


def _judge_unusable(today: DayEvidence | None, day: dt.date, segment: str) -> DriftVerdict:
    if today is None or not today.feeds:
        return _verdict("no_evidence", day, segment, ["nothing is known about the feeds of this day"])
    broken = [feed for feed in today.feeds if feed.status == "broken"]
    if broken:
        return _verdict("broken_feed", day, segment, _describe_feeds(broken))
    unfit = [feed for feed in today.feeds if feed.status != "healthy"]
    reasons = _describe_feeds(unfit) or ["no series has a range and a value on this day"]
    return _verdict("no_evidence", day, segment, reasons)


def _describe_feeds(feeds: Sequence[FeedEvidence]) -> list[str]:
    return [sentence for feed in feeds for sentence in _describe_feed(feed)]


def _describe_feed(feed: FeedEvidence) -> list[str]:
    """Return a sentence on the feed, then its first findings."""
    means = {
        "broken": "is broken and not used",
        "missing": "is missing",
        "unknown": "has too little history to be judged",
    }
    more = len(feed.findings) - _NAMED_FINDINGS
    rest = [f"{feed.feed}: {more} more findings"] if more > 0 else []
    return [
        f"feed {feed.feed} {means.get(feed.status, feed.status)}: the day is no evidence of drift",
        *feed.findings[:_NAMED_FINDINGS],
        *rest,
    ]


def _judge_window(window: DriftWindow, spec: DriftSpec) -> DriftVerdict:
    """Apply the rule to a usable day."""
    figures, today = window.figures, window.days.judged
    kind: VerdictKind = "one_off_event" if window.is_event else "healthy"
    reasons = [_describe_day(figures, spec)]
    if window.days.accepted:
        reasons.append("what the last retraining has seen is accepted and not counted again")
    if len(figures.marked_days) >= spec.days:
        reasons.append(_describe_persistence(figures, window, spec))
        kind = "behaviour_shift" if window.is_persistent else kind
    elif figures.marked_days:
        reasons.append(_describe_rule(figures, spec))
    return _verdict(kind, today.day, today.segment, [*reasons, *figures.witnesses], figures)


def _describe_day(figures: DriftFigures, spec: DriftSpec) -> str:
    share = figures.series_outside / max(figures.series, 1)
    typical = float(np.expm1(figures.common_log_move))
    return (
        f"{figures.series_outside} of {figures.series} series outside their range ({show_percent(share)}, "
        f"threshold {show_percent(spec.anomaly_share)}); the typical one moved by "
        f"{show_percent(typical, is_signed=True)} against its forecast"
    )


def _describe_rule(figures: DriftFigures, spec: DriftSpec) -> str:
    skipped = f", {len(figures.skipped_days)} without evidence skipped" if figures.skipped_days else ""
    return (
        f"above the threshold on {len(figures.marked_days)} of the last {len(figures.window_days)} usable days"
        f"{skipped}; {spec.days} of {spec.of_days} would mean a shift"
    )


def _describe_persistence(figures: DriftFigures, window: DriftWindow, spec: DriftSpec) -> str:
    marked = f"above the threshold on {', '.join(str(day) for day in figures.marked_days)}"
    if spec.of_days == 1:
        return f"{marked}; the rule 1 of 1 asks for nothing else"
    return (
        f"{marked}, {'and beyond chance' if window.is_persistent else 'but within what chance explains'}: all series "
        f"together stayed {abs(figures.common_level):.1f} half-ranges "
        f"{'above' if figures.common_level > 0 else 'below'} forecast, more than {figures.common_limit:.1f} count, and "
        f"{abs(figures.long_level):.1f} over the longer window, more than {figures.long_limit:.1f} count; "
        f"{len(figures.persistent_series)} series stayed outside by themselves{_name_series(figures)}, "
        f"{figures.persistent_needed} count"
    )


def _name_series(figures: DriftFigures) -> str:
    named, more = figures.persistent_series[:_NAMED_SERIES], len(figures.persistent_series) - _NAMED_SERIES
    rest = [f"{more} more"] if more > 0 else []
    return f" ({', '.join([*named, *rest])})" if named else ""


def _verdict(
    kind: VerdictKind,
    day: dt.date,
    segment: str,
    reasons: Sequence[str],
    figures: DriftFigures | None = None,
) -> DriftVerdict:
    return DriftVerdict(
        kind=kind,
        day=day,
        segment=segment,
        reasons=tuple(reasons),
        is_retraining_due=kind == "behaviour_shift",
        figures=figures or DriftFigures(),
    )
