"""Tables that are shown as HTML, as Markdown and in a terminal alike.

Belongs here: the shape of a table and its Markdown form. Does not belong here: what is in it (the
reports) or its HTML form (the templates).
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

Tone = Literal["good", "bad", "neutral"]
_SYMBOLS: dict[Tone, str] = {"good": "✔", "bad": "✖", "neutral": "○"}
_SORTABLE_ROWS = 3
_BREAKABLE_SPACE = re.compile(r"[ \t\r\n\f\v\x1c-\x1e\x85\u2028\u2029]+")
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#])")


@dataclass(frozen=True)
class Mark:
    """A verdict in a cell: a word with a sign, so that its meaning does not hang on colour."""

    text: str
    tone: Tone

    def __str__(self) -> str:
        return f"{_SYMBOLS[self.tone]} {self.text}"


@dataclass(frozen=True)
class Code:
    """A cell shown letter by letter: an identifier, a path, a hash, a formula."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Link:
    """A cell that leads to another page; `target` is relative to the page's folder, with `/`, not encoded."""

    text: str
    target: str

    def __str__(self) -> str:
        return self.text

    @property
    def href(self) -> str:
        """Return the target as an address; one with a scheme or a colon stays a relative path."""
        return quote(self.target)


Cell = str | Mark | Code | Link


@dataclass(frozen=True)
class Column:
    """A heading; numbers are set flush right."""

    title: str
    is_numeric: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text under headings. `title` says what the table shows, also to a screen reader.

    With `has_total`, the last row sums up the others and stays last however they are sorted.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    has_total: bool = False

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of {self.title!r} does not have {len(self.columns)} cells")

    @property
    def body(self) -> tuple[tuple[Cell, ...], ...]:
        """Return the rows without the total."""
        return self.rows[:-1] if self.has_total else self.rows

    @property
    def is_sortable(self) -> bool:
        """Return whether there is anything to sort: two rows are seen at once."""
        return len(self.body) >= _SORTABLE_ROWS


def make_table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[Cell]], *, has_total: bool = False
) -> Table:
    """Return a table; a heading that starts with `#` marks a column of numbers."""
    columns = tuple(Column(text.removeprefix("#"), text.startswith("#")) for text in headings)
    return Table(title, columns, tuple(tuple(row) for row in rows), has_total)


def to_markdown(table: Table) -> str:
    """Return the table in Markdown; without rows, a sentence that says so."""
    if not table.rows:
        return f"_{escape_markdown(table.title)}: nothing to show._"
    heading = "| " + " | ".join(escape_markdown(column.title) for column in table.columns) + " |"
    ruler = "|" + "|".join("---:" if column.is_numeric else "---" for column in table.columns) + "|"
    body = ["| " + " | ".join(cell_to_markdown(cell) for cell in row) + " |" for row in table.rows]
    return "\n".join([heading, ruler, *body])


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line, with no HTML getting through."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", html.escape(_on_one_line(text), quote=False))


def cell_to_markdown(cell: Cell) -> str:
    """Return a cell in Markdown: code as code, anything else as it is read."""
    if isinstance(cell, Code) and cell.text and "`" not in cell.text:
        return "`" + _on_one_line(cell.text).replace("|", r"\|") + "`"
    return escape_markdown(str(cell))


def _on_one_line(text: str) -> str:
    return _BREAKABLE_SPACE.sub(" ", text).strip()
