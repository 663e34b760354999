"""What a delivered file says about itself: columns, types, row count, statistics; no data rows are read.

Belongs here: Parquet footers, and header and first block of CSV files. Does not belong here: whether that
is acceptable (metadata).
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import glob
import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BLOCK_BYTES = 1 << 18
_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_IBIS_TYPES = {
    **{name: name for name in _INTEGERS},
    **dict.fromkeys(["string", "large_string", "string_view"], "string"),
    **dict.fromkeys(["date32[day]", "date64[ms]"], "date"),
    "bool": "boolean",
    "float": "float32",
    "double": "float64",
}
_PARQUET_MAGIC = b"PAR1"
MOST_COLUMNS = 1_000
# What a column may be called in a contract; without a header, values stand where names are expected.
_SHOWABLE = re.compile(r"(?!.*\d{5})[A-Za-z_][A-Za-z0-9_ .+-]{0,62}", re.ASCII)


class UnreadableFileError(Exception):
    """A file is not what its format demands. `expected` and `remedy` say what would be.

    Internal to this package: metadata validation turns it into a finding.
    """

    def __init__(self, what: str, expected: str, remedy: str) -> None:
        self.what, self.expected, self.remedy = what, expected, remedy
        super().__init__(what)


@dataclass(frozen=True)
class DeliveredFile:
    """Facts of one file.

    Attributes:
        columns: delivered names with their Ibis types, in order; `unsupported (...)` for other types.
        row_count: rows; for CSV exact only if `is_row_count_exact`.
        is_row_count_exact: False if extrapolated from the first block of a CSV.
        ranges: least and greatest value by column, from the footer's statistics, where they are complete.
        sample: delivered texts of the first rows by column (CSV only).
    """

    columns: Mapping[str, str]
    row_count: int
    is_row_count_exact: bool = True
    ranges: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    sample: Mapping[str, list[str]] = field(default_factory=dict)


# By leaf: its type by the schema, those of its chunks, and least and greatest moment where every row group tells them.
# Leaves and chunks pair by their order; one that only one side has pairs with nothing.
_FOOTER = """
    WITH leaves AS (
        SELECT type, row_number() OVER () - 1 AS column_id
        FROM parquet_schema(?) WHERE coalesce(num_children, 0) = 0
    ), moments AS (
        SELECT column_id, path_in_schema, type,
            try_cast(stats_min_value AS TIMESTAMP) AS low, try_cast(stats_max_value AS TIMESTAMP) AS high
        FROM parquet_metadata(?)
    ), chunks AS (
        SELECT column_id, any_value(path_in_schema) AS name, list(DISTINCT type) AS types,
            CASE WHEN count(low) = count(*) THEN min(low) END AS low,
            CASE WHEN count(high) = count(*) THEN max(high) END AS high
        FROM moments GROUP BY column_id
    )
    SELECT chunks.name, leaves.type, chunks.types, chunks.low, chunks.high
    FROM chunks LEFT JOIN leaves USING (column_id)
"""


def read_parquet_facts(path: Path) -> DeliveredFile:
    """Read the footer of a Parquet file.

    Raises:
        UnreadableFileError: there is no complete footer (the file is truncated or something else).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _require_parquet_ends(path)
    moments = _read_moments(path)
    try:
        with pq.ParquetFile(path) as file:
            schema, row_count = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged_footer() from error
    _require_names(schema.names)
    columns = {item.name: _ibis_type(item.type) for item in schema}
    return DeliveredFile(columns, row_count, ranges=dict(_ranges(columns, moments)))


def _read_moments(path: Path) -> dict[str, tuple[Any, Any]]:
    """Return what the footer says of its columns: least and greatest moment, None where it says none.

    By DuckDB, since Arrow ends the whole process where statistics or types of a damaged footer contradict each other.
    """
    import duckdb

    try:
        found = _footer_reader(os.getpid()).cursor().execute(_FOOTER, [glob.escape(str(path))] * 2).fetchall()
    except duckdb.Error as error:
        raise _damaged_footer() from error
    if any(types != [of_schema] for _, of_schema, types, *_ in found):
        raise _damaged_footer()
    return {name: (low, high) for name, _, _, low, high in found}


@cache  # never emptied: DuckDB aborts when a connection that was opened before a fork is closed in the child
def _footer_reader(_process: int) -> duckdb.DuckDBPyConnection:
    """Return this process's connection for footers."""
    import duckdb

    return duckdb.connect(":memory:", config={"threads": 1, "autoinstall_known_extensions": False})


def _damaged_footer() -> UnreadableFileError:
    return UnreadableFileError(
        "its footer is damaged", "a readable Parquet footer", "have the file delivered again"
    )


