"""CSV files that people open in a spreadsheet.

Belongs here: writing rows as CSV text that no spreadsheet takes for a formula. Does not belong here: what
the rows say (the reports).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

# The first signs that make a spreadsheet compute a cell, their wide forms, and what hides such a sign.
_FORMULA_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_HIDING_STARTS = ("\t", "\r", "\n", "\0")
# Where the spreadsheet's own separator is another one, a cell ends at it, quoted or not.
_LATER_CELL = re.compile(r"""([;\t|\n]["'\s]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])(?![+-][\d.])""")


def write_csv(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return CSV text with a heading line, commas, line feeds, and quotes where they are needed.

    Args:
        headings: column names.
        rows: values, as many as there are headings; formulas are neutralised in every cell that is not a number, None
            and numbers that are not finite are empty cells.

    Raises:
        ValueError: a row is shorter or longer than the headings.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([neutralise_cell(heading) for heading in headings])
    for row in rows:
        if len(row) != len(headings):
            raise ValueError(f"a row has {len(row)} cells, the headings are {len(headings)}")
        writer.writerow([neutralise_cell(_show(value)) for value in row])
    return stream.getvalue()


def _show(value: object) -> str:
    """Return a value as text; numbers without exponent, so that they are told from formulas."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return format(Decimal(repr(float(value))), "f") if isinstance(value, float) else str(value)


def neutralise_cell(text: str) -> str:
    """Return the cell; text that a spreadsheet would compute gets an apostrophe in front.

    Plain numbers such as -1.5 stay as they are, and so does a later part of a text that begins like one. Source: OWASP,
    "CSV Injection".
    """
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    text = _LATER_CELL.sub(r"\1'", text)
    is_formula = text.lstrip().startswith(_FORMULA_STARTS) or text.startswith(_HIDING_STARTS)
    return f"'{text}" if is_formula and not _is_number(text) else text


def _is_number(text: str) -> bool:
    """Return whether the text holds digits, signs and a point only and reads as one number."""
    if not set(text) <= set("0123456789.+-"):
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True
