"""The anomaly report of one monitor, geography and day: its typed content.

Belongs here: the record, what follows from its own fields, and its making from judged rows. Does not belong
here: how it looks (anomaly_report_page) or judging values (mlops_assets.domain.quality).

It holds aggregates only. Of subscribers there are counts by reason. A series or a reason that is called like a
subscriber's number is refused; in sentences such numbers are masked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.public_text import PublicName, PublicText
from mlops_assets.domain.reporting.report_rows import Row, Rows, read_rows
from mlops_assets.domain.reporting.series_words import ORDINARY

if TYPE_CHECKING:
    from mlops_assets.domain.quality.subscriber_counts import SubscriberCounts

Count = Annotated[int, Field(ge=0)]
FeedStatus = Literal["healthy", "held", "unknown", "missing"]
VerdictKind = Literal["healthy", "broken_feed", "one_off_event", "behaviour_shift", "no_evidence"]
PointState = Literal["inside", "outside", "removed", "unchecked"]

CHART_DAYS = 60  # up to and including the report's day
_MOST_DECIMALS = 6
_WHY_ABSENT = {"missing": "missing_feed", "held": "unusable_feed"}
_JUDGED = ("series", "target_day", "value_mb", "low_mb", "high_mb")
_JUDGED_OPTIONAL = ("residual_z", "is_outside", "is_removed", "reason", "status")


class RangePoint(Record):
    """One day of a series: its value and the range that was published for it, as far as known, in MB."""

    day: dt.date
    value_mb: float | None = None
    low_mb: float | None = None
    high_mb: float | None = None
    state: PointState = "unchecked"


class SeriesLine(Record):
    """One series on the day of the report.

    Attributes:
        series: e.g. the plan code.
        value_mb: what it had; None without a delivered value.
        low_mb, high_mb: the published range; None without one.
        residual_z: distance from the expected value on the log scale.
        is_outside: outside the published range; None if it was not checked.
        is_removed: so far outside that no corpus learns from it.
        reason: why it is outside, or why it was not checked.
        status: `ok`, or a word of `series_words`.
        points: its days, oldest first, for the chart.
    """

    series: PublicName
    value_mb: float | None = None
    low_mb: float | None = None
    high_mb: float | None = None
    residual_z: float | None = None
    is_outside: bool | None = None
    is_removed: bool = False
    reason: PublicText = ""
    status: PublicText = "ok"
    points: tuple[RangePoint, ...] = ()

    @model_validator(mode="after")
    def _verdict_has_evidence(self) -> SeriesLine:
        if self.is_outside is not None and None in {self.value_mb, self.low_mb, self.high_mb}:
            raise ValueError(f"`{self.series}` is judged without a value or a range")
        if self.is_removed and not self.is_outside:
            raise ValueError(f"`{self.series}` is removed but not outside")
        return self

    @property
    def sentence(self) -> str:
        """The operator's line: `Anomaly! => (380 <= 600 <= 525)`; empty if it is no anomaly."""
        if not self.is_outside or self.value_mb is None or self.low_mb is None or self.high_mb is None:
            return ""
        return f"Anomaly! => ({compare_range(self.low_mb, self.value_mb, self.high_mb)})"

    @property
    def deviation_share(self) -> float | None:
        """How far the value is beyond the nearer end, as a share of that end; 0 inside, None if unknown."""
        if self.is_outside is None or self.value_mb is None or self.low_mb is None or self.high_mb is None:
            return None
        end = self.high_mb if self.value_mb > self.high_mb else self.low_mb
        if self.low_mb <= self.value_mb <= self.high_mb:
            return 0.0
        return (self.value_mb - end) / end if end > 0 else None

    @property
    def is_special(self) -> bool:
        """Whether something has to be said about it other than inside or outside."""
        return self.status not in ORDINARY or self.is_outside is None

    @property
    def extremity(self) -> tuple[bool, bool, float]:
        """Sort key: removed, then outside, then by distance."""
        distance = abs(self.residual_z) if self.residual_z is not None else abs(self.deviation_share or 0.0)
        return self.is_removed, bool(self.is_outside), distance


