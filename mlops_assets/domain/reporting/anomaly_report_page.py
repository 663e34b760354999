"""The anomaly report as a page, as Markdown and as the body of a mail.

Belongs here: how a report is laid out, and what it says in words. Does not belong here: its content
(anomaly_report) or drawing (range_chart).

Its size is bounded whatever the panel: so many anomalies, charts and special series are shown, the rest is
counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mlops_assets.domain.reporting.anomaly_report import (
    AnomalyReport,
    DriftNote,
    FeedNote,
    FeedStatus,
    SeriesLine,
    SubscriberTally,
    rank_lines,
)
from mlops_assets.domain.reporting.formats import (
    ABSENT,
    format_change,
    format_count,
    format_counted,
    format_interval,
    format_number,
    format_share,
)
from mlops_assets.domain.reporting.markdown_blocks import (
    join_blocks,
    make_bullets,
    make_command_bullets,
    make_figure_bullets,
)
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.range_chart import draw_range
from mlops_assets.domain.reporting.report_mail import MailBody, render_mail_body
from mlops_assets.domain.reporting.series_words import ORDINARY, Word, find_word
from mlops_assets.domain.reporting.tables import (
    Code,
    Mark,
    Table,
    Tone,
    escape_markdown,
    make_table,
    to_markdown,
)

SHOWN_ANOMALIES = 50
SHOWN_CHARTS = 12
SHOWN_SPECIAL = 50
SHOWN_REASONS = 20
_FEED_TONES: dict[FeedStatus, Tone] = {
    "healthy": "good", "unknown": "neutral", "missing": "neutral", "held": "bad",
}  # fmt: skip
_FEED_WORDS = {
    "healthy": "As expected.",
    "unknown": "Too little history to judge it; it was let through.",
    "missing": "Not delivered, or refused. What depends on it was not checked.",
    "held": "Held back; nothing was built with it. It waits for a release or a new delivery.",
}
_VERDICTS: dict[str, tuple[str, Tone, str]] = {
    "healthy": ("No drift", "good", "Behaviour is as the models learnt it."),
    "broken_feed": ("Broken feed", "bad", "The data are at fault, not the customers. Nothing is retrained."),
    "one_off_event": ("One-off event", "neutral", "Unusual, but not lasting so far. Nothing is retrained."),
    "behaviour_shift": ("Behaviour shift", "bad", "The customer base has moved."),
    "no_evidence": ("No evidence", "neutral", "Too little could be checked for a verdict."),
}


class ChartBlock(NamedTuple):
    """A chart with what stands above it."""

    series: str
    caption: str
    svg: str


def render_anomaly_html(report: AnomalyReport) -> str:
    """Return the report as one self-contained page."""
    return render_page(
        "anomaly_report.html.j2",
        title=report.title,
        data_day=report.day,
        report=report,
        verdict=make_verdict(report),
        drift=make_drift_mark(report.drift),
        figures=make_key_figures(report),
        tables=make_report_tables(report),
        charts=draw_charts(report),
        coverage=1 - report.published_alpha,
        words=_list_words(report),
        done=list_actions(report),
        commands=list_commands(report),
    )


def render_anomaly_markdown(report: AnomalyReport) -> str:
    """Return the report as Markdown, also the plain text of its mail."""
    return join_blocks(_markdown_blocks(report))


def render_anomaly_mail(report: AnomalyReport) -> str:
    """Return the HTML body of the report's mail: no charts, no style sheet; the page goes with it as a file."""
    drift = [str(make_drift_mark(report.drift)), *report.drift.reasons] if report.drift else []
    body = MailBody(
        title=report.title,
        verdict=make_verdict(report),
        lines=[f"{line.series}: {line.sentence}" for line in report.outside[:SHOWN_ANOMALIES]],
        tables=list(make_report_tables(report).values()),
        notes=[*drift, *list_actions(report)],
        commands=list_commands(report),
    )
    return render_mail_body(body, data_day=report.day)


def make_verdict(report: AnomalyReport) -> Mark:
    """Return the day in a few words; a day without checks is neither good nor bad."""
    if not report.checked:
        return Mark("Not executed: no series could be checked", "neutral")
    if report.outside:
        return Mark(f"{len(report.outside)} of {len(report.checked)} series outside their range", "bad")
    return Mark(f"No anomaly in {format_counted(len(report.checked), 'series', 'series')}", "good")


def make_drift_mark(drift: DriftNote | None) -> Mark:
    """Return the drift verdict in a few words."""
    if drift is None:
        return Mark("No verdict yet", "neutral")
    label, tone, meaning = _VERDICTS[drift.kind]
    due = " Retraining is due." if drift.is_retraining_due else ""
    return Mark(f"{label}. {meaning}{due}", tone)


