"""The daily and the weekly quality summary: their typed content in the operator's form.

Belongs here: the records, filling a day without a gap, and days becoming a week. Does not belong here: how they look
(quality_summary_page) or judging feeds and values (mlops_assets.domain.quality).

True is an anomaly, False is none, None is a check that was not executed. A check without evidence is None with
its reason: neither a false alarm nor a silent pass.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.public_text import PublicText

_NOT_CHECKED = "this feed was not checked"


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
) -> SummaryRow:
    by_feed = {cell.feed: cell for cell in cells}
    if len(by_feed) != len(cells) or set(by_feed) - set(feeds):
        named = ", ".join(cell.feed for cell in cells)
        raise ValueError(
            f"{geography}, {file_date}: cells of {named}; each of {', '.join(feeds)} at most once"
        )
    filled = (by_feed.get(feed, FeedCell(feed=feed, is_anomaly=None, reason=_NOT_CHECKED)) for feed in feeds)
    return SummaryRow(exec_date=exec_date, file_date=file_date, geography=geography, cells=tuple(filled))


def build_weekly_summary(dailies: Sequence[QualitySummary]) -> QualitySummary:
    """Return the summary of some days together, with the deliveries that are held now: those of the last day.

    Args:
        dailies: of different days and the same feeds, in any order.

    Raises:
        ValueError: a day is there twice, or days have different feeds.
    """
    ordered = sorted(dailies, key=lambda daily: daily.last_day)
    return QualitySummary(
        first_day=ordered[0].first_day,
        last_day=ordered[-1].last_day,
        feeds=ordered[-1].feeds,
        rows=tuple(row for daily in ordered for row in daily.rows),
        held=ordered[-1].held,
    )