class SubscriberTally(Record):
    """Subscribers whose day was compared with their own range, and those that have none: counts only."""

    checked: Count
    without_range: Count = 0
    outside: dict[PublicName, Count] = {}
    removed: dict[PublicName, Count] = {}

    @model_validator(mode="after")
    def _counts_agree(self) -> SubscriberTally:
        if sum(self.removed.values()) > self.checked or sum(self.outside.values()) > self.checked:
            raise ValueError("more anomalies than subscribers that were checked")
        return self


class FeedNote(Record):
    """The health of one feed on the day; `missing` was not delivered, or was refused."""

    feed: str
    status: FeedStatus
    findings: tuple[PublicText, ...] = ()


class DriftNote(Record):
    """The drift verdict of the day with its reasons."""

    kind: VerdictKind
    reasons: tuple[PublicText, ...] = ()
    is_retraining_due: bool = False


class AnomalyReport(Record):
    """What was outside its range on a day, why, and what is done about it.

    With `is_snapshot` the values are of a snapshot feed: no corpus and no retraining hangs on them.
    """

    monitor: str
    geography: str
    day: dt.date
    series: tuple[SeriesLine, ...]
    feeds: tuple[FeedNote, ...] = ()
    subscribers: SubscriberTally | None = None
    drift: DriftNote | None = None
    published_alpha: float = Field(0.05, gt=0, lt=1)
    is_snapshot: bool = False

    @model_validator(mode="after")
    def _series_once(self) -> AnomalyReport:
        names = [line.series for line in self.series]
        if len(names) != len(set(names)):
            raise ValueError("a series occurs twice")
        return self

    @property
    def title(self) -> str:
        """Heading, also the entry in the index page."""
        return f"Anomaly report: {self.monitor}, {self.geography}, {self.day.isoformat()}"

    @property
    def checked(self) -> list[SeriesLine]:
        """Series that were compared with a range."""
        return [line for line in self.series if line.is_outside is not None]

    @property
    def outside(self) -> list[SeriesLine]:
        """Series outside their range, the most deviating first."""
        return rank_lines(line for line in self.series if line.is_outside)

    @property
    def removed(self) -> list[SeriesLine]:
        """Series whose day no corpus learns from."""
        return [line for line in self.outside if line.is_removed]

    @property
    def special(self) -> list[SeriesLine]:
        """Series of which something else has to be said, by name."""
        return sorted((line for line in self.series if line.is_special), key=lambda line: line.series)

    @property
    def outside_share(self) -> float | None:
        """Share of the checked series that are outside; None if none was checked."""
        return len(self.outside) / len(self.checked) if self.checked else None


def rank_lines(lines: Iterable[SeriesLine]) -> list[SeriesLine]:
    """Return the most deviating series first: removed, outside, then by distance; ties by name."""
    by_name = sorted(lines, key=lambda line: line.series)
    return sorted(by_name, key=lambda line: line.extremity, reverse=True)


def compare_range(low_mb: float, value_mb: float, high_mb: float) -> str:
    """Return `380 <= 600 <= 525` with as many decimals as show on which side of the ends the value lies."""
    smallest = min(abs(end) for end in (low_mb, value_mb, high_mb))
    fewest = 0 if smallest >= 100 or max(abs(high_mb), abs(value_mb)) >= 1000 else 2
    decimals = fewest
    while decimals < _MOST_DECIMALS and not _is_order_kept(low_mb, value_mb, high_mb, decimals):
        decimals += 1
    texts = [f"{one:,.{decimals}f}" for one in (low_mb, value_mb, high_mb)]
    return " <= ".join(texts).replace("-", "\N{MINUS SIGN}")