def make_key_figures(report: AnomalyReport) -> list[tuple[str, str, str]]:
    """Return label, figure and what it is about; a dash where nothing was checked."""
    tally, unchecked = report.subscribers, len(report.series) - len(report.checked)
    sound = sum(feed.status == "healthy" for feed in report.feeds)
    return [
        (
            "Series outside",
            f"{len(report.outside)} of {len(report.checked)}" if report.checked else ABSENT,
            _describe_share(report),
        ),
        (
            "Series removed",
            format_count(len(report.removed)) if report.checked else ABSENT,
            "beyond the wider range" if report.is_snapshot else "no corpus learns from their day",
        ),
        ("Series not checked", format_count(unchecked), "reasons below" if unchecked else "none"),
        (
            "Subscribers outside",
            format_count(sum(tally.outside.values())) if tally else ABSENT,
            _describe_tally(tally) if tally else "not checked",
        ),
        ("Feeds healthy", f"{sound} of {len(report.feeds)}", "only healthy feeds are drift evidence"),
    ]


def make_report_tables(report: AnomalyReport) -> dict[str, Table]:
    """Return every table of the report by name; an empty one has no rows."""
    return {
        "anomalies": _anomalies_table(report),
        "special": _special_table(report),
        "feeds": _feeds_table(report.feeds),
        "subscribers": _subscribers_table(report),
    }


def draw_charts(report: AnomalyReport) -> list[ChartBlock]:
    """Return the charts of the most deviating series with more than one day, at most `SHOWN_CHARTS`."""
    drawn = [line for line in rank_lines(report.series) if _has_course(line)][:SHOWN_CHARTS]
    return [
        ChartBlock(
            line.series,
            describe_line(line),
            draw_range(
                line.points, day=report.day, title=f"Range of {line.series} in MB", name=f"range-{number}"
            ),
        )
        for number, line in enumerate(drawn, start=1)
    ]


def _has_course(line: SeriesLine) -> bool:
    """Return whether there is anything to see: two days with a value, or an anomaly."""
    return bool(line.is_outside and line.points) or sum(p.value_mb is not None for p in line.points) > 1


def describe_line(line: SeriesLine) -> str:
    """Return what a series did, in one line."""
    if line.sentence:
        return line.sentence
    if line.is_outside is None:
        return f"Not checked: {find_word(_special_status(line)).label.lower()}"
    low_to_high = format_interval(line.low_mb, line.high_mb)
    return f"{format_number(line.value_mb)} MB, inside {low_to_high} MB"


def list_actions(report: AnomalyReport) -> list[str]:
    """Return what the platform does about it, one sentence each."""
    if report.is_snapshot:
        return list(_list_snapshot_actions(report))
    actions = []
    if not report.checked:
        actions.append("Nothing was checked, so the day counts neither as an anomaly nor as normal.")
    if report.removed:
        names = _list_names([line.series for line in report.removed])
        actions.append(f"The day of {names} is removed from every corpus, and counted there.")
    if len(report.outside) > len(report.removed):
        rest = len(report.outside) - len(report.removed)
        actions.append(
            f"{format_counted(rest, 'series is', 'series are')} outside the published range but within the wider "
            "one that removes values: kept in the corpora, counted as drift evidence."
        )
    if removed := sum(report.subscribers.removed.values()) if report.subscribers else 0:
        actions.append(
            f"{format_counted(removed, 'subscriber-day is', 'subscriber-days are')} left out likewise."
        )
    if held := [feed.feed for feed in report.feeds if feed.status == "held"]:
        actions.append(f"{_list_names(held)} of this day: not used, and no evidence of drift.")
    if report.drift and report.drift.is_retraining_due:
        actions.append("Retraining of the models of this geography is due.")
    return actions or ["Nothing has to be done."]


def _list_snapshot_actions(report: AnomalyReport) -> Iterator[str]:
    """Yield what follows for a reader: the platform itself acts on daily tables only."""
    if report.removed:
        names = _list_names([line.series for line in report.removed])
        yield f"{names}: beyond the wider range as well, which normal values leave very rarely."
    if report.drift and report.drift.is_retraining_due:
        yield "Behaviour has moved: renew what was learnt from these series."
    yield "Nothing is done by itself: the values are of a snapshot."


