"""Whether a delivered file is acceptable, judged before its rows are read.

Belongs here: presence, size, schema, row count, and the day in the file against the day in its name.
Does not belong here: rows (homologation) and what happens to a refused file (landing).
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import FeedMissingError, FeedRefusedError
from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract, Geography
from mlops_assets.domain.feeds.delivered_file import (
    DeliveredFile,
    UnreadableFileError,
    as_naive_utc,
    read_csv_facts,
    read_parquet_facts,
    show_column,
)
from mlops_assets.domain.feeds.file_context import FileContext, file_context
from mlops_assets.domain.feeds.time_format import parse_time_format
from mlops_assets.domain.ports import LandedFile

_MOST_UNKNOWN = 20  # columns that are named one by one
_NUMBERS = ("int", "uint", "float", "decimal", "string")
# Which delivered types a contract's type can be made of.
_ACCEPTED_TYPES: dict[str, tuple[str, ...]] = {
    "integer": _NUMBERS,
    "decimal": _NUMBERS,
    "text": ("string", "int", "uint"),
    "boolean": ("boolean", "int", "uint", "string"),
    "date": ("date", "timestamp", "string"),
    "timestamp": ("timestamp", "string"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a delivery, in the words of a message."""

    file: str
    what: str
    column: str = ""
    expected: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """Show as one line."""
        where = f"{self.file}, column {self.column}" if self.column else self.file
        parts = [f"{where}: {self.what}"]
        parts += [f"expected: {self.expected}"] if self.expected else []
        parts += [f"remedy: {self.remedy}"] if self.remedy else []
        return "; ".join(parts)


@dataclass(frozen=True)
class MetadataReport:
    """An accepted file and its facts."""

    file: LandedFile
    delivered: DeliveredFile