def show_column(name: str) -> str:
    """Return a delivered column's name for a message, unless it could be a value of a row."""
    return (
        name if _SHOWABLE.fullmatch(name) else f"(not shown: {len(name)} characters that are no plain name)"
    )


def _require_parquet_ends(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(-min(path.stat().st_size, 4), io.SEEK_END)
        tail = stream.read(4)
    if head != _PARQUET_MAGIC:
        raise UnreadableFileError(
            "it is not a Parquet file", "a file that begins with PAR1", "check `format` in the feed's YAML"
        )
    if tail != _PARQUET_MAGIC:
        raise UnreadableFileError(
            "it is truncated: its footer is missing",
            "a complete Parquet file, which ends with PAR1",
            "have it delivered again; the operator should write under another name and rename",
        )


def _ibis_type(kind: pa.DataType) -> str:
    """Return the exact Ibis type, so that the engine sees the casts that are needed and no others."""
    import pyarrow.types as kinds

    if kinds.is_dictionary(kind):
        return _ibis_type(kind.value_type)
    if kinds.is_timestamp(kind):
        return "timestamp('UTC')" if kind.tz else "timestamp(9)" if kind.unit == "ns" else "timestamp"
    if kinds.is_decimal(kind) and kind.precision <= 38:
        return f"decimal({kind.precision}, {kind.scale})"
    return _IBIS_TYPES.get(str(kind), f"unsupported ({str(kind).partition('<')[0]})")


def _ranges(
    columns: Mapping[str, str], moments: Mapping[str, tuple[Any, Any]]
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield (least, greatest) of the columns of days and moments, where Python can hold both (not the year 300000)."""
    for name, kind in columns.items():
        low, high = moments.get(name, (None, None))
        if isinstance(low, dt.datetime) and isinstance(high, dt.datetime):
            if kind == "date":
                yield name, (low.date(), high.date())
            elif kind.startswith("timestamp"):
                yield name, (low, high)


def read_csv_facts(path: Path, delimiter: str) -> DeliveredFile:
    """Read the header and the first block of a CSV file.

    Raises:
        UnreadableFileError: the block is no UTF-8 text or no CSV, or there is no header.
    """
    with path.open("rb") as stream:
        block = stream.read(_BLOCK_BYTES)
    is_whole = len(block) == path.stat().st_size
    text = _decoded(block, is_whole=is_whole)
    lines = text if is_whole else text[: text.rfind("\n") + 1]
    rows = _records(lines, delimiter)
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise UnreadableFileError(
            "it has no header line", "column names in the first line", "deliver the header"
        )
    header, body = rows[0], [row for row in rows[1:] if row]
    _require_names(header)
    scale = 1.0 if is_whole else path.stat().st_size / max(len(lines.encode()), 1)
    sample = {name: [row[i] for row in body if len(row) > i] for i, name in enumerate(header)}
    return DeliveredFile(
        dict.fromkeys(header, "string"), int(len(body) * scale), is_row_count_exact=is_whole, sample=sample
    )


def _records(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    first_line = 1
    try:
        for row in reader:
            rows.append(row)
            first_line = reader.line_num + 1
    except csv.Error as error:
        # An open quote makes one value of everything after it.
        is_open = "field limit" in str(error)
        raise UnreadableFileError(
            f"line {first_line}: a quote is not closed" if is_open else f"line {first_line} is not valid CSV",
            'values quoted with " where needed, each quote closed',
            "have the file delivered correctly",
        ) from error
    return rows


def _decoded(block: bytes, *, is_whole: bool) -> str:
    block = block.removeprefix(codecs.BOM_UTF8)
    try:
        return block.decode("utf-8")
    except UnicodeDecodeError as error:
        # The end of the block may cut a character in two.
        if not is_whole and error.start >= len(block) - 4:
            return block[: error.start].decode("utf-8")
        line = block[: error.start].count(b"\n") + 1
        raise UnreadableFileError(
            f"line {line} is not UTF-8 text", "UTF-8", "have the file exported as UTF-8"
        ) from error


def _require_names(names: Sequence[str]) -> None:
    if len(names) > MOST_COLUMNS:
        raise UnreadableFileError(
            f"it has {len(names)} columns",
            f"at most {MOST_COLUMNS} columns",
            "check `delimiter` in the feed's YAML",
        )
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise UnreadableFileError(
            f"columns are there twice: {', '.join(map(show_column, twice[:10]))}",
            "each column once",
            "have the file delivered correctly",
        )


def as_naive_utc(value: Any) -> dt.datetime | dt.date | None:
    """Return a statistic as naive UTC datetime or date; None if it is neither, or before or after all dates."""
    if isinstance(value, dt.datetime):
        try:
            return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        except OverflowError:
            return None
    return value if isinstance(value, dt.date) else None
