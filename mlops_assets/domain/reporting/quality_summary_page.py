"""The quality summaries as a page, the body of a mail, Markdown and CSV.

Belongs here: how a summary is laid out. Does not belong here: its content (quality_summary).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from mlops_assets.domain.reporting.csv_text import write_csv
from mlops_assets.domain.reporting.formats import (
    format_count,
    format_counted,
    format_day,
    format_days,
    format_share,
)
from mlops_assets.domain.reporting.markdown_blocks import join_blocks, make_command_bullets
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.quality_summary import FeedCell, FeedTally, HeldFeed, QualitySummary
from mlops_assets.domain.reporting.report_mail import MailBody, render_mail_body
from mlops_assets.domain.reporting.tables import (
    Mark,
    Table,
    Tone,
    escape_markdown,
    make_table,
    to_markdown,
)

SHOWN_REASONS = 200
_TONES: dict[bool | None, Tone] = {True: "bad", False: "good", None: "neutral"}
LEGEND = (
    "True: an anomaly. False: none. None: not executed, because the feed was missing or has too little history; "
    "neither an alarm nor an all-clear."
)


def render_summary_html(summary: QualitySummary) -> str:
    """Return the summary as one self-contained page."""
    return render_page(
        "quality_summary.html.j2",
        title=summary.title,
        data_day=summary.last_day,
        summary=summary,
        verdict=make_verdict(summary),
        figures=make_key_figures(summary),
        tables=make_summary_tables(summary),
        legend=LEGEND,
        commands=list_commands(summary),
    )


def render_summary_mail(summary: QualitySummary) -> str:
    """Return the HTML body of the summary's mail."""
    body = MailBody(
        title=summary.title,
        verdict=make_verdict(summary),
        tables=list(make_summary_tables(summary).values()),
        notes=[LEGEND],
        commands=list_commands(summary),
    )
    return render_mail_body(body, data_day=summary.last_day)


def render_summary_markdown(summary: QualitySummary) -> str:
    """Return the summary as Markdown, also the plain text of its mail."""
    return join_blocks(_markdown_blocks(summary))


def render_summary_csv(summary: QualitySummary) -> str:
    """Return the operator's form: Exec_Date, File_Date, Geography, and True, False or None for each feed."""
    return write_csv(
        ["Exec_Date", "File_Date", "Geography", *summary.feeds],
        (
            [
                format_day(row.exec_date),
                format_day(row.file_date),
                row.geography,
                *(str(cell.is_anomaly) for cell in row.cells),
            ]
            for row in summary.rows
        ),
    )


def make_verdict(summary: QualitySummary) -> Mark:
    """Return the outcome in a few words; without a single executed check it is neither good nor bad."""
    anomalies, passed = summary.count(is_anomaly=True), summary.count(is_anomaly=False)
    unexecuted = summary.count(is_anomaly=None)
    rest = f", {format_count(unexecuted)} not executed" if unexecuted else ""
    if anomalies:
        found = format_counted(anomalies, "anomaly", "anomalies")
        return Mark(f"{found} in {format_count(anomalies + passed)} checks{rest}", "bad")
    if not passed:
        return Mark("Not executed: no check could be made", "neutral")
    return Mark(f"No anomaly in {format_count(passed)} checks{rest}", "neutral" if unexecuted else "good")


def make_key_figures(summary: QualitySummary) -> list[tuple[str, str, str]]:
    """Return label, figure and what it is about."""
    anomalies, passed = summary.count(is_anomaly=True), summary.count(is_anomaly=False)
    executed = anomalies + passed
    share = anomalies / executed if executed else None
    escalated = sum(one.is_escalated for one in summary.held)
    return [
        ("Anomalies", format_count(anomalies), f"{format_share(share)} of the executed checks"),
        ("Checks executed", f"{executed:,} of {len(summary.cells):,}", "a feed, geography and day each"),
        (
            "Not executed",
            format_count(summary.count(is_anomaly=None)),
            "reasons below" if summary.rows else "",
        ),
        ("Held deliveries", format_count(len(summary.held)), f"{escalated} of them escalated"),
    ]


