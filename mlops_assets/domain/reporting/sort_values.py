"""By what a table's rows are sorted in a browser: numbers as numbers, without their units.

Belongs here: reading the shown text of a cell back as a number. Does not belong here: sorting, which is done by the
page's script; text for a number (formats).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlops_assets.domain.reporting.formats import ABSENT
from mlops_assets.domain.reporting.tables import Cell, Mark, Table

_MINUS = str.maketrans({"\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " "})
_NUMBER = re.compile(r"(?P<less>< )?(?P<number>[+-]?\d[\d,]*(?:\.\d+)?)(?P<rest> ?[^\d\s].*)?")
_PLAIN = re.compile(r"(?:< )?[+-]?\d[\d,]*(?:\.\d+)?(?: ?[A-Za-z%]+)?")
# What a unit counts beside the smallest of its kind; others, such as %, compare as they stand.
_UNITS = {
    "B": 1e-3, "KB": 1.0, "MB": 1e3, "GB": 1e6, "TB": 1e9,
    "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0,
}  # fmt: skip


def make_sort_values(table: Table) -> list[list[str | None]]:
    """Return for each cell by what it is sorted: a number, "" (not known, always last), or None for its text.

    A column is one of numbers if it is set as such, or if every cell that says something is a number with at most one
    word, its unit; texts sort as people number things, version 9 before version 10, and ISO days in order.
    """
    columns = [[row[place] for row in table.rows] for place in range(len(table.columns))]
    values = [
        _column_values(cells, is_numeric=column.is_numeric)
        for cells, column in zip(columns, table.columns, strict=True)
    ]
    return [list(row) for row in zip(*values, strict=True)]


def read_number(text: str) -> float | None:
    """Return the number that a text begins with, in the base unit of its kind; None if it does not begin with one.

    `1,234.5` is 1234.5, `12.5 %` is 12.5, `2 GB` is 2000000 (KB), an interval is its lower end, and `< 0.01 %` is
    half of that, above zero and below what is shown.
    """
    found = _NUMBER.fullmatch(text.translate(_MINUS).strip())
    if found is None:
        return None
    number = float(found["number"].replace(",", ""))
    unit = (found["rest"] or "").split()[:1]
    return number * (0.5 if found["less"] else 1.0) * _UNITS.get(unit[0] if unit else "", 1.0)


def _column_values(cells: Sequence[Cell], *, is_numeric: bool) -> list[str | None]:
    texts = [cell.text if isinstance(cell, Mark) else str(cell) for cell in cells]
    known = [text for text in texts if not _is_absent(text)]
    numbers = {text: read_number(text) for text in known}
    if not is_numeric and not (known and all(_is_plain_number(text) for text in known)):
        numbers = {}
    return [
        _one_value(text, numbers.get(text), is_mark=isinstance(cell, Mark))
        for text, cell in zip(texts, cells, strict=True)
    ]


def _one_value(text: str, number: float | None, *, is_mark: bool) -> str | None:
    if _is_absent(text):
        return ""
    if number is not None:
        return f"{number:.12g}"
    return text if is_mark else None  # without the sign before its word


def _is_absent(text: str) -> bool:
    return text.strip() in {"", ABSENT}


def _is_plain_number(text: str) -> bool:
    """Return whether a text is a number with at most one word, its unit: 12, 3.5 %, 20 MB; not a day or a time."""
    return _PLAIN.fullmatch(text.translate(_MINUS).strip()) is not None
