"""A first contract from a sample file: names, types, units and gaps, as far as the rows tell.

Belongs here: guessing, and saying which guesses a person has to check. Does not belong here: reading the file
(delivered_file) or writing YAML (mlops_assets.commands.new). A sample holds some rows: what it does not hold (a gap, a
larger number, another code) is not known, so nothing here is certain.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlops_assets.domain.errors import FeedRefusedError
from mlops_assets.domain.feeds.contract import ColumnType
from mlops_assets.domain.feeds.delivered_file import DeliveredFile
from mlops_assets.domain.feeds.time_format import parse_time_format

_DELIMITERS = (",", ";", "|", "\t")
_SOURCE = re.compile(r"[A-Za-z_][A-Za-z0-9_ .+-]{0,62}", re.ASCII)
_INTEGER, _DECIMAL = re.compile(r"-?(0|[1-9]\d{0,17})"), re.compile(r"-?\d{1,18}(\.\d*)?([eE][+-]?\d{1,3})?")
_BOOLEANS = {"true", "false"}
# In this order: where both fit, day before month, as most operators write.
_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d")
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UNITS = {
    **dict.fromkeys(("byte", "bytes"), "byte"),
    **{unit.lower(): unit for unit in ("KB", "MB", "GB")},
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "second"),
    **dict.fromkeys(("mins", "minute", "minutes"), "minute"),
    **dict.fromkeys(("hours", "hrs"), "hour"),
    "usd": "usd",
    **dict.fromkeys(("pct", "percent"), "percent"),
    **dict.fromkeys(("count", "cnt", "qty"), "count"),
    "celsius": "celsius",
    "fahrenheit": "fahrenheit",
}


@dataclass(frozen=True)
class DraftColumn:
    """A column as the sample suggests it. `doubts` say, in words, what is only a guess."""

    name: str
    source: str
    type: ColumnType
    unit: str = ""
    format: str = ""
    is_nullable: bool = False
    is_never_negative: bool = False
    doubts: tuple[str, ...] = ()


def guess_delimiter(header: str) -> str:
    """Return the delimiter that divides a header line into most columns."""
    return max(_DELIMITERS, key=header.count)


def draft_columns(file: DeliveredFile) -> list[DraftColumn]:
    """Return a column for each of the sample.

    Raises:
        FeedRefusedError: a column's name cannot stand in a contract, or two would get one name.
    """
    columns = [_draft(source, file.sample.get(source, [])) for source in file.columns]
    names = [column.name for column in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FeedRefusedError(
            f"two columns would both be called {', '.join(twice)}",
            where="header of the sample",
            expected="names that differ in letters or digits",
            remedy="rename one of them in a copy of the sample, and correct `source` afterwards",
        )
    return columns


def draft_key(columns: Sequence[DraftColumn], sample: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the fewest first columns whose values tell all rows of the sample apart; all columns if none do."""
    for count in range(1, len(columns)):
        rows = list(zip(*(sample[column.source] for column in columns[:count]), strict=False))
        if rows and len(set(rows)) == len(rows):
            return [column.name for column in columns[:count]]
    return [column.name for column in columns]


def _draft(source: str, texts: Sequence[str]) -> DraftColumn:
    if not _SOURCE.fullmatch(source):
        raise FeedRefusedError(
            "a column's name cannot stand in a contract",
            where="header of the sample",
            expected="names of letters, digits, blanks and _ . + -, beginning with a letter",
            remedy="name a sample whose first line is its header",
        )
    filled = [text.strip() for text in texts if text.strip()]
    kind, form, doubts = _guess_type(filled)
    is_number = kind in {"integer", "decimal"}
    unit = _guess_unit(source) if is_number else ""
    if unit:
        doubts = (*doubts, f"unit {unit} is guessed from the name")
    never_negative = is_number and not any(text.startswith("-") for text in filled)
    return DraftColumn(
        name=_plain_name(source),
        source=source,
        type=kind,
        unit=unit,
        format=form,
        is_nullable=len(filled) < len(texts),
        is_never_negative=never_negative,
        doubts=doubts,
    )


def _guess_type(texts: Sequence[str]) -> tuple[ColumnType, str, tuple[str, ...]]:
    """Return type, format of dates, and doubts."""
    if not texts:
        return "text", "", ("the sample has no value",)
    if {text.lower() for text in texts} <= _BOOLEANS:
        return "boolean", "", ()
    if all(_INTEGER.fullmatch(text) for text in texts):
        return "integer", "", ()
    if all(_DECIMAL.fullmatch(text) for text in texts) and any("." in text for text in texts):
        return "decimal", "", ()
    return _guess_time(texts) or ("text", "", ())


def _guess_time(texts: Sequence[str]) -> tuple[ColumnType, str, tuple[str, ...]] | None:
    if _all_read(texts, dt.datetime.fromisoformat):
        if all(_ISO_DATE.fullmatch(text) for text in texts):
            return "date", "", ()
        if all(len(text) > len("2026-08-03") for text in texts):
            return "timestamp", "", ("taken for UTC; say `timezone: local` if it is not",)
        return None
    for form in _DATES:
        fitting: list[tuple[ColumnType, str]] = [("date", form), ("timestamp", f"{form} %H:%M:%S")]
        for kind, full in fitting:
            if _all_read(texts, parse_time_format(full, kind).read):
                doubts = (f"written as {full}: is the day before the month?",) if "%d" in form[:5] else ()
                zone = ("taken for UTC; say `timezone: local` if it is not",) if kind == "timestamp" else ()
                return kind, full, (*doubts, *zone)
    return None


def _all_read(texts: Sequence[str], read: Callable[[str], dt.datetime]) -> bool:
    try:
        return all(read(text) is not None for text in texts)
    except ValueError:
        return False


def _guess_unit(source: str) -> str:
    for word in reversed(re.findall(r"[a-z]+", _plain_name(source))):
        if word in _UNITS:
            return _UNITS[word]
    return ""


def _plain_name(source: str) -> str:
    """Return the operator's name in our form: `dataVolMB` and `Data Vol-MB` become `data_vol_mb`."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", source)
    plain = re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"column_{plain}"
