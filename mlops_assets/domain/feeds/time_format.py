"""How an operator writes a date or a moment: a small subset of strptime.

`%Y` has four digits, `%m %d %H %M %S` have two, or one where no other part stands right beside; between them
stand single characters of `SEPARATORS`, or nothing. Each part is cut out by a regular expression with one group,
and the parts are joined in ISO order: every engine can do that, while no two of them share their own patterns.

Belongs here: the subset, and reading one text of a file. Does not belong here: whole columns
(column_translation).
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass

SEPARATORS = " -/.:_T"
_WORDS = {"%Y": "YYYY", "%m": "MM", "%d": "DD", "%H": "HH", "%M": "MM", "%S": "SS"}
_ISO_ORDER = {"%Y": "", "%m": "-", "%d": "-", "%H": " ", "%M": ":", "%S": ":"}  # with what stands before
_PARTS = {"date": {"%Y", "%m", "%d"}, "timestamp": {"%Y", "%m", "%d", "%H", "%M"}}


@dataclass(frozen=True)
class TimeFormat:
    """A format, taken apart.

    Attributes:
        words: for readers, e.g. `DD/MM/YYYY`.
        iso_parts: in ISO order: what stands before a part, and the regular expression of a whole text whose one
            group is that part. Seconds may lack at the end, as they may in ISO.
    """

    words: str
    iso_parts: tuple[tuple[str, str], ...]

    def read(self, text: str) -> dt.datetime:
        """Return the moment that a text says, midnight for dates. Raises ValueError if it is not in this form."""
        iso = ""
        for before, pattern in self.iso_parts:
            found = re.search(pattern, text.strip())
            if found is None:
                raise ValueError(f"not written as {self.words}")
            iso += before + found[1].zfill(2)
        return dt.datetime.fromisoformat(iso)


@functools.cache
def parse_time_format(text: str, kind: str) -> TimeFormat:
    """Return the format of a `date` or `timestamp` column.

    Raises:
        ValueError: it is not in the subset, lacks a part, has one twice, or has a time of day for a date.
    """
    tokens = re.findall(r"%.|[^%]|%$", text)
    for token in tokens:
        if token not in _WORDS and token not in SEPARATORS:
            raise ValueError(f"{token!r} in the format {text!r} is not known; {_subset(kind)}")
    parts = [token for token in tokens if token in _WORDS]
    if len(set(parts)) != len(parts):
        raise ValueError(f"a part of the format {text!r} occurs twice; {_subset(kind)}")
    if set(parts) - ({"%S"} if kind == "timestamp" else set()) != _PARTS[kind]:
        raise ValueError(f"the format {text!r} is not that of a {kind}; {_subset(kind)}")
    iso_parts = tuple(
        (before, _pattern(tokens, part)) for part, before in _ISO_ORDER.items() if part in parts
    )
    return TimeFormat("".join(_WORDS.get(token, token) for token in tokens), iso_parts)


def _pattern(tokens: list[str], wanted: str) -> str:
    """Return the regular expression of a whole text with one group, around the wanted part."""
    pieces = []
    for before, token, after in zip(["", *tokens], tokens, [*tokens[1:], ""], strict=False):
        is_alone = before not in _WORDS and after not in _WORDS
        digits = {"%Y": "4"}.get(token, "1,2" if is_alone else "2")
        piece = f"[0-9]{{{digits}}}" if token in _WORDS else f"[{token}]"
        pieces.append(f"({piece})" if token == wanted else piece)
    return f"^{''.join(pieces)}$"


def _subset(kind: str) -> str:
    parts = "%Y %m %d" if kind == "date" else "%Y %m %d %H %M, if there %S"
    return f"a {kind} has {parts}, each once, and single characters of {SEPARATORS!r} between them"
