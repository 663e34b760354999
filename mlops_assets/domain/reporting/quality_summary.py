"""The daily and the weekly quality summary: their typed content in the operator's form.

Belongs here: the records, True / False / None for one feed, and filling a day or a week without a gap. Does
not belong here: how they look (quality_summary_page) or judging feeds and values (mlops_assets.domain.quality).

True is an anomaly, False is none, None is a check that was not executed. A check without evidence is None with
its reason: neither a false alarm nor a silent pass.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.anomaly_report import FeedNote, PublicText, SeriesLine
from mlops_assets.domain.reporting.formats import format_share

WEEK_DAYS = 7
_NOT_MADE = "the summary of this day was not made"
_NOT_CHECKED = "this feed was not checked"
_WITHOUT_FINDING = {
    "broken": "the delivery looks broken",
    "held": "the delivery is held",
    "refused": "the delivery was refused",
}


class FeedCell(Record):
    """One feed of one geography and day; `reason` says why it is not False."""

    feed: str
    is_anomaly: bool | None
    reason: PublicText = ""

    @model_validator(mode="after")
    def _none_has_a_reason(self) -> FeedCell:
        if self.is_anomaly is None and not self.reason:
            raise ValueError(f"`{self.feed}` was not executed, but nothing says why")
        return self


class SummaryRow(Record):
    """One geography and day: when it was checked, the day of the files, one cell a feed."""

    exec_date: dt.date
    file_date: dt.date
    geography: str
    cells: tuple[FeedCell, ...]

    @model_validator(mode="after")
    def _checked_after_the_day(self) -> SummaryRow:
        if self.exec_date < self.file_date:
            raise ValueError("`exec_date` is before `file_date`")
        return self

    def find_cell(self, feed: str) -> FeedCell:
        """Return the feed's cell."""
        return next(cell for cell in self.cells if cell.feed == feed)


class FeedTally(Record):
    """Days of one feed and geography by outcome."""

    geography: str
    feed: str
    anomaly_days: Annotated[int, Field(ge=0)]
    normal_days: Annotated[int, Field(ge=0)]
    unexecuted_days: Annotated[int, Field(ge=0)]

    @property
    def anomaly_share(self) -> float | None:
        """Share of the executed days; None if none was executed."""
        executed = self.anomaly_days + self.normal_days
        return self.anomaly_days / executed if executed else None


class HeldFeed(Record):
    """A delivery that waits for a person. `age_days` are days of the data, not of the clock."""

    feed: str
    geography: str
    day: dt.date
    age_days: Annotated[int, Field(ge=0)]
    reason: PublicText
    is_escalated: bool = False


class QualitySummary(Record):
    """Rows of one or several days; each has a cell for every feed, in the order of `feeds`."""

    first_day: dt.date
    last_day: dt.date
    feeds: tuple[str, ...]
    rows: tuple[SummaryRow, ...]
    held: tuple[HeldFeed, ...] = ()

    @model_validator(mode="after")
    def _is_complete(self) -> QualitySummary:
        if self.first_day > self.last_day:
            raise ValueError("`first_day` is after `last_day`")
        for row in self.rows:
            where = f"{row.geography}, {row.file_date}"
            if tuple(cell.feed for cell in row.cells) != self.feeds:
                raise ValueError(f"{where}: not exactly one cell for each of {', '.join(self.feeds)}")
            if not self.first_day <= row.file_date <= self.last_day:
                raise ValueError(f"{where}: not a day of the summary")
        if len({(row.geography, row.file_date) for row in self.rows}) != len(self.rows):
            raise ValueError("a geography has a day twice")
        return self

    @property
    def is_weekly(self) -> bool:
        """Whether it spans several days."""
        return self.first_day < self.last_day

    @property
    def title(self) -> str:
        """Heading, also the entry in the index page."""
        if self.is_weekly:
            return f"Weekly quality summary: {self.first_day.isoformat()} to {self.last_day.isoformat()}"
        return f"Daily quality summary: {self.last_day.isoformat()}"

    @property
    def cells(self) -> list[tuple[SummaryRow, FeedCell]]:
        """Every cell with its row."""
        return [(row, cell) for row in self.rows for cell in row.cells]

    def count(self, *, is_anomaly: bool | None) -> int:
        """Return the number of cells with this outcome."""
        return sum(cell.is_anomaly is is_anomaly for _, cell in self.cells)

    @property
    def tallies(self) -> list[FeedTally]:
        """Outcomes by geography and feed."""
        outcomes: dict[tuple[str, str], list[bool | None]] = {}
        for row, cell in self.cells:
            outcomes.setdefault((row.geography, cell.feed), []).append(cell.is_anomaly)
        return [
            FeedTally(
                geography=geography,
                feed=feed,
                anomaly_days=found.count(True),
                normal_days=found.count(False),
                unexecuted_days=found.count(None),
            )
            for (geography, feed), found in outcomes.items()
        ]


