"""The report on a fleet as a page, as Markdown and as CSV.

Belongs here: how it is laid out. Does not belong here: its content (fleet_report).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlops_assets.domain.reporting.charts import draw_amounts, draw_intervals, draw_shares_by_day
from mlops_assets.domain.reporting.csv_text import write_csv
from mlops_assets.domain.reporting.fleet_report import (
    FleetReport,
    GainLine,
    GroupLine,
    LiveLine,
    TrainingLine,
)
from mlops_assets.domain.reporting.formats import (
    format_count,
    format_counted,
    format_day,
    format_interval,
    format_name,
    format_number,
    format_share,
)
from mlops_assets.domain.reporting.markdown_blocks import join_blocks, make_bullets
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import (
    Cell,
    Column,
    Mark,
    Table,
    escape_markdown,
    make_table,
    to_markdown,
)

_CHARTED_GROUPS, _CHARTED_DAYS, _LISTED_DAYS = 16, 8, 14
_SHOWN_FAULTS, _MARKDOWN_GROUPS = 100, 50
_SERVED = {
    "own": Mark("own model", "good"),
    "pooled": Mark("pooled model", "neutral"),
    "nobody": Mark("nobody", "bad"),
}
_GROUP_HEADINGS = (
    *("Group", "#Devices", "Served by", "#Version", "Algorithm", "#Age, days", "#Metric", "#Pooled"),
    *("#Trend", "#Gain", "#Its interval", "#Events", "#Alerts", "#Precision", "#Recall", "Drift", "#CPU, s"),
    *("Newest training", "Why"),
)
NOTES = {
    "gains": "Positive is better. Intervals (95 %) are over groups; below five groups there is none.",
    "live": (
        "Predictions of a day beside what happened within its horizon, counted when all of it is in. Precision: of "
        "the alerts, and of the likeliest devices up to the team's capacity. Recall: events of devices above the "
        "threshold, and of those that were alerts. Without an event or alert there is a dash, which is not zero."
    ),
    "trainings": "CPU of fitting and judging all groups, as recorded by each; the pooled model is not in it.",
    "faults": "Every other group goes on; a group without a working model is served by the pooled one.",
    "groups": (
        "Metric: of who serves, on the newest holdout; gain: of the newest candidate over the pooled model there. "
        "Trend: the candidate beside that of the training before, each on its own holdout. Events, alerts, precision "
        "and recall: the recent matched days. Drift: fallen if fewer devices with an event are caught than before, "
        "beyond chance."
    ),
}


@dataclass(frozen=True)
class SortableCell:
    """A cell and by what it is sorted: a number, a text, or nothing (last in either order)."""

    text: Cell
    value: str


def render_fleet_html(report: FleetReport) -> str:
    """Return the report as one self-contained page, whose table of groups sorts, filters and turns pages."""
    return render_page(
        "fleet_report.html.j2",
        title=report.title,
        data_day=report.data_day,
        report=report,
        verdict=make_verdict(report),
        sentences=make_sentences(report),
        figures=make_key_figures(report),
        tables=make_fleet_tables(report),
        notes=NOTES,
        charts=_draw(report),
        group_columns=[Column(one.removeprefix("#"), one.startswith("#")) for one in _GROUP_HEADINGS],
        group_rows=[_group_cells(one) for one in _ordered(report)],
    )


def render_fleet_markdown(report: FleetReport) -> str:
    """Return the report as Markdown; of many groups the first ones only."""
    return join_blocks(_markdown_blocks(report))


def render_fleet_csv(report: FleetReport) -> str:
    """Return a line for each group; empty cells where nothing is known."""
    names = list(GroupLine.model_fields)
    return write_csv(names, [[getattr(one, name) for name in names] for one in report.groups])


def make_verdict(report: FleetReport) -> Mark:
    """Return the state of the fleet in a few words."""
    unserved, fallen = report.count("nobody"), len(report.fallen)
    failed = sum(one.outcome == "failed" for one in report.groups)
    found = [
        (unserved, "served by nobody"),
        (fallen, "catching fewer events than before"),
        (failed, "failed to train"),
    ]
    if bad := [f"{format_counted(count, 'group')} {what}" for count, what in found if count]:
        return Mark("; ".join(bad), "bad")
    return Mark(f"All {format_counted(len(report.groups), 'group')} are served", "good")


def make_sentences(report: FleetReport) -> list[str]:
    """Return coverage, why groups share the pooled model, cost growth, what is missing, in sentences."""
    sentences = [_describe_coverage(report)]
    if report.caveat:
        sentences.append(f"{report.caveat[:1].upper()}{report.caveat[1:]}.")
    if report.without_own:
        named = ", ".join(
            f"{format_count(count)} {name.replace('_', ' ')}" for name, count in report.without_own
        )
        sentences.append(f"Without a model of their own: {named}.")
    if report.fallen:
        sentences.append(f"Recall has fallen beyond chance: {', '.join(report.fallen[:20])}.")
    if report.growth:
        devices, cpu = report.growth
        sentences.append(
            f"With {format_number(devices)} times the devices a training took {format_number(cpu)} times the CPU, "
            f"{format_number(cpu / devices)} times what growing in step would be."
        )
    if report.missing:
        sentences.append(f"Days that cannot be matched yet wait for {', '.join(report.missing)}.")
    return sentences


def _describe_coverage(report: FleetReport) -> str:
    own, pooled, nobody = (report.count(one) for one in ("own", "pooled", "nobody"))
    text = (
        f"{format_counted(own, 'group')} served by a model of their own, {format_count(pooled)} by the pooled model"
        f"{f' (version {report.pooled_version})' if report.pooled_version else ''}, {format_count(nobody)} by nobody"
    )
    if report.scored_day is None:
        return f"{text}; no day has been scored yet."
    return (
        f"{text}; of the devices scored on {format_day(report.scored_day)}, {format_count(report.devices('own'))}, "
        f"{format_count(report.devices('pooled'))} and {format_count(report.devices('nobody'))}."
    )


def make_key_figures(report: FleetReport) -> list[tuple[str, str, str]]:
    """Return label, figure and what it is about."""
    figures = [
        ("Own models", f"{report.count('own')} of {len(report.groups)}", "groups that beat the pooled model")
    ]
    figures += [
        (f"Gain, {format_name(report.metric)}" if "live" not in one.against else "Gain, live log loss",
         format_number(one.gain, is_signed=True), f"over {one.against}")
        for one in report.gains
    ]  # fmt: skip
    if (live := report.live_total) is not None:
        figures += [
            (
                "Precision of alerts",
                format_share(live.precision),
                f"{format_count(live.alerts)} recent alerts",
            ),
            ("Recall", format_share(live.recall), f"of {format_count(live.events)} recent events"),
        ]
    if report.trainings:
        newest = report.trainings[-1]
        figures.append(("Newest training", f"{format_number(newest.cpu_seconds)} s", "CPU, all groups"))
    return figures


def make_fleet_tables(report: FleetReport) -> dict[str, Table]:
    """Return the tables by name but that of groups; those without rows are left out."""
    tables = {
        "gains": make_table(
            "What best fit gained",
            ["Over", "#Gain", "#Its interval", "#Groups", "#Rows", "What is compared"],
            [_gain_row(one) for one in report.gains],
        ),
        "live": make_table(
            "Live, by day of prediction",
            [
                "Day",
                "#Devices",
                "#Events",
                "#Expected",
                "#Alerts",
                "#Precision",
                "#At capacity",
                "#Recall",
                "#Of alerts",
            ],
            [
                *(_live_row(format_day(one.day), one) for one in report.live[-_LISTED_DAYS:]),
                *_live_total(report),
            ],
            has_total=report.live_total is not None,
        ),
        "trainings": make_table(
            "Cost of trainings",
            ["Data up to", "#Groups", "#Devices", "#Training rows", "#CPU, s", "#CPU, ms a device"],
            [_training_row(one) for one in report.trainings],
        ),
        "faults": make_table(
            "What failed",
            ["Group", "What", "Error"],
            [(one.group, one.what, one.error) for one in report.faults[:_SHOWN_FAULTS]],
        ),
    }
    return {name: table for name, table in tables.items() if table.rows}


def _gain_row(one: GainLine) -> tuple[str, ...]:
    figures = (format_number(one.gain, is_signed=True), format_interval(one.low, one.high))
    return (one.against, *figures, format_count(one.groups), format_count(one.rows), one.note)


def _live_row(name: str, one: LiveLine) -> tuple[str, ...]:
    counts = (format_count(one.observed), format_count(one.events), format_number(one.expected_events))
    shares = (one.precision, one.capacity_precision, one.recall, one.alert_recall)
    return (name, *counts, format_count(one.alerts), *map(format_share, shares))


def _live_total(report: FleetReport) -> Iterator[tuple[str, ...]]:
    if report.live_total is not None:
        yield _live_row("Recent days", report.live_total)


def _training_row(one: TrainingLine) -> tuple[str, ...]:
    each = 1000 * one.cpu_seconds / one.devices if one.devices else None
    counts = (format_count(one.groups), format_count(one.devices), format_count(one.train_rows))
    return (format_day(one.day), *counts, format_number(one.cpu_seconds), format_number(each))


def _ordered(report: FleetReport) -> list[GroupLine]:
    """Return the groups that need somebody first, then by devices."""

    def urgency(one: GroupLine) -> tuple[bool, bool, bool, int, str]:
        return (
            one.served != "nobody",
            one.outcome != "failed",
            one.drift != "fallen",
            -(one.devices or 0),
            one.group,
        )

    return sorted(report.groups, key=urgency)


def _group_cells(one: GroupLine) -> list[SortableCell]:
    interval = format_interval(one.gain_low, one.gain_high)
    drift: Cell = Mark("fallen", "bad") if one.drift == "fallen" else one.drift
    return [
        SortableCell(one.group, one.group),
        _sort_by(format_count(one.devices), one.devices),
        SortableCell(_SERVED[one.served], one.served),
        _sort_by(one.version, int(one.version) if one.version.isdigit() else None),
        SortableCell(one.algorithm.replace("_", " "), one.algorithm),
        _sort_by(format_count(one.age_days), one.age_days),
        _sort_by(format_number(one.metric), one.metric),
        _sort_by(format_number(one.pooled_metric), one.pooled_metric),
        _sort_by(format_number(one.trend, is_signed=True), one.trend),
        _sort_by(format_number(one.gain, is_signed=True), one.gain),
        _sort_by(interval, one.gain_low),
        _sort_by(format_count(one.events), one.events),
        _sort_by(format_count(one.alerts), one.alerts),
        _sort_by(format_share(one.precision), one.precision),
        _sort_by(format_share(one.recall), one.recall),
        SortableCell(drift, one.drift),
        _sort_by(format_number(one.cpu_seconds), one.cpu_seconds),
        SortableCell(one.outcome.replace("_", " "), one.outcome),
        SortableCell(one.detail, one.detail[:40]),
    ]  # fmt: skip


def _sort_by(text: Cell, value: float | None) -> SortableCell:
    return SortableCell(text, "" if value is None else repr(value))


def _draw(report: FleetReport) -> dict[str, list[tuple[str, str]]]:
    """Return captions and drawings by the table that they belong to."""
    charts: dict[str, list[tuple[str, str]]] = {}
    shown = _charted(report.groups)
    if shown:
        title = "Gain over the pooled model by group"
        drawn = draw_intervals(shown, title=title, unit=f"{format_name(report.metric)}, positive is better")
        charts["gains"] = [
            ("Gain over the pooled model: the groups with the largest and the smallest.", drawn)
        ]
    if days := report.live[-_CHARTED_DAYS:]:
        recall = [(format_day(one.day), one.recall) for one in days]
        precision = [(format_day(one.day), one.precision) for one in days]
        charts["live"] = [
            ("Recall above the threshold by day.", draw_shares_by_day(recall, title="Recall", name="recall")),
            (
                "Precision of alerts by day.",
                draw_shares_by_day(precision, title="Precision", name="precision"),
            ),
        ]
    if len(report.trainings) > 1:
        costs = [
            (f"{format_day(one.day)}, {format_count(one.devices)} devices", one.cpu_seconds)
            for one in report.trainings
        ]
        charts["trainings"] = [("CPU by training.", draw_amounts(costs, unit="s", title="CPU", name="cpu"))]
    return charts


def _charted(groups: Sequence[GroupLine]) -> list[tuple[str, float, float | None, float | None]]:
    known = sorted(
        ((one.group, one.gain, one.gain_low, one.gain_high) for one in groups if one.gain is not None),
        key=lambda figure: -figure[1],
    )
    half = _CHARTED_GROUPS // 2
    return known if len(known) <= _CHARTED_GROUPS else [*known[:half], *known[-half:]]


def _markdown_blocks(report: FleetReport) -> Iterator[str]:
    yield f"# {escape_markdown(report.title)}"
    yield f"**{escape_markdown(str(make_verdict(report)))}**"
    yield make_bullets(make_sentences(report))
    for name, table in make_fleet_tables(report).items():
        yield f"## {escape_markdown(table.title)}"
        yield to_markdown(table)
        yield NOTES.get(name, "")
    lines = _ordered(report)
    more = len(lines) - _MARKDOWN_GROUPS
    title = f"Groups; {format_count(more)} more are on the page" if more > 0 else "Groups"
    yield f"## {escape_markdown(title)}"
    yield to_markdown(
        make_table(
            title,
            _GROUP_HEADINGS,
            [[cell.text for cell in _group_cells(one)] for one in lines[:_MARKDOWN_GROUPS]],
        )
    )
