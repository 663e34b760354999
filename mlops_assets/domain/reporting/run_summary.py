"""What one `mlops run` built and where to look: the record and its pages.

Belongs here: the typed summary, its tables, HTML and Markdown. Does not belong here: collecting the
figures (the command line does) or printing to a terminal (it prints `make_summary_tables`).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.formats import (
    ABSENT,
    format_count,
    format_day,
    format_days,
    format_interval,
    format_name,
    format_number,
)
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import (
    Code,
    Mark,
    Table,
    Tone,
    escape_markdown,
    make_table,
    to_markdown,
)

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0.0)]
_TONES: dict[str, Tone] = {"built": "good", "unchanged": "neutral", "failed": "bad"}


class DayLine(Record):
    """One day of the run. `unchanged`: everything was already there and current."""

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


class RefusedFeed(Record):
    """A delivered or missing file that was refused; nothing of it was published."""

    feed: str
    geography: str
    day: dt.date
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
    low: float | None = None
    high: float | None = None
    note: str = ""


class Place(Record):
    """Where to look next: a path or an address, and what is there."""

    title: str
    location: str
    what: str


class RunSummary(Record):
    """The summary of a run over `first_day` to `last_day`, the data's days."""

    first_day: dt.date
    last_day: dt.date
    environment: str
    days: tuple[DayLine, ...]
    feeds: tuple[FeedLine, ...]
    refused: tuple[RefusedFeed, ...] = ()
    champions: tuple[ChampionLine, ...] = ()
    places: tuple[Place, ...] = ()
    elapsed_seconds: Seconds
    peak_memory_mb: float | None = Field(None, ge=0.0)

    @model_validator(mode="after")
    def _days_in_order(self) -> RunSummary:
        if self.first_day > self.last_day:
            raise ValueError("`first_day` is after `last_day`")
        return self

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


def render_run_summary_markdown(summary: RunSummary) -> str:
    """Return the summary as Markdown."""
    blocks = [f"# {escape_markdown(summary.title)}", f"**{make_verdict(summary)}**"]
    figures = [
        f"- {label}: **{escape_markdown(figure)}** ({escape_markdown(note)})"
        for label, figure, note in make_key_figures(summary)
    ]
    blocks.append("\n".join(figures))
    for table in make_summary_tables(summary).values():
        blocks += [f"## {escape_markdown(table.title)}", to_markdown(table)]
    return "\n\n".join(blocks) + "\n"


def make_verdict(summary: RunSummary) -> Mark:
    """Return how the run went, in a few words."""
    failed = sum(day.outcome == "failed" for day in summary.days)
    if failed:
        return Mark(f"{failed} of {len(summary.days)} days failed", "bad")
    if summary.refused:
        return Mark(f"Complete, {_count_of(len(summary.refused), 'feed file')} refused", "neutral")
    return Mark("Complete", "good")


def make_key_figures(summary: RunSummary) -> list[tuple[str, str, str]]:
    """Return label, figure and what the figure is about."""
    unchanged = sum(day.outcome == "unchanged" for day in summary.days)
    quarantined = sum(line.quarantined_count for line in summary.feeds)
    champions = sum(line.version is not None for line in summary.champions)
    memory = (
        f"peak memory {format_number(summary.peak_memory_mb)} MB" if summary.peak_memory_mb else "wall clock"
    )
    rows = sum(line.row_count for line in summary.feeds)
    return [
        ("Days", format_count(len(summary.days)), f"{unchanged} of them were current already"),
        ("Rows homologated", format_count(rows), f"{format_count(quarantined)} quarantined beside them"),
        (
            "Feed files refused",
            format_count(len(summary.refused)),
            "reasons below" if summary.refused else "none",
        ),
        ("Champions", f"{champions} of {len(summary.champions)}", "slots with a model that passed the gate"),
        ("Time", f"{summary.elapsed_seconds:,.0f} s", memory),
    ]


def make_summary_tables(summary: RunSummary) -> dict[str, Table]:
    """Return the tables by name, for the page, for Markdown and for the terminal; empty ones are left out."""
    tables = {
        "places": _places_table(summary),
        "champions": _champions_table(summary),
        "refused": _refused_table(summary),
        "feeds": _feeds_table(summary),
        "days": _days_table(summary),
    }
    return {name: table for name, table in tables.items() if table.rows}


def _places_table(summary: RunSummary) -> Table:
    rows = [(place.title, Code(place.location), place.what) for place in summary.places]
    return make_table("Where to look", ["What", "Where", "There you find"], rows)


def _champions_table(summary: RunSummary) -> Table:
    return make_table(
        "Champions",
        ["Use case", "Model", "Segment", "Version", "Algorithm", "Metric", "#Holdout", "#Interval", "Note"],
        [
            (
                line.use_case,
                line.model,
                line.segment,
                Mark(line.version, "good") if line.version else Mark("none", "neutral"),
                format_name(line.algorithm) or ABSENT,
                format_name(line.metric),
                format_number(line.value),
                format_interval(line.low, line.high),
                line.note or ABSENT,
            )
            for line in summary.champions
        ],
    )


def _refused_table(summary: RunSummary) -> Table:
    rows = [(line.feed, line.geography, format_day(line.day), line.reason) for line in summary.refused]
    return make_table("Refused feed files", ["Feed", "Geography", "Day", "Reason"], rows)


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
        "Days",
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


def _count_of(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
