"""The retraining report as a page, as Markdown and as a mail.

Belongs here: how it is laid out. Does not belong here: its content (retraining_report).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlops_assets.domain.reporting.charts import draw_importance_change
from mlops_assets.domain.reporting.decision_words import describe_outcome, list_commands, make_check_table
from mlops_assets.domain.reporting.formats import (
    ABSENT,
    format_count,
    format_days,
    format_interval,
    format_name,
    format_number,
    format_share,
)
from mlops_assets.domain.reporting.mail import MailMessage
from mlops_assets.domain.reporting.markdown_blocks import (
    join_blocks,
    make_bullets,
    make_command_bullets,
    make_figure_bullets,
)
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.report_mail import MailBody, render_mail_body
from mlops_assets.domain.reporting.retraining_report import (
    FeatureMove,
    Measured,
    MetricComparison,
    MovedData,
    RetrainingReport,
)
from mlops_assets.domain.reporting.tables import Mark, Table, escape_markdown, make_table, to_markdown

_CHART_FEATURES = 12


def render_retraining_html(report: RetrainingReport) -> str:
    """Return the report as one self-contained page."""
    shown = report.features[:_CHART_FEATURES]
    chart = ""
    if report.champion_version and shown:
        moves = [(one.name, one.before or 0.0, one.after or 0.0) for one in shown]
        chart = draw_importance_change(moves, title="Importance before and after, share of the total")
    return render_page(
        "retraining_report.html.j2",
        title=report.title,
        data_day=report.data_day,
        report=report,
        verdict=make_verdict(report),
        figures=make_key_figures(report),
        tables=make_tables(report),
        sentences=describe_features(report),
        chart=chart,
    )


def render_retraining_markdown(report: RetrainingReport) -> str:
    """Return the report as Markdown, also the plain text of its mail."""
    return join_blocks(_markdown_blocks(report))


def make_retraining_message(report: RetrainingReport, recipients: Sequence[str]) -> MailMessage:
    """Return the report's mail; one decision has one mail, however often its run is repeated."""
    body = MailBody(
        title=report.title,
        verdict=make_verdict(report),
        lines=[report.reason, *report.decision.reasons],
        tables=[table for name, table in make_tables(report).items() if name != "features"],
        notes=[*describe_features(report), *(report.shift.reasons if report.shift else ())],
        commands=list(_list_commands(report)),
    )
    data_day = report.data_day or report.decision.decided_at_utc.date()
    return MailMessage(
        report=f"retraining/{report.use_case}/{report.model}",
        partition=f"{report.segment}/{report.decision.decision_id[:16]}",
        subject=report.title,
        html=render_mail_body(body, data_day=data_day),
        text=render_retraining_markdown(report),
        recipients=tuple(recipients),
    )


def _list_commands(report: RetrainingReport) -> Iterator[tuple[str, str]]:
    slot = (report.use_case, report.model, report.segment)
    return list_commands(*slot, report.decision, report.champion_version)


def make_verdict(report: RetrainingReport) -> Mark:
    """Return the outcome in a few words."""
    return describe_outcome(report.decision)


def make_key_figures(report: RetrainingReport) -> list[tuple[str, str, str]]:
    """Return label, figure and what it is about."""
    against = f"version {report.champion_version}" if report.champion_version else "a constant prediction"
    interval = format_interval(report.gain_low, report.gain_high)
    figures = [
        (
            f"Gain in {format_name(report.metric)}",
            format_number(report.gain, is_signed=True),
            f"over {against}, 95 % interval {interval}",
        ),
        ("Holdout rows", format_count(report.holdout_rows), _describe_holdout(report)),
    ]
    if report.business is not None:
        before = report.champion_business
        note = report.business_unit + ("" if before is None else f"; champion {format_number(before)}")
        figures.append((format_name(report.business_name), format_number(report.business), note))
    if report.champion_version:
        changed = len(report.new_features) + len(report.lost_features)
        figures.append(
            ("Features that changed rank", format_count(changed), "became or ceased to be important")
        )
    return figures


def _describe_holdout(report: RetrainingReport) -> str:
    days = format_days(report.holdout_first_day, report.holdout_last_day)
    return "neither model has seen them" + ("" if days == ABSENT else f"; as of {days}")


def describe_features(report: RetrainingReport) -> list[str]:
    """Return what became of the features, in sentences; nothing without a champion to compare with."""
    if not report.champion_version:
        return []
    new, lost = report.new_features, report.lost_features
    return [
        f"New features due to drift: {_list_moves(new)}." if new else "No feature became newly important.",
        f"Features no longer important: {_list_moves(lost)}." if lost else "No feature lost its importance.",
    ]


def _list_moves(moves: Sequence[FeatureMove]) -> str:
    return ", ".join(
        f"{one.name} ({format_share(one.before)} before, {format_share(one.after)} now)" for one in moves
    )


def make_tables(report: RetrainingReport) -> dict[str, Table]:
    """Return every table by name."""
    return {
        "metrics": make_table(
            "Champion and challenger on the same holdout",
            [
                "Metric",
                "#Champion",
                "#Its 95 % interval",
                "#Challenger",
                "#Its interval",
                "#Gain",
                "Better is",
            ],
            [_metric_row(one) for one in report.metrics],
        ),
        "moved": make_table(
            "Data that moved in the last four weeks",
            ["Table", "Feature", "#Days", "#Largest distance", "#Threshold then"],
            [_moved_row(one) for one in report.moved],
        ),
        "checks": make_check_table(report.decision),
        "features": make_table(
            "Importance of every feature",
            ["Feature", "#Before", "#After", "What changed", "Meaning"],
            [_feature_row(one) for one in report.features],
        ),
    }


def _metric_row(one: MetricComparison) -> tuple[str, ...]:
    def interval(measured: Measured | None) -> str:
        return format_interval(measured.low, measured.high) if measured else ABSENT

    return (
        format_name(one.name),
        format_number(one.champion.value if one.champion else None),
        interval(one.champion),
        format_number(one.challenger.value),
        interval(one.challenger),
        format_number(one.gain, is_signed=True),
        "higher" if one.is_higher_better else "lower",
    )


def _moved_row(one: MovedData) -> tuple[str, ...]:
    return (
        one.table,
        one.feature,
        format_count(one.days),
        format_number(one.distance),
        format_number(one.threshold),
    )


def _feature_row(one: FeatureMove) -> tuple[str, ...]:
    word = ""
    if one.is_important_after != one.is_important_before:
        word = "newly important" if one.is_important_after else "no longer important"
    return one.name, format_share(one.before), format_share(one.after), word, one.meaning


def _markdown_blocks(report: RetrainingReport) -> Iterator[str]:
    text = escape_markdown
    yield f"# {text(report.title)}"
    yield f"**{text(str(make_verdict(report)))}**"
    yield f"Why it was trained: {text(report.reason)}"
    yield make_bullets(report.decision.reasons)
    yield make_figure_bullets(make_key_figures(report))
    yield make_bullets(describe_features(report))
    for table in make_tables(report).values():
        if table.rows:
            yield f"## {text(table.title)}"
            yield to_markdown(table)
    if report.shift:
        yield f"## The shift, recognised on {report.shift.detected_day} by {text(report.shift.monitor)}"
        yield make_bullets(report.shift.reasons)
    yield "## What you may do"
    yield make_command_bullets(_list_commands(report))
