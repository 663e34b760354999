"""The HTML body of a report's mail.

Belongs here: one layout that mail programs show: no style sheet, no drawing, no link to anything that is
loaded. Does not belong here: what the report says, headers, recipients or delivery (mail).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import Mark, Table

_MAIL_ROWS = 100


@dataclass(frozen=True)
class MailBody:
    """What a mail says: the verdict, lines letter by letter, tables, sentences, commands with their meaning."""

    title: str
    verdict: Mark
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    commands: Sequence[tuple[str, str]] = ()


def render_mail_body(body: MailBody, *, data_day: dt.date) -> str:
    """Return the body; tables are cut after 100 rows and say so, empty ones are left out."""
    tables = [(table, table.rows[:_MAIL_ROWS], len(table.rows) - _MAIL_ROWS) for table in body.tables]
    return render_page(
        "report_mail.html.j2",
        title=body.title,
        data_day=data_day,
        body=body,
        tables=[one for one in tables if one[1]],
    )
