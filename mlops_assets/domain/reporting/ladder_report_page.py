"""The report on a policy's decision as a page, as Markdown and as a mail.

Belongs here: how it is laid out. Does not belong here: its content (ladder_report).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlops_assets.domain.reporting.charts import draw_intervals
from mlops_assets.domain.reporting.decision_words import describe_outcome, list_commands, make_check_table
from mlops_assets.domain.reporting.formats import (
    format_count,
    format_days,
    format_interval,
    format_name,
    format_number,
    format_share,
)
from mlops_assets.domain.reporting.ladder_report import (
    LadderReport,
    LadderRung,
    OfferedPlanNote,
    OffPolicyNote,
    WorldFigure,
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
from mlops_assets.domain.reporting.tables import Mark, Table, escape_markdown, make_table, to_markdown

LADDER_NOTE = (
    "Every policy follows the same customers through the judging simulator, under the same contact policy and with the "
    "same chance. That simulator has learned from other customers than those the policies were learned with. Value: "
    "margin less discounts and contact cost over the horizon, discounted by the week; who leaves brings nothing more."
)
WEEK_NOTE = (
    "Offers sent as proposed. Accepted: by the end of that day. Expected: as logged with each proposal."
)


def render_ladder_html(report: LadderReport) -> str:
    """Return the report as one self-contained page."""
    return render_page(
        "ladder_report.html.j2",
        title=report.title,
        data_day=report.data_day,
        report=report,
        verdict=describe_outcome(report.decision),
        figures=make_key_figures(report),
        tables=make_ladder_tables(report),
        log_sentences=describe_log(report),
        week_sentence=describe_week(report),
        ladder_note=LADDER_NOTE,
        week_note=WEEK_NOTE,
        chart=_draw_ladder(report),
    )


def _draw_ladder(report: LadderReport) -> str:
    shown = [
        (format_name(one.kind), one.gain_usd, one.gain_low_usd, one.gain_high_usd)
        for one in report.rungs
        if one.gain_usd is not None
    ]
    return draw_intervals(shown, title="Gain over making no offers", unit="USD a customer") if shown else ""


def render_ladder_markdown(report: LadderReport) -> str:
    """Return the report as Markdown, also the plain text of its mail."""
    return join_blocks(_markdown_blocks(report))


def make_ladder_message(report: LadderReport, recipients: Sequence[str]) -> MailMessage:
    """Return the report's mail; one decision has one mail, however often its run is repeated."""
    decision = report.decision
    body = MailBody(
        title=report.title,
        verdict=describe_outcome(decision),
        lines=[report.reason, *decision.reasons],
        tables=list(make_ladder_tables(report).values()),
        notes=[
            LADDER_NOTE,
            *describe_log(report),
            describe_week(report),
            *(report.shift.reasons if report.shift else ()),
        ],
        commands=list(_list_commands(report)),
    )
    return MailMessage(
        report=f"ladder/{report.use_case}/{report.agent}",
        partition=f"{report.segment}/{decision.decision_id[:16]}",
        subject=report.title,
        html=render_mail_body(body, data_day=report.data_day or decision.decided_at_utc.date()),
        text=render_ladder_markdown(report),
        recipients=tuple(recipients),
    )


def _list_commands(report: LadderReport) -> Iterator[tuple[str, str]]:
    slot = (report.use_case, report.agent, report.segment)
    return list_commands(*slot, report.decision, report.champion_version)


def make_key_figures(report: LadderReport) -> list[tuple[str, str, str]]:
    """Return label, figure and what it is about."""
    against = f"version {report.champion_version}" if report.champion_version else "making no offers"
    interval = format_interval(report.gain_low_usd, report.gain_high_usd)
    figures = [
        (
            "Gain, USD a customer",
            format_number(report.gain_usd, is_signed=True),
            f"over {against}, paired interval {interval}",
        ),
        (
            "Value, USD a customer",
            format_number(report.value_usd),
            f"over {report.horizon_weeks} weeks, {format_count(report.judged_people)} customers followed",
        ),
    ]
    if (log := report.off_policy) is not None:
        note = f"of {format_count(log.rows)} logged decisions"
        figures.append(("Effective logged decisions", format_count(round(log.effective_rows)), note))
    return figures


def describe_log(report: LadderReport) -> list[str]:
    """Return what was learned from, and what the log says about the gain, in sentences."""
    sentences = []
    if (log := report.log) is not None:
        sentences.append(
            f"Learned from {format_count(log.person_weeks)} person-weeks of {log.weeks} weeks "
            f"({format_days(log.first_day, log.last_day)}) with {format_count(log.contacts)} contacts."
        )
        sentences += [f"Left out: {one}." for one in log.left_out]
    if report.off_policy is not None:
        sentences.append(_describe_off_policy(report.off_policy))
    return sentences


