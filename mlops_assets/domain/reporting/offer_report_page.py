"""The offer performance report as a page, as Markdown, as CSV and as a mail.

Belongs here: how it is laid out. Does not belong here: its content (offer_report).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from mlops_assets.domain.reporting.charts import draw_shares_by_day
from mlops_assets.domain.reporting.csv_text import write_csv
from mlops_assets.domain.reporting.formats import (
    format_count,
    format_counted,
    format_day,
    format_days,
    format_name,
    format_number,
    format_share,
)
from mlops_assets.domain.reporting.mail import MailAttachment, MailMessage, make_csv_attachment
from mlops_assets.domain.reporting.markdown_blocks import join_blocks, make_bullets
from mlops_assets.domain.reporting.offer_report import OfferCounts, OfferReport, PlanResult, add_counts
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.report_mail import MailBody, render_mail_body
from mlops_assets.domain.reporting.tables import Mark, Table, escape_markdown, make_table, to_markdown

FORM = ("Date", "RL offers", "Sent offers", "No offer", "Different offer", "Mismatch ratio %")
TOTAL, SHARE_SENT = "Total", "Share sent %"
_KINDS = {
    "different_offer": "another plan was sent",
    "unproposed": "sent to somebody without a proposed offer",
    "duplicate_contact": "further contact of the same person",
    "duplicate_proposal": "further proposal for the same person",
}
LEGEND = (
    "Sent: as proposed. No offer: proposed, and nobody was contacted. Different offer: another plan was sent. "
    "Mismatch ratio: (no offer + different offer) / RL offers. A dash: the day was not reconciled, which is not zero."
)
EXPECTATION_NOTE = (
    "Offers sent as proposed only. Accepted: by the end of the day they were sent. Margin: less discount, of accepted "
    "offers. An expectation outside the 95 % interval of what was realised is marked."
)


def render_offer_html(report: OfferReport) -> str:
    """Return the report as one self-contained page."""
    counts = [(day, report.counts_of(day)) for day in report.dates]
    shares = [(format_day(day), one.mismatch if one else None) for day, one in counts]
    return render_page(
        "offer_report.html.j2",
        title=report.title,
        data_day=report.last_day,
        report=report,
        verdict=make_verdict(report),
        sentences=make_sentences(report),
        figures=make_key_figures(report),
        tables=make_offer_tables(report),
        legend=LEGEND,
        expectation_note=EXPECTATION_NOTE,
        chart=draw_shares_by_day(shares, title="Mismatch ratio by day") if report.total.rl_offers else "",
        trend=_draw_trend(report),
    )


def _draw_trend(report: OfferReport) -> str:
    """Return the mismatch ratio by week; nothing without an earlier week."""
    shares = [
        (format_day(one.first_day), one.counts.mismatch if one.counts else None) for one in report.weeks
    ]
    return draw_shares_by_day(shares, title="Mismatch ratio by week", name="by-week") if shares else ""


def render_offer_markdown(report: OfferReport) -> str:
    """Return the report as Markdown, also the plain text of its mail."""
    return join_blocks(_markdown_blocks(report))


def render_offer_csv(report: OfferReport) -> str:
    """Return the operator's form, one line a day, the total and the share sent; empty cells for unknown days."""
    return write_csv(FORM, _csv_rows(report))


def make_offer_message(report: OfferReport, recipients: Sequence[str]) -> MailMessage:
    """Return the report's mail, with the form as CSV; one period has one mail."""
    body = MailBody(
        title=report.title,
        verdict=make_verdict(report),
        tables=list(make_offer_tables(report).values()),
        notes=[*make_sentences(report), LEGEND, EXPECTATION_NOTE],
    )
    return MailMessage(
        report="/".join(name for name in ("offers", report.use_case, "performance") if name),
        partition=f"{report.first_day.isoformat()}/{report.last_day.isoformat()}",
        subject=report.title,
        html=render_mail_body(body, data_day=report.last_day),
        text=render_offer_markdown(report),
        recipients=tuple(recipients),
        attachments=(_attach_form(report),),
    )


def _attach_form(report: OfferReport) -> MailAttachment:
    return make_csv_attachment("offer_performance.csv", FORM, _csv_rows(report))


def _csv_rows(report: OfferReport) -> list[list[str]]:
    rows = [_csv_row(format_day(day), report.counts_of(day)) for day in report.dates]
    share = report.total.sent_share
    return [
        *rows,
        _csv_row(TOTAL, report.total),
        [SHARE_SENT, "", "" if share is None else f"{100 * share:.2f}", "", "", ""],
    ]