def list_commands(report: AnomalyReport) -> list[tuple[str, str]]:
    """Return what a reader may run, and what it does."""
    if report.is_snapshot:
        return [("mlops watch", "judge the days of a newer snapshot")]
    where = f"{report.geography} {report.day.isoformat()}"
    commands = [("mlops feeds list", "the health of every feed, and what is held")]
    for feed in report.feeds:
        if feed.status not in {"healthy", "missing"}:
            commands.append(
                (f"mlops feeds show {feed.feed} {where}", "what was found, and what is suspected")
            )
        if feed.status == "held":
            release = f'mlops feeds release {feed.feed} {where} --by YOUR_NAME --note "WHY IT IS RIGHT"'
            commands.append((release, "use the delivery after all"))
    return commands


def _anomalies_table(report: AnomalyReport) -> Table:
    shown = report.outside[:SHOWN_ANOMALIES]
    rest = len(report.outside) - len(shown)
    more = f", the {len(shown)} most deviating; {format_count(rest)} more are not shown" if rest else ""
    return make_table(
        f"Series outside their range{more}",
        ["Plan", "Low <= value <= high, MB", "#Beyond the range", "Reason", "Removed"],
        [
            (
                line.series,
                Code(line.sentence),
                format_change(line.deviation_share),
                _describe_reason(line),
                Mark("removed", "bad") if line.is_removed else Mark("kept", "neutral"),
            )
            for line in shown
        ],
    )


def _special_table(report: AnomalyReport) -> Table:
    special = report.special
    rest = len(special) - SHOWN_SPECIAL
    more = f"; {format_count(rest)} more are not shown" if rest > 0 else ""
    rows = [
        (line.series, find_word(_special_status(line)).label, _state_mark(line), line.reason or ABSENT)
        for line in special[:SHOWN_SPECIAL]
    ]
    return make_table(f"Series that need a word{more}", ["Plan", "What", "This day", "Note"], rows)


def _feeds_table(feeds: Sequence[FeedNote]) -> Table:
    rows = [
        (
            feed.feed,
            Mark(feed.status, _FEED_TONES[feed.status]),
            "; ".join(feed.findings) or _FEED_WORDS[feed.status],
        )
        for feed in feeds
    ]
    return make_table("Feeds of the day", ["Feed", "Health", "Findings"], rows)


def _subscribers_table(report: AnomalyReport) -> Table:
    tally = report.subscribers
    outside, removed = (tally.outside, tally.removed) if tally else ({}, {})
    reasons = sorted({*outside, *removed}, key=lambda reason: (-outside.get(reason, 0), reason))
    rows = [
        (_find_label(reason), format_count(outside.get(reason, 0)), format_count(removed.get(reason, 0)))
        for reason in reasons[:SHOWN_REASONS]
    ]
    return make_table("Subscribers by reason, counts only", ["Reason", "#Outside", "#Removed"], rows)


def _list_words(report: AnomalyReport) -> list[Word]:
    """Return the words that the report explains, each once, by label."""
    return sorted({find_word(_special_status(line)) for line in report.special})


def _special_status(line: SeriesLine) -> str:
    if line.is_outside is None and line.reason:
        return line.reason
    return "no_range" if line.status in ORDINARY else line.status


def _state_mark(line: SeriesLine) -> Mark:
    if line.is_outside is None:
        return Mark("not checked", "neutral")
    return Mark("outside", "bad") if line.is_outside else Mark("inside", "good")


def _describe_reason(line: SeriesLine) -> str:
    if line.reason:
        return _find_label(line.reason)
    is_above = line.value_mb is not None and line.high_mb is not None and line.value_mb > line.high_mb
    return "above the range" if is_above else "below the range"


def _find_label(reason: str) -> str:
    return find_word(reason).label


def _describe_share(report: AnomalyReport) -> str:
    if report.outside_share is None:
        return "none was checked"
    return f"{format_share(report.outside_share)}; {format_share(report.published_alpha)} are expected"


def _describe_tally(tally: SubscriberTally) -> str:
    unchecked = f"; {format_count(tally.without_range)} have no range" if tally.without_range else ""
    return f"of {format_count(tally.checked)} checked{unchecked}"


def _list_names(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _markdown_blocks(report: AnomalyReport) -> Iterator[str]:
    """Yield the blocks in the order of the page."""
    text = escape_markdown
    yield f"# {text(report.title)}"
    yield f"**{text(str(make_verdict(report)))}**"
    yield make_figure_bullets(make_key_figures(report))
    for name, table in make_report_tables(report).items():
        if table.rows:
            yield f"## {text(table.title)}"
            yield to_markdown(table)
        if name == "special":
            yield "\n".join(f"- {text(word.label)}: {text(word.sentence)}" for word in _list_words(report))
    yield "## Drift"
    yield f"**{text(str(make_drift_mark(report.drift)))}**"
    yield make_bullets(report.drift.reasons if report.drift else ())
    yield "## What is done, and what you may do"
    yield make_bullets(list_actions(report))
    yield make_command_bullets(list_commands(report))