def _describe_off_policy(note: OffPolicyNote) -> str:
    whose = "decisions of our own policies" if note.is_own_log else "the operator's campaigns"
    if note.refusals:
        return f"Logged decisions ({whose}) are no evidence: {'; '.join(note.refusals)}."
    interval = format_interval(note.gain_low_usd, note.gain_high_usd)
    return (
        f"Logged decisions ({whose}): gain {format_number(note.gain_usd, is_signed=True)} USD a decision over "
        f"{note.baseline}, interval {interval}; only what a decision brings within its week is in this figure."
    )


def describe_week(report: LadderReport) -> str:
    """Return what became of the offers of the week before, in a sentence."""
    week = report.week
    if week is None or not week.plans:
        return "No offers of the week before are reconciled."
    accepted, expected = (
        sum(one.accepted for one in week.plans),
        sum(one.expected_accepted for one in week.plans),
    )
    verdict = f" {week.verdict}." if week.verdict else ""
    return (
        f"Offers of {format_days(week.first_day, week.last_day)} ({week.days} reconciled days): "
        f"{format_count(sum(one.sent for one in week.plans))} sent, {format_count(accepted)} accepted, "
        f"{format_number(expected)} expected.{verdict}"
    )


def make_ladder_tables(report: LadderReport) -> dict[str, Table]:
    """Return every table by name."""
    return {
        "ladder": make_table(
            "The ladder of policies in the judging simulator",
            [
                "Policy",
                "#Value, USD",
                "#Gain over no offers, USD",
                "#Its interval",
                "#Contacts a week",
                "#Accepted",
                "Choice",
            ],
            [_rung_row(one) for one in report.rungs],
        ),
        "checks": make_check_table(report.decision),
        "worlds": make_table(
            "The simulators beside the held-out weeks",
            ["Simulator", "Figure", "#Predicted", "#Observed", "#Allowed error", "Result"],
            [_world_row(one) for one in report.worlds],
        ),
        "week": make_table(
            "Offers of the week before, and what became of them",
            [
                "Plan",
                "#Proposed",
                "#Sent",
                "#Accepted",
                "#Expected",
                "#Margin, USD",
                "#Expected margin, USD",
            ],
            [_plan_row(one) for one in report.week.plans] if report.week else [],
        ),
    }


def _rung_row(one: LadderRung) -> tuple[str | Mark, ...]:
    word: str | Mark = Mark(f"refused: {one.refusal}", "bad") if one.refusal else ""
    return (
        format_name(one.kind),
        format_number(one.value_usd),
        format_number(one.gain_usd, is_signed=True),
        format_interval(one.gain_low_usd, one.gain_high_usd),
        format_number(one.contacts_per_week),
        format_share(one.acceptance),
        Mark("chosen", "good") if one.is_chosen else word,
    )


def _world_row(one: WorldFigure) -> tuple[str | Mark, ...]:
    return (
        one.simulator,
        format_name(one.name),
        format_number(one.predicted),
        format_number(one.observed),
        format_number(one.allowed_error),
        Mark("holds", "good") if one.holds else Mark("fails", "bad"),
    )


def _plan_row(one: OfferedPlanNote) -> tuple[str, ...]:
    return (
        one.plan_code,
        format_count(one.proposed),
        format_count(one.sent),
        format_count(one.accepted),
        format_number(one.expected_accepted),
        format_number(one.margin_usd),
        format_number(one.expected_margin_usd),
    )


def _markdown_blocks(report: LadderReport) -> Iterator[str]:
    text = escape_markdown
    yield f"# {text(report.title)}"
    yield f"**{text(str(describe_outcome(report.decision)))}**"
    yield f"Why it was trained: {text(report.reason)}"
    yield make_bullets(report.decision.reasons)
    yield make_figure_bullets(make_key_figures(report))
    yield f"Choice: {text(report.choice)}" if report.choice else ""
    yield make_bullets([*describe_log(report), describe_week(report)])
    for table in make_ladder_tables(report).values():
        if table.rows:
            yield f"## {text(table.title)}"
            yield to_markdown(table)
    yield text(LADDER_NOTE)
    if report.shift:
        yield f"## {text(report.shift.what)}, recognised on {report.shift.detected_day} by {text(report.shift.monitor)}"
        yield make_bullets(report.shift.reasons)
    yield "## What you may do"
    yield make_command_bullets(_list_commands(report))