def make_summary_tables(summary: QualitySummary) -> dict[str, Table]:
    """Return the tables by name; those without rows are left out, but for the summary itself."""
    tables = {
        "held": _held_table(summary),
        "tallies": _tallies_table(summary.tallies if summary.is_weekly else []),
        "summary": _days_table(summary),
        "reasons": _reasons_table(summary),
    }
    return {name: table for name, table in tables.items() if table.rows or name == "summary"}


def list_commands(summary: QualitySummary) -> list[tuple[str, str]]:
    """Return what a reader may run, and what it does."""
    commands = [("mlops feeds list", "the health of every feed, and what is held")]
    if summary.held:
        commands += [
            ("mlops feeds show FEED GEOGRAPHY DAY", "what was found, and what is suspected"),
            (
                'mlops feeds release FEED GEOGRAPHY DAY --by YOUR_NAME --note "WHY IT IS RIGHT"',
                "use a held delivery after all",
            ),
        ]
    return commands


def _days_table(summary: QualitySummary) -> Table:
    """Return the rows of each geography together, in the order in which the geographies come."""
    order = list(dict.fromkeys(row.geography for row in summary.rows))
    rows = sorted(summary.rows, key=lambda row: (order.index(row.geography), row.file_date))
    return make_table(
        "Days and feeds" if summary.is_weekly else "Feeds of the day",
        ["Geography", "Exec_Date", "File_Date", *summary.feeds],
        [
            (
                row.geography,
                format_day(row.exec_date),
                format_day(row.file_date),
                *(_show_state(cell) for cell in row.cells),
            )
            for row in rows
        ],
    )


def _tallies_table(tallies: list[FeedTally]) -> Table:
    return make_table(
        "Days by outcome",
        ["Geography", "Feed", "#True", "#False", "#None", "#Share of executed"],
        [
            (
                one.geography,
                one.feed,
                format_count(one.anomaly_days),
                format_count(one.normal_days),
                format_count(one.unexecuted_days),
                format_share(one.anomaly_share),
            )
            for one in tallies
        ],
    )


def _reasons_table(summary: QualitySummary) -> Table:
    """Return why cells are not False, anomalies first; the same reason on several days is one row."""
    days: dict[tuple[str, str, str], tuple[FeedCell, list[dt.date]]] = {}
    for row, cell in sorted(summary.cells, key=lambda pair: pair[1].is_anomaly is None):
        if cell.is_anomaly is not False:
            key = (cell.feed, row.geography, cell.reason)
            days.setdefault(key, (cell, []))[1].append(row.file_date)
    rest = len(days) - SHOWN_REASONS
    return make_table(
        f"Reasons; {rest:,} more are not shown" if rest > 0 else "Reasons",
        ["Feed", "Geography", "State", "#Days", "File_Date", "Reason"],
        [
            (feed, geography, _show_state(cell), format_count(len(on)), format_days(min(on), max(on)), reason)
            for (feed, geography, reason), (cell, on) in list(days.items())[:SHOWN_REASONS]
        ],
    )


def _held_table(summary: QualitySummary) -> Table:
    oldest_first = sorted(summary.held, key=lambda one: (-one.age_days, one.feed, one.geography))
    rows = [
        (
            one.feed,
            one.geography,
            format_day(one.day),
            format_count(one.age_days),
            _show_escalation(one),
            one.reason,
        )
        for one in oldest_first[:SHOWN_REASONS]
    ]
    rest = len(oldest_first) - len(rows)
    return make_table(
        f"Held deliveries; {rest:,} more are not shown" if rest else "Held deliveries",
        ["Feed", "Geography", "Day", "#Age, days", "State", "Reason"],
        rows,
    )


def _show_state(cell: FeedCell) -> Mark:
    return Mark(str(cell.is_anomaly), _TONES[cell.is_anomaly])


def _show_escalation(held: HeldFeed) -> Mark:
    return Mark("escalated", "bad") if held.is_escalated else Mark("waiting", "neutral")


def _markdown_blocks(summary: QualitySummary) -> Iterator[str]:
    """Yield the blocks in the order of the page."""
    yield f"# {escape_markdown(summary.title)}"
    yield f"**{make_verdict(summary)}**"
    for table in make_summary_tables(summary).values():
        yield f"## {escape_markdown(table.title)}"
        yield to_markdown(table)
    yield LEGEND
    yield make_command_bullets(list_commands(summary))
