"""Whether two lakes hold the same tables: types, nulls and values, row by row, in whatever order they are stored.

Belongs here: the comparison and what it found. Does not belong here: who built the lakes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

RELATIVE_TOLERANCE = 1e-9  # of floating-point numbers: engines add them up in different orders
_ABSOLUTE_TOLERANCE = 1e-12  # where they cancel out
_SHOWN_DIGITS = 6  # by which floats order rows that are otherwise alike


@dataclass(frozen=True)
class Difference:
    """What differs in one file of one partition.

    Attributes:
        where: folder of the partition below the lake, and role of the file.
        what: `missing`, `rows`, `columns`, `types` or `values`, and what of them; never a value.
        rows: how many rows differ.
    """

    where: str
    what: str
    rows: int


@dataclass(frozen=True)
class Comparison:
    """Two lakes compared: tables by name, files, rows, and what differs."""

    tables: tuple[str, ...]
    files: int
    rows: int
    differences: tuple[Difference, ...]

    @property
    def differing_rows(self) -> int:
        """Rows that are not the same, or there in one lake only."""
        return sum(difference.rows for difference in self.differences)


def compare_lakes(one: Path, other: Path, leave_out: Sequence[str] = ()) -> Comparison:
    """Compare every Parquet file of every published partition.

    Args:
        one: folder of a lake.
        other: folder of another one.
        leave_out: beginnings of names of tables that are not to be compared.
    """
    import pyarrow.parquet as pq

    ours, theirs = _published(one, leave_out), _published(other, leave_out)
    differences, rows = [], 0
    for where in sorted(ours.keys() | theirs.keys()):
        if where not in ours or where not in theirs:
            path = ours.get(where) or theirs[where]
            differences.append(Difference(where, "missing", max(1, pq.read_metadata(path).num_rows)))
            continue
        left, right = pq.read_table(ours[where]), pq.read_table(theirs[where])
        rows += left.num_rows
        if found := find_difference(where, left, right):
            differences.append(found)
    tables = {where.rsplit("/", 3)[0] for where in ours.keys() | theirs.keys()}
    return Comparison(tuple(sorted(tables)), len(ours), rows, tuple(differences))


def find_difference(where: str, left: pa.Table, right: pa.Table) -> Difference | None:
    """Compare two tables. Columns may be null in either schema; the order of rows does not count."""
    if left.column_names != right.column_names:
        names = sorted(set(left.column_names) ^ set(right.column_names))
        return Difference(where, f"columns {', '.join(names) or 'in another order'}", max(1, left.num_rows))
    kinds = zip(left.schema, right.schema, strict=True)
    if changed := [f"{a.name} {a.type} and {b.type}" for a, b in kinds if a.type != b.type]:
        return Difference(where, f"types {', '.join(changed)}", max(1, left.num_rows))
    if left.num_rows != right.num_rows:
        return Difference(
            where, f"rows {left.num_rows} and {right.num_rows}", abs(left.num_rows - right.num_rows)
        )
    pairs = list(zip(_sorted_rows(left), _sorted_rows(right), strict=True))
    unlike = [
        [name for name, a, b in zip(left.column_names, *pair, strict=True) if not _is_same(a, b)]
        for pair in pairs
    ]
    names = dict.fromkeys(name for row in unlike for name in row)
    return Difference(where, f"values {', '.join(names)}", sum(map(bool, unlike))) if names else None


def _published(lake: Path, leave_out: Sequence[str]) -> dict[str, Path]:
    """Return the Parquet files that manifests name, by partition and role."""
    found = {}
    for manifest in lake.rglob("manifest.json"):
        folder = manifest.parent.relative_to(lake).as_posix()
        if folder.startswith(tuple(leave_out)):
            continue
        files: Mapping[str, str] = json.loads(manifest.read_text())["files"]
        found |= {
            f"{folder}/{role}": manifest.parent / name
            for role, name in files.items()
            if name.endswith(".parquet")
        }
    return found


def _sorted_rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(_rows(table), key=_order)


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    return zip(*columns, strict=True)


def _order(row: tuple[Any, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Order by what is exact, then by floats to some digits."""
    exact = tuple(str(value) for value in row if not isinstance(value, float))
    return exact, tuple(f"{value:.{_SHOWN_DIGITS}e}" for value in row if isinstance(value, float))


def _is_same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return math.isclose(left, right, rel_tol=RELATIVE_TOLERANCE, abs_tol=_ABSOLUTE_TOLERANCE)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_is_same(left[key], right[key]) for key in left)
    return type(left) is type(right) and bool(left == right)