class FeedFindingsError(FeedRefusedError):
    """A file is refused; `findings` holds every reason, the message the first and their number."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        first = findings[0]
        more = f" (and {len(findings) - 1} more findings)" if len(findings) > 1 else ""
        where = f"{first.file}, column {first.column}" if first.column else first.file
        super().__init__(first.what + more, where=where, expected=first.expected, remedy=first.remedy)


def validate_metadata(
    contract: FeedContract, geography: Geography, day: dt.date | None, file: LandedFile | None
) -> MetadataReport:
    """Judge a delivered file by its metadata alone.

    Args:
        contract: contract of one geography (`for_geography` applied).
        geography: where it was delivered.
        day: business day in the file's name; None for snapshots.
        file: the delivered file, or None if there is none.

    Raises:
        FeedMissingError: no file has been delivered.
        FeedFindingsError: a FeedRefusedError with every finding.
        ConfigError: the contract contradicts the geography's clock.
    """
    if file is None:
        raise FeedMissingError(
            "the file has not been delivered",
            where=f"{geography.code}/{contract.file_name(day)}",
            expected=f"within {contract.arrival_deadline_hours} hours after the start of its day",
            remedy="ask the operator, or correct `file_pattern` in the feed's YAML",
        )
    _refuse_if(_size_findings(contract, file))
    try:
        delivered = _facts(contract, file.path)
    except UnreadableFileError as error:
        _refuse_if([Finding(file.path.name, error.what, expected=error.expected, remedy=error.remedy)])
        raise
    context = file_context(day, geography.timezone, contract.late_days_max)
    findings = [
        *_column_findings(contract, file.path.name, delivered),
        *_row_count_findings(contract, file.path.name, delivered),
        *(_day_findings(contract, file.path.name, delivered, context) if day else ()),
    ]
    _refuse_if(findings)
    return MetadataReport(file, delivered)


def _refuse_if(findings: list[Finding]) -> None:
    if findings:
        raise FeedFindingsError(tuple(findings))


def _facts(contract: FeedContract, path: Path) -> DeliveredFile:
    return (
        read_parquet_facts(path) if contract.format == "parquet" else read_csv_facts(path, contract.delimiter)
    )


def _size_findings(contract: FeedContract, file: LandedFile) -> list[Finding]:
    name = file.path.name
    if file.size_bytes == 0:
        return [
            Finding(name, "the file is empty (0 bytes)", expected="data", remedy="have it delivered again")
        ]
    if file.size_bytes > contract.max_bytes:
        what = f"the file has {file.size_bytes} bytes"
        remedy = "check for a doubled delivery, or raise `max_bytes` in the feed's YAML"
        return [Finding(name, what, expected=f"at most {contract.max_bytes} bytes", remedy=remedy)]
    return []


def _column_findings(contract: FeedContract, name: str, delivered: DeliveredFile) -> Iterator[Finding]:
    wanted = wanted_columns(contract)
    unknown = [column for column in delivered.columns if column not in wanted]
    if len(unknown) == len(delivered.columns):
        what = "none of its columns is expected: its header line is missing, or it is another feed's file"
        yield Finding(name, what, expected=f"the columns {', '.join(wanted)}", remedy="deliver the header")
        return
    for column in wanted:
        if column in delivered.columns:
            continue
        near = difflib.get_close_matches(column, unknown, n=1)
        hint = f"; is `{show_column(near[0])}` it? Then correct `source` in the feed's YAML" if near else ""
        yield Finding(name, "the column is missing", column, f"a column {column}", f"have it delivered{hint}")
    yield from _unknown_findings(name, unknown, list(wanted))
    for column, contracts in wanted.items():
        if column in delivered.columns:
            yield from _type_findings(name, column, delivered.columns[column], contracts)


def _unknown_findings(name: str, unknown: list[str], wanted: list[str]) -> Iterator[Finding]:
    expected = f"only {', '.join(wanted)}"
    for column in unknown[:_MOST_UNKNOWN]:
        near = difflib.get_close_matches(column, wanted, n=1)
        hint = f"; the nearest expected name is `{near[0]}`" if near else ""
        remedy = f"add it to the feed's YAML{hint}"
        yield Finding(name, "the column is unknown", show_column(column), expected, remedy)
    if (rest := len(unknown) - _MOST_UNKNOWN) > 0:
        yield Finding(name, f"{rest} more columns are unknown", "", expected, "check `delimiter` in the YAML")


def wanted_columns(contract: FeedContract) -> dict[str, list[ColumnContract]]:
    """Return the source columns with the contract columns they serve (none for unit columns)."""
    wanted: dict[str, list[ColumnContract]] = {}
    for column in contract.columns:
        wanted.setdefault(column.source, []).append(column)
        if column.source_unit_column:
            wanted.setdefault(column.source_unit_column, [])
    return wanted


def _type_findings(name: str, source: str, kind: str, contracts: list[ColumnContract]) -> Iterator[Finding]:
    accepted = [(column.name, column.type, _ACCEPTED_TYPES[column.type]) for column in contracts]
    for ours, wanted, families in accepted or [("its unit", "text", ("string",))]:
        if not kind.startswith(families):
            expected = f"{wanted} for {ours}, delivered as {' or '.join(families)}"
            yield Finding(
                name, f"the type is {kind}", source, expected, "correct the delivery, or `type` in the YAML"
            )
    if "UTC" in kind and any(column.timezone == "local" for column in contracts):
        remedy = "set `timezone: utc` in the feed's YAML"
        yield Finding(name, "the timestamps carry a time zone", source, "local times without a zone", remedy)


def _row_count_findings(contract: FeedContract, name: str, delivered: DeliveredFile) -> list[Finding]:
    if delivered.row_count > contract.max_rows:
        remedy = (
            "check for a file that was made to exhaust its reader, or raise `max_rows` in the feed's YAML"
        )
        what = f"the file has {delivered.row_count} rows"
        return [Finding(name, what, "", f"at most {contract.max_rows} rows", remedy)]
    if not delivered.is_row_count_exact or delivered.row_count >= contract.min_rows:
        return []  # an estimate is no ground to refuse; landing counts the rows
    return [row_count_finding(contract, name, delivered.row_count)]


def row_count_finding(contract: FeedContract, name: str, row_count: int) -> Finding:
    """Return the finding for a file with too few rows."""
    remedy = "have it delivered completely, or lower `min_rows` in the feed's YAML"
    return Finding(name, f"the file has {row_count} rows", "", f"at least {contract.min_rows} rows", remedy)


def _day_findings(
    contract: FeedContract, name: str, delivered: DeliveredFile, context: FileContext
) -> Iterator[Finding]:
    """Refuse a file none of whose rows can be of its day; shares are checked row by row later."""
    if contract.day_column is None:
        return
    column = contract.column(contract.day_column)
    low, high = _delivered_range(delivered, column)
    if low is None or high is None:
        return
    first, last = _accepted_range(column, context, isinstance(low, dt.datetime))
    if high < first or low >= last:
        seen = _rows_seen(delivered, column)
        what = f"{seen} of other days: from {low} to {high} ({column.timezone})"
        expected = f"rows from {first} to before {last}, because the name says {context.file_day}"
        yield Finding(name, what, column.source, expected, "deliver the file of this day, or rename it")


def _rows_seen(delivered: DeliveredFile, column: ColumnContract) -> str:
    """Say which rows a finding rests on: the footer speaks for all of them, the first block of a CSV does not."""
    if delivered.is_row_count_exact:
        return "all its rows are"
    return f"its first {len(delivered.sample[column.source])} rows, which were looked at, are all"


def _accepted_range(column: ColumnContract, context: FileContext, is_instant: bool) -> tuple[Any, Any]:  # noqa: FBT001
    end_day = context.file_day + dt.timedelta(days=1)
    if not is_instant:
        return context.window_first_day, end_day
    if column.timezone == "local":
        midnight = dt.time()
        return dt.datetime.combine(context.window_first_day, midnight), dt.datetime.combine(end_day, midnight)
    return context.window_start_utc, context.window_end_utc


def _delivered_range(delivered: DeliveredFile, column: ColumnContract) -> tuple[Any, Any]:
    """Return the least and greatest day or instant that metadata show, or (None, None)."""
    low, high = delivered.ranges.get(column.source, (None, None))
    low, high = as_naive_utc(low), as_naive_utc(high)
    if delivered.sample:
        low, high = _sampled_range(delivered.sample, column)
    if column.type == "date":
        low, high = (value.date() if isinstance(value, dt.datetime) else value for value in (low, high))
    return (low, high) if type(low) is type(high) else (None, None)


def _sampled_range(sample: Mapping[str, list[str]], column: ColumnContract) -> tuple[Any, Any]:
    """Return the range of the first rows of a CSV if all of them are readable; they speak for the file."""
    read = parse_time_format(column.format, column.type).read if column.format else dt.datetime.fromisoformat
    try:
        days = [as_naive_utc(read(text)) for text in sample.get(column.source, [])]
    except ValueError:
        return None, None
    known = [day for day in days if day is not None]
    return (min(known), max(known)) if known and len(known) == len(days) else (None, None)