def _csv_row(name: str, counts: OfferCounts | None) -> list[str]:
    if counts is None:
        return [name, "", "", "", "", ""]
    mismatch = "" if counts.mismatch is None else f"{100 * counts.mismatch:.2f}"
    numbers = (counts.rl_offers, counts.sent_offers, counts.no_offer, counts.different_offer)
    return [name, *map(str, numbers), mismatch]


def make_verdict(report: OfferReport) -> Mark:
    """Return the outcome in a few words; days that are missing keep it from being good."""
    total = report.total
    if total.mismatch is None:
        return Mark("Not reconciled: no offer could be compared", "neutral")
    missing = (
        f"; {format_counted(len(report.missing), 'day')} of a geography not reconciled"
        if report.missing
        else ""
    )
    is_complete = not missing and total.sent_offers == total.rl_offers
    text = f"{format_share(total.sent_share)} of the offers were sent as proposed{missing}"
    return Mark(text, "good" if is_complete else "neutral")


def make_sentences(report: OfferReport) -> list[str]:
    """Return the share sent in a sentence, what is missing, and how realised compares with expected."""
    total = report.total
    share = (
        f"From {format_day(report.first_day)} to {format_day(report.last_day)} the agent proposed "
        f"{format_count(total.rl_offers)} offers; {format_count(total.sent_offers)} of them "
        f"({format_share(total.sent_share)}) were sent as proposed, {format_count(total.no_offer)} were not sent, and "
        f"{format_count(total.different_offer)} people got a different offer."
    )
    sentences = [share]
    if report.missing:
        named = ", ".join(f"{one.geography} {format_day(one.day)}" for one in report.missing)
        sentences.append(f"Not reconciled, and in no figure: {named}.")
    if sentence := _describe_expectation(report.plans):
        sentences.append(sentence)
    return sentences


def _describe_expectation(plans: Sequence[PlanResult]) -> str:
    """Return the sums over the plans that have an expectation."""
    known = [one for one in plans if one.expected_accepted is not None]
    if not known:
        return "What was realised cannot be compared: the offers carried no expectation." if plans else ""
    sent = sum(one.sent_offers for one in known)
    accepted = sum(one.accepted for one in known)
    expected = sum(one.expected_accepted or 0.0 for one in known)
    margin, hoped = sum(one.margin_usd for one in known), sum(one.expected_margin_usd or 0.0 for one in known)
    return (
        f"{format_share(accepted / sent)} of {format_count(sent)} offers sent were accepted, "
        f"{format_share(expected / sent)} were expected; they brought a margin of {format_number(margin)} USD, "
        f"{format_number(hoped)} USD were expected."
    )


def make_key_figures(report: OfferReport) -> list[tuple[str, str, str]]:
    """Return label, figure and what it is about."""
    total = report.total
    return [
        ("RL offers", format_count(total.rl_offers), "proposed by the agent"),
        ("Share sent", format_share(total.sent_share), f"{format_count(total.sent_offers)} sent as proposed"),
        ("Mismatch ratio", format_share(total.mismatch), "not sent, or another plan"),
        (
            "Days reconciled",
            f"{len(report.days) - len(report.missing)} of {len(report.days)}",
            "a geography and day each",
        ),
    ]


def make_offer_tables(report: OfferReport) -> dict[str, Table]:
    """Return the tables by name; those without rows are left out, but for the form."""
    tables = {
        "form": _form_table(report),
        "geographies": _geographies_table(report),
        "plans": _plans_table(report),
        "margins": _margins_table(report),
        "unexplained": _unexplained_table(report),
        "missing": _missing_table(report),
        "weeks": _weeks_table(report),
    }
    return {name: table for name, table in tables.items() if table.rows or name == "form"}


def _form_table(report: OfferReport) -> Table:
    rows = [_form_row(_name_day(report, day), report.counts_of(day)) for day in report.dates]
    return make_table(
        "Offers by day",
        [FORM[0], *(f"#{heading}" for heading in FORM[1:])],
        [*rows, _form_row(TOTAL, report.total)],
        has_total=True,
    )


