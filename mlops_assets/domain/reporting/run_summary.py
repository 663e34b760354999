"""What a run of days built and where to look: the record and its page.

Belongs here: the typed summary, its tables and page. Does not belong here: collecting the
figures (the command line does) or printing to a terminal (it prints `make_summary_tables`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.formats import (
    ABSENT,
    format_count,
    format_counted,
    format_day,
    format_days,
    format_name,
    format_number,
)
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import (
    Code,
    Link,
    Mark,
    Table,
    Tone,
    make_table,
)

FileState = Literal["missing", "late", "held", "refused"]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0.0)]
_FILE_TONES: dict[FileState, Tone] = {
    "missing": "bad",
    "late": "neutral",
    "held": "bad",
    "refused": "bad",
}
_TONES: dict[str, Tone] = {"built": "good", "unchanged": "neutral", "failed": "bad"}


class DayLine(Record):
    """One run of a day; a day may be run several times. `unchanged`: everything was already there and current."""

    day: dt.date
    outcome: Literal["built", "unchanged", "failed"]
    row_count: Count
    seconds: Seconds
    note: str = ""


class FeedLine(Record):
    """One feed of one geography over the days of the run."""

    feed: str
    geography: str
    day_count: Count
    row_count: Count
    quarantined_count: Count = 0


class FaultyFile(Record):
    """A feed file that its day's run could not use.

    `missing` has not come, `late` came after its day's run and was used by a later one, `held` looks broken and waits
    for a release, `refused` does not keep its contract.
    """

    feed: str
    geography: str
    day: dt.date
    state: FileState
    reason: str


class ChampionLine(Record):
    """The champion of one slot after the run; `version` is None while nothing has passed the gate."""

    use_case: str
    model: str
    segment: str
    version: str | None = None
    algorithm: str = ""
    metric: str
    value: float | None = None
    note: str = ""


class Place(Record):
    """Where to look next: a path or an address, and what is there."""

    title: str
    location: str
    what: str


class StoryLine(Record):
    """A chapter of a demo as the stores tell it; `where` is a report's path, or a command if it is none."""

    chapter: str
    day: dt.date
    is_held: bool
    what: str
    where: str
    is_report: bool


class RunSummary(Record):
    """The summary of a run over `first_day` to `last_day`, the data's days."""

    first_day: dt.date
    last_day: dt.date
    environment: str
    days: tuple[DayLine, ...]
    feeds: tuple[FeedLine, ...]
    faulty_files: tuple[FaultyFile, ...] = ()
    champions: tuple[ChampionLine, ...] = ()
    places: tuple[Place, ...] = ()
    story: tuple[StoryLine, ...] = ()
    elapsed_seconds: Seconds
    peak_memory_mb: float | None = Field(None, ge=0.0)

    @model_validator(mode="after")
    def _days_in_order(self) -> RunSummary:
        if self.first_day > self.last_day:
            raise ValueError("`first_day` is after `last_day`")
        return self

    @property
    def last_outcomes(self) -> dict[dt.date, str]:
        """How each day was left by the last of its runs."""
        return {line.day: line.outcome for line in self.days}

    @property
    def title(self) -> str:
        """Heading, also the entry in the index page."""
        return f"Run summary: {format_days(self.first_day, self.last_day)}"


def render_run_summary_html(summary: RunSummary) -> str:
    """Return the summary as one self-contained page."""
    return render_page(
        "run_summary.html.j2",
        title=summary.title,
        data_day=summary.last_day,
        summary=summary,
        verdict=make_verdict(summary),
        figures=make_key_figures(summary),
        tables=make_summary_tables(summary),
    )


def make_verdict(summary: RunSummary) -> Mark:
    """Return how the run went, in a few words."""
    outcomes = summary.last_outcomes
    failed = list(outcomes.values()).count("failed")
    if failed:
        return Mark(f"{failed} of {format_counted(len(outcomes), 'day')} failed", "bad")
    if summary.faulty_files:
        return Mark(f"Complete; feed files: {_count_states(summary.faulty_files)}", "neutral")
    return Mark("Complete", "good")


