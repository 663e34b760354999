"""The body of a report's mail, as HTML and as text.

Belongs here: one layout that mail programs show: no style sheet, no drawing, no link to anything that is
loaded; and the same as plain text. Does not belong here: what the report says, headers, recipients or delivery (mail).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlops_assets.domain.reporting.formats import format_count, format_day
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import Mark, Table

_MAIL_ROWS = 100
_NOTES, _COMMANDS = "What it means, what is done", "What you may do"
_FOOTER = "Aggregates only, no data of any single subscriber."


@dataclass(frozen=True)
class MailBody:
    """What a mail says: the verdict, lines letter by letter, tables, sentences, commands with their meaning, footer."""

    title: str
    verdict: Mark
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    commands: Sequence[tuple[str, str]] = ()
    footer: str = _FOOTER


def render_mail_body(body: MailBody, *, data_day: dt.date | None) -> str:
    """Return the body; tables are cut after 100 rows and say so, empty ones are left out."""
    tables = [(table, table.rows[:_MAIL_ROWS], len(table.rows) - _MAIL_ROWS) for table in body.tables]
    return render_page(
        "report_mail.html.j2",
        title=body.title,
        data_day=data_day,
        body=body,
        tables=[one for one in tables if one[1]],
        headings={"notes": _NOTES, "commands": _COMMANDS},
    )


def render_mail_text(body: MailBody, *, data_day: dt.date | None) -> str:
    """Return the same as plain text, for readers without HTML: nothing is escaped, tables are lists of their rows."""
    return "\n\n".join(block for block in _text_blocks(body, data_day) if block) + "\n"


def _text_blocks(body: MailBody, data_day: dt.date | None) -> Iterator[str]:
    """Yield the blocks in the order of the HTML."""
    yield f"{body.title}\n{body.verdict}"
    yield "\n".join(body.lines)
    for table in body.tables:
        if table.rows:
            yield "\n".join([f"{table.title}:", *_text_rows(table)])
        if (more := len(table.rows) - _MAIL_ROWS) > 0:
            yield f"{format_count(more)} more rows are in the report."
    if body.notes:
        yield "\n".join([f"{_NOTES}:", *(f"- {note}" for note in body.notes)])
    if body.commands:
        commands = (f"- {what}:\n    {command}" for command, what in body.commands)
        yield "\n".join([f"{_COMMANDS}:", *commands])
    up_to = f"Data up to {format_day(data_day)}. " if data_day else ""
    yield f"{up_to}{body.footer}"


def _text_rows(table: Table) -> Iterator[str]:
    """Yield a line for each row: `name: value` in a table of facts, else every cell with its heading."""
    titles = [column.title for column in table.columns]
    for row in table.rows[:_MAIL_ROWS]:
        cells = [" ".join(str(cell).split()) for cell in row]
        if titles == ["What", "Which"] or len(titles) == 1:
            yield f"- {': '.join(cells)}"
        else:
            named = (f"{title}: {cell}" for title, cell in zip(titles, cells, strict=True))
            yield "- " + "\n  ".join(named)
