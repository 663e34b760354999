"""Rows of a table as a report reads them.

Belongs here: taking named columns out of an Arrow table or of plain rows, with days as days and no NaN.
Does not belong here: what the rows mean (the reports).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from mlops_assets.domain.errors import TableInputError

if TYPE_CHECKING:
    import pyarrow as pa

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = "pa.Table | Iterable[Mapping[str, Any]]"


def read_rows(source: Rows, *, needed: Sequence[str], optional: Sequence[str] = (), what: str) -> list[Row]:
    """Return the rows with the named columns only; NaN and absent optional columns become None.

    Args:
        source: an Arrow table, or one mapping a row.
        needed: columns that must be there.
        optional: columns that are None in every row if they are not.
        what: what the rows are, for the error.

    Raises:
        TableInputError: a needed column is missing; build the partition again with this version.
    """
    rows = _list_rows(source)
    for number, row in enumerate(rows, start=1):
        if missing := [name for name in needed if name not in row]:
            raise TableInputError(
                f"{what} lack {', '.join(f'`{name}`' for name in missing)}",
                where=f"row {number}",
                expected=f"the columns {', '.join(needed)}",
                remedy="build the partition again with this version of the platform",
            )
    return [{name: _clean(row.get(name)) for name in (*needed, *optional)} for row in rows]


def _list_rows(source: Rows) -> Sequence[Mapping[str, Any]]:
    to_pylist = getattr(source, "to_pylist", None)  # an Arrow table, without importing Arrow
    return to_pylist() if to_pylist is not None else list(source)


def _clean(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.date() if isinstance(value, dt.datetime) else value