def _name_day(report: OfferReport, day: dt.date) -> str:
    """Return the day, and which geographies are not in it, if some are."""
    missing = [one.geography for one in report.missing if one.day == day]
    is_part = missing and len(missing) < len(report.geographies)
    return f"{format_day(day)} (without {', '.join(missing)})" if is_part else format_day(day)


def _form_row(name: str, counts: OfferCounts | None) -> tuple[str, ...]:
    return (
        name,
        format_count(counts.rl_offers if counts else None),
        format_count(counts.sent_offers if counts else None),
        format_count(counts.no_offer if counts else None),
        format_count(counts.different_offer if counts else None),
        format_share(counts.mismatch if counts else None),
    )


def _geographies_table(report: OfferReport) -> Table:
    """Return the totals of each geography; nothing if there is one only."""
    places = report.geographies if len(report.geographies) > 1 else ()
    rows = [(one, add_counts(day for day in report.days if day.geography == one)) for one in places]
    return make_table(
        "Offers by geography",
        ["Geography", *(f"#{heading}" for heading in FORM[1:]), f"#{SHARE_SENT}"],
        [(*_form_row(one, counts), format_share(counts.sent_share)) for one, counts in rows],
    )


def _plans_table(report: OfferReport) -> Table:
    headings = ("Sent", "Accepted", "Acceptance (95 % interval)", "Expected")
    rows = [
        (
            one.geography,
            one.plan_code,
            judge_acceptance(one),
            format_count(one.sent_offers),
            format_count(one.accepted),
            _show_acceptance(one),
            format_share(one.expected_acceptance),
        )
        for one in report.plans
    ]
    return make_table(
        "Acceptance against expectation",
        ["Geography", "Plan", "Acceptance is", *(f"#{heading}" for heading in headings)],
        rows,
    )


def _margins_table(report: OfferReport) -> Table:
    rows = [
        (
            one.geography,
            one.plan_code,
            format_number(one.margin_usd),
            format_number(one.expected_margin_usd),
            format_number(one.margin_difference_usd, is_signed=True),
        )
        for one in report.plans
    ]
    return make_table(
        "Margin against expectation",
        ["Geography", "Plan", "#Margin, USD", "#Expected, USD", "#Difference, USD"],
        rows,
    )


def _show_acceptance(one: PlanResult) -> str:
    """Return the realised acceptance with the ends of its interval."""
    interval = one.acceptance_interval
    if interval is None:
        return format_share(None)
    low, high = (format_share(end).removesuffix("\N{NO-BREAK SPACE}%") for end in interval)
    return f"{format_share(one.acceptance)} ({low} to {high})"


def judge_acceptance(one: PlanResult) -> Mark:
    """Return whether the expected acceptance lies within the interval of the realised one."""
    interval, expected = one.acceptance_interval, one.expected_acceptance
    if interval is None or expected is None:
        return Mark("not known", "neutral")
    if expected > interval[1]:
        return Mark("below expectation", "bad")
    return Mark("above expectation", "good") if expected < interval[0] else Mark("as expected", "good")


def _unexplained_table(report: OfferReport) -> Table:
    more = report.unexplained_more
    return make_table(
        f"Unexplained; {more:,} more rows are not listed" if more else "Unexplained",
        ["Geography", "What", "Proposed", "Sent", "#Rows"],
        [
            (
                one.geography,
                _KINDS.get(one.kind, format_name(one.kind)),
                one.proposed_plan,
                one.sent_plan,
                format_count(one.rows),
            )
            for one in report.unexplained
        ],
    )


def _missing_table(report: OfferReport) -> Table:
    return make_table(
        "Not reconciled",
        ["Date", "Geography", "Why"],
        [(format_day(one.day), one.geography, one.reason) for one in report.missing],
    )


def _weeks_table(report: OfferReport) -> Table:
    return make_table(
        "Week by week",
        ["Week", *(f"#{heading}" for heading in FORM[1:])],
        [_form_row(format_days(one.first_day, one.last_day), one.counts) for one in report.weeks],
    )


def _markdown_blocks(report: OfferReport) -> Iterator[str]:
    """Yield the blocks in the order of the page."""
    yield f"# {escape_markdown(report.title)}"
    yield f"**{escape_markdown(str(make_verdict(report)))}**"
    yield make_bullets(make_sentences(report))
    for name, table in make_offer_tables(report).items():
        yield f"## {escape_markdown(table.title)}"
        yield to_markdown(table)
        yield {"form": LEGEND, "plans": EXPECTATION_NOTE}.get(name, "")
