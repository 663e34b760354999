"""Pages beside the index of reports: every decision of the ledger, every mail.

Belongs here: their tables. Does not belong here: reading ledger and outbox (commands.list_pages), or a single report.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from mlops_assets.domain.mail_ports import MailEntry, MailState
from mlops_assets.domain.ports import LedgerEntry
from mlops_assets.domain.reporting.formats import format_day, format_name, format_time
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import Cell, Link, Mark, Table, Tone, make_table

LEDGER_PAGE, MAILS_PAGE = "ledger.html", "mails.html"
_OUTCOME_TONES: dict[str, Tone] = {"promoted": "good", "rejected": "bad"}
_MAIL_TONES: dict[MailState, Tone] = {"sent": "good", "dead": "bad"}


def render_ledger_page(entries: Iterable[LedgerEntry], find_report: Callable[[LedgerEntry], str]) -> str:
    """Return the page of all decisions, one table a use case, newest first.

    Args:
        entries: of any slots, in any order.
        find_report: the report about a decision, relative to the reports' folder; empty for none.
    """
    ordered = sorted(entries, key=lambda one: (one.decided_at_utc, one.slot.registered_name), reverse=True)
    use_cases = sorted({one.slot.use_case for one in ordered})
    tables = [
        _ledger_table(name, [one for one in ordered if one.slot.use_case == name], find_report)
        for name in use_cases
    ]
    days = [one.as_of_day for one in ordered if one.as_of_day]
    lead = "Who is champion is written here and nowhere else: every decision, by whom, and why."
    return _render("Promotion ledger", lead, max(days, default=None), tables)


def _ledger_table(
    use_case: str, entries: Sequence[LedgerEntry], find_report: Callable[[LedgerEntry], str]
) -> Table:
    headings = ["Model", "Segment", "Version", "Outcome", "By", "At", "Data until", "Reasons"]
    return make_table(
        format_name(use_case), headings, [_ledger_row(one, find_report(one)) for one in entries]
    )


def _ledger_row(entry: LedgerEntry, report: str) -> tuple[Cell, ...]:
    outcome = Mark(entry.outcome.replace("_", " "), _OUTCOME_TONES.get(entry.outcome, "neutral"))
    return (
        Link(entry.slot.model, report) if report else entry.slot.model,
        entry.slot.segment,
        entry.version,
        outcome,
        entry.decided_by,
        format_time(entry.decided_at_utc),
        format_day(entry.as_of_day),
        "; ".join(entry.reasons),
    )


def render_mails_page(
    entries: Iterable[MailEntry], find_page: Callable[[MailEntry], str], data_day: dt.date | None
) -> str:
    """Return the page of all mails, newest first.

    Args:
        entries: of the outbox.
        find_page: the mail as a page, relative to the reports' folder; empty where mails leave by a server.
        data_day: newest day of the data.
    """
    ordered = sorted(entries, key=lambda one: one.number, reverse=True)
    rows = [_mail_row(one, find_page(one)) for one in ordered]
    headings = ["#Number", "Subject", "To", "State", "Sent"]
    lead = "What was mailed, to whom, and what waits; `mlops mailbox` shows and repeats mails."
    return _render("Mails", lead, data_day, [make_table("All mails", headings, rows)])


def _mail_row(entry: MailEntry, page: str) -> tuple[Cell, ...]:
    return (
        str(entry.number),
        Link(entry.subject, page) if page else entry.subject,
        entry.key.recipient,
        Mark(entry.state, _MAIL_TONES.get(entry.state, "neutral")),
        format_time(entry.sent_at_utc),
    )


def _render(title: str, lead: str, data_day: dt.date | None, tables: Sequence[Table]) -> str:
    return render_page("list_page.html.j2", title=title, data_day=data_day, lead=lead, tables=tables)