def _is_order_kept(low_mb: float, value_mb: float, high_mb: float, decimals: int) -> bool:
    low, value, high = (round(one, decimals) for one in (low_mb, value_mb, high_mb))
    return (value < low) == (value_mb < low_mb) and (value > high) == (value_mb > high_mb)


def build_tally(counts: SubscriberCounts | None) -> SubscriberTally | None:
    """Return the report's tally of a day's subscribers; None if they could not be judged.

    Args:
        counts: of `quality.subscriber_counts`; without calibrated limits nobody was judged.
    """
    if counts is None or not counts.is_calibrated:
        return None
    return SubscriberTally(
        checked=counts.scored,
        without_range=counts.without_forecast,
        outside=dict(counts.by_reason),
        removed={reason: rows for reason, rows in counts.by_reason.items() if reason.startswith("far_")},
    )


def build_series_lines(
    judged: Rows,
    *,
    day: dt.date,
    kernel: Rows = (),
    feed_status: FeedStatus = "healthy",
) -> tuple[SeriesLine, ...]:
    """Return one line per series from judged rows.

    Args:
        judged: rows of `quality/<monitor>/anomalies` of one geography for the day and, for the charts, of
            days before it: series, target_day, value_mb, low_mb, high_mb, and if there residual_z,
            is_outside, is_removed, reason, status.
        day: the report's day; later rows are ignored.
        kernel: rows of the kernel made on `day`, for the range that lies ahead and the status of series.
        feed_status: health of the feed that the values come from; it explains series without a row.

    Raises:
        TableInputError: a needed column is missing.
    """
    ahead = read_rows(
        kernel, needed=("series", "target_day", "low_mb", "high_mb"), optional=("status",), what="kernel rows"
    )
    rows = read_rows(judged, needed=_JUDGED, optional=_JUDGED_OPTIONAL, what="judged rows")
    past = _by_series(row for row in rows if 0 <= (day - row["target_day"]).days < CHART_DAYS)
    coming = _by_series(row for row in ahead if row["target_day"] > day)
    why_absent = _WHY_ABSENT.get(feed_status, "missing_value")
    return tuple(
        _build_line(series, past.get(series, []), coming.get(series, []), day, why_absent)
        for series in sorted({*past, *coming})
    )


def _by_series(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows of each series by day."""
    grouped: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["target_day"]):
        grouped.setdefault(row["series"], []).append(row)
    return grouped


def _build_line(
    series: str, past: Sequence[Row], coming: Sequence[Row], day: dt.date, why_absent: str
) -> SeriesLine:
    today: Row = next((row for row in reversed(past) if row["target_day"] == day), {})
    status = today.get("status") or next((row["status"] for row in coming if row["status"]), "ok")
    if not today and (why_absent != "missing_value" or status in ORDINARY):
        status = why_absent
    return SeriesLine(
        series=series,
        **{name: today.get(name) for name in ("value_mb", "low_mb", "high_mb", "residual_z")},
        is_outside=today.get("is_outside") if _is_judged(today) else None,
        is_removed=bool(today.get("is_removed")) and _is_judged(today),
        reason=_explain_reason(today.get("reason") or "", why_absent),
        status=status,
        points=tuple(_make_point(row) for row in (*past, *coming)),
    )


def _explain_reason(reason: str, why_absent: str) -> str:
    """Return the reason; a judgement cannot tell a feed that did not come from one that was not used."""
    return why_absent if reason == "missing_feed" and why_absent != "missing_value" else reason


def _is_judged(row: Row) -> bool:
    return all(row.get(name) is not None for name in ("value_mb", "low_mb", "high_mb", "is_outside"))


def _make_point(row: Row) -> RangePoint:
    state: PointState = "unchecked"
    if _is_judged({"value_mb": None, "is_outside": None, **row}):
        state = "removed" if row["is_removed"] else "outside" if row["is_outside"] else "inside"
    return RangePoint(
        day=row["target_day"],
        value_mb=row.get("value_mb"),
        low_mb=row["low_mb"],
        high_mb=row["high_mb"],
        state=state,
    )