def make_key_figures(summary: RunSummary) -> list[tuple[str, str, str]]:
    """Return label, figure and what the figure is about."""
    outcomes = summary.last_outcomes
    unchanged = list(outcomes.values()).count("unchanged")
    reruns = len(summary.days) - len(outcomes)
    again = f"; {format_counted(reruns, 'run')} more for days that were built again" if reruns else ""
    quarantined = sum(line.quarantined_count for line in summary.feeds)
    champions = sum(line.version is not None for line in summary.champions)
    memory = (
        f"peak memory {format_number(summary.peak_memory_mb)} MB" if summary.peak_memory_mb else "wall clock"
    )
    rows = sum(line.row_count for line in summary.feeds)
    return [
        ("Days", format_count(len(outcomes)), f"{unchanged} of them were current already{again}"),
        ("Rows homologated", format_count(rows), f"{format_count(quarantined)} quarantined beside them"),
        (
            "Feed files at fault",
            format_count(len(summary.faulty_files)),
            _count_states(summary.faulty_files) or "none",
        ),
        ("Champions", f"{champions} of {len(summary.champions)}", "slots with a model that passed the gate"),
        ("Time", f"{summary.elapsed_seconds:,.0f} s", memory),
    ]


def make_summary_tables(summary: RunSummary) -> dict[str, Table]:
    """Return the tables by name, for the page and for the terminal; empty ones are left out."""
    tables = {
        "story": _story_table(summary),
        "places": _places_table(summary),
        "champions": _champions_table(summary),
        "faulty_files": _faulty_files_table(summary),
        "feeds": _feeds_table(summary),
        "days": _days_table(summary),
    }
    return {name: table for name, table in tables.items() if table.rows}


def _story_table(summary: RunSummary) -> Table:
    return make_table(
        "What happened",
        ["Chapter", "Day", "Came true", "What the platform did", "Where to read it"],
        [
            (
                line.chapter,
                format_day(line.day),
                Mark("yes", "good") if line.is_held else Mark("no", "bad"),
                line.what,
                Link(line.where, f"../{line.where}") if line.is_report else Code(line.where),
            )
            for line in summary.story
        ],
    )


def _places_table(summary: RunSummary) -> Table:
    rows = [(place.title, Code(place.location), place.what) for place in summary.places]
    return make_table("Where to look", ["What", "Where", "There you find"], rows)


def _champions_table(summary: RunSummary) -> Table:
    return make_table(
        "Champions",
        ["Use case", "Model", "Segment", "Version", "Algorithm", "Metric", "#Holdout", "Note"],
        [
            (
                line.use_case,
                line.model,
                line.segment,
                Mark(line.version, "good") if line.version else Mark("none", "neutral"),
                format_name(line.algorithm) or ABSENT,
                format_name(line.metric),
                format_number(line.value),
                line.note or ABSENT,
            )
            for line in summary.champions
        ],
    )


def _faulty_files_table(summary: RunSummary) -> Table:
    rows = [
        (one.feed, one.geography, format_day(one.day), Mark(one.state, _FILE_TONES[one.state]), one.reason)
        for one in summary.faulty_files
    ]
    return make_table("Feed files at fault", ["Feed", "Geography", "Day", "State", "Reason"], rows)


def _count_states(files: Sequence[FaultyFile]) -> str:
    """Return the files by state in words, such as `1 missing, 2 late`."""
    states = [one.state for one in files]
    return ", ".join(f"{states.count(state)} {state}" for state in _FILE_TONES if state in states)


def _feeds_table(summary: RunSummary) -> Table:
    return make_table(
        "Feeds",
        ["Feed", "Geography", "#Days", "#Rows", "#Quarantined"],
        [
            (
                line.feed,
                line.geography,
                format_count(line.day_count),
                format_count(line.row_count),
                format_count(line.quarantined_count),
            )
            for line in summary.feeds
        ],
    )


def _days_table(summary: RunSummary) -> Table:
    return make_table(
        "Days, in the order of their runs",
        ["Day", "Outcome", "#Rows", "#Seconds", "Note"],
        [
            (
                format_day(line.day),
                Mark(line.outcome, _TONES[line.outcome]),
                format_count(line.row_count),
                f"{line.seconds:.1f}",
                line.note or ABSENT,
            )
            for line in summary.days
        ],
    )