def judge_feed(
    note: FeedNote, lines: Sequence[SeriesLine] | None = None, *, anomaly_share: float = 0.2
) -> FeedCell:
    """Return the cell of a feed from its health and, if a monitor watches it, from its series of the day.

    A delivery at fault is an anomaly. A sound one is an anomaly if a value is so far outside that it is
    removed, or if more than `anomaly_share` of the checked series are outside their published range: of those,
    one in twenty is outside on an ordinary day.

    Args:
        note: the feed's health.
        lines: series made from the feed; None if no monitor watches it, then its health decides.
        anomaly_share: the monitor's threshold (`drift.anomaly_share`).
    """
    if note.status in _WITHOUT_FINDING:
        reason = "; ".join(note.findings) or _WITHOUT_FINDING[note.status]
        return FeedCell(feed=note.feed, is_anomaly=True, reason=reason)
    if note.status == "missing":
        return FeedCell(feed=note.feed, is_anomaly=None, reason="the feed was not delivered")
    checked = [line for line in lines or () if line.is_outside is not None]
    if not checked and (lines is not None or note.status == "unknown"):
        return FeedCell(feed=note.feed, is_anomaly=None, reason="too little history to compare with")
    return _judge_series(note.feed, checked, anomaly_share)


def _judge_series(feed: str, checked: Sequence[SeriesLine], anomaly_share: float) -> FeedCell:
    outside = [line for line in checked if line.is_outside]
    removed = [line for line in checked if line.is_removed]
    share = len(outside) / len(checked) if checked else 0.0
    if removed or share > anomaly_share:
        reason = f"{len(outside)} of {len(checked)} series outside their range ({format_share(share)})"
        return FeedCell(feed=feed, is_anomaly=True, reason=f"{reason}, {len(removed)} removed")
    return FeedCell(feed=feed, is_anomaly=False)


def build_daily_summary(
    cells: Mapping[str, Iterable[FeedCell]],
    *,
    exec_date: dt.date,
    file_date: dt.date,
    feeds: Sequence[str],
    geographies: Sequence[str],
    held: Iterable[HeldFeed] = (),
) -> QualitySummary:
    """Return the summary of a day; a feed without a cell is None, "this feed was not checked".

    Args:
        cells: by geography, what was judged.
        exec_date: day of the execution, as the caller says.
        file_date: day of the files.
        feeds: every configured feed, in the order of the columns.
        geographies: every configured geography, in the order of the rows.
        held: deliveries that wait for a release.

    Raises:
        ValueError: a cell or a geography is not among the configured ones, or a feed was judged twice.
    """
    if unknown := sorted(set(cells) - set(geographies)):
        raise ValueError(f"cells of geographies that are not configured: {', '.join(unknown)}")
    rows = [
        _fill_row(exec_date, file_date, geography, tuple(cells.get(geography, ())), feeds)
        for geography in geographies
    ]
    return QualitySummary(
        first_day=file_date, last_day=file_date, feeds=tuple(feeds), rows=tuple(rows), held=tuple(held)
    )


def _fill_row(
    exec_date: dt.date,
    file_date: dt.date,
    geography: str,
    cells: tuple[FeedCell, ...],
    feeds: Sequence[str],
    why_empty: str = _NOT_CHECKED,
) -> SummaryRow:
    by_feed = {cell.feed: cell for cell in cells}
    if len(by_feed) != len(cells) or set(by_feed) - set(feeds):
        named = ", ".join(cell.feed for cell in cells)
        raise ValueError(
            f"{geography}, {file_date}: cells of {named}; each of {', '.join(feeds)} at most once"
        )
    filled = (by_feed.get(feed, FeedCell(feed=feed, is_anomaly=None, reason=why_empty)) for feed in feeds)
    return SummaryRow(exec_date=exec_date, file_date=file_date, geography=geography, cells=tuple(filled))


def build_weekly_summary(
    dailies: Iterable[QualitySummary],
    *,
    exec_date: dt.date,
    last_day: dt.date,
    feeds: Sequence[str],
    geographies: Sequence[str],
    held: Iterable[HeldFeed] = (),
) -> QualitySummary:
    """Return the summary of the seven days up to `last_day`; a day without a daily summary is None throughout.

    Args:
        dailies: daily summaries; those of other days are ignored.
        exec_date: day of the execution, for the days that have no summary of their own.
        last_day: last day of the week.
        feeds: every configured feed; what a daily summary says of others is left out.
        geographies: every configured geography; likewise.
        held: deliveries that wait for a release now.
    """
    found = {(row.file_date, row.geography): row for daily in dailies for row in daily.rows}
    days = [last_day - dt.timedelta(days=back) for back in reversed(range(WEEK_DAYS))]
    rows = [
        _refill_row(found.get((day, geography)), exec_date, day, geography, feeds)
        for day in days
        for geography in geographies
    ]
    return QualitySummary(
        first_day=days[0], last_day=last_day, feeds=tuple(feeds), rows=tuple(rows), held=tuple(held)
    )


def _refill_row(
    row: SummaryRow | None, exec_date: dt.date, day: dt.date, geography: str, feeds: Sequence[str]
) -> SummaryRow:
    """Return the row in the week's columns: feeds change while weeks pass."""
    if row is None:
        return _fill_row(exec_date, day, geography, (), feeds, _NOT_MADE)
    kept = tuple(cell for cell in row.cells if cell.feed in feeds)
    return _fill_row(row.exec_date, day, geography, kept, feeds)
