"""How an operator writes a date or a moment: a small subset of strptime.

`%Y` has four digits, `%m %d %H %M %S` have two, zeros in front included; between them stand single characters
of `SEPARATORS`, or nothing. So every part lies at a fixed place, and a text is brought to ISO form by cutting it:
every engine can do that, while no two of them share their own patterns.

Belongs here: the subset, and reading one text of a file. Does not belong here: whole columns
(column_translation).
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass

SEPARATORS = " -/.:_T"
_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
_WORDS = {"Y": "YYYY", "m": "MM", "d": "DD", "H": "HH", "M": "MM", "S": "SS"}
_DATE, _TIME = "Ymd", "HM"


@dataclass(frozen=True)
class TimeFormat:
    """A format, taken apart.

    Attributes:
        words: for readers, e.g. `DD/MM/YYYY`.
        pattern: regular expression of a whole text, for every engine.
        places: part (`Y m d H M S`) to its first character, from 0, and its number of characters.
    """

    words: str
    pattern: str
    places: dict[str, tuple[int, int]]

    @property
    def iso_parts(self) -> list[str | tuple[int, int]]:
        """What an ISO text is joined from: pieces of the delivered text by place, and literals."""
        parts: list[str | tuple[int, int]] = [self.places["Y"], "-", self.places["m"], "-", self.places["d"]]
        if "H" in self.places:
            seconds = self.places.get("S", "00")
            parts += [" ", self.places["H"], ":", self.places["M"], ":", seconds]
        return parts

    def read(self, text: str) -> dt.datetime:
        """Return the moment that a text says, midnight for dates. Raises ValueError if it is not in this form."""
        if not re.fullmatch(self.pattern, text.strip()):
            raise ValueError(f"not written as {self.words}")
        cut = (
            part if isinstance(part, str) else text.strip()[part[0] : sum(part)] for part in self.iso_parts
        )
        return dt.datetime.fromisoformat("".join(cut))


@functools.cache
def parse_time_format(text: str, kind: str) -> TimeFormat:
    """Return the format of a `date` or `timestamp` column.

    Raises:
        ValueError: it is not in the subset, lacks a part, has one twice, or has a time of day for a date.
    """
    words, pattern, places, at = "", "^", {}, 0
    for token in re.findall(r"%.|[^%]|%$", text):
        name = token[1:]
        if name in _WIDTHS and name not in places:
            width = _WIDTHS[name]
            words, pattern = words + _WORDS[name], f"{pattern}[0-9]{{{width}}}"
            places[name] = (at, width)
            at += width
        elif token in SEPARATORS:
            words, pattern, at = words + token, f"{pattern}[{token}]", at + 1
        else:
            why = "occurs twice" if name in places else "is not known"
            raise ValueError(f"{token!r} in the format {text!r} {why}; {_subset(kind)}")
    wanted = {*_DATE, *(_TIME if kind == "timestamp" else "")}
    if places.keys() not in (wanted, {*wanted, "S"} if kind == "timestamp" else wanted):
        raise ValueError(f"the format {text!r} is not that of a {kind}; {_subset(kind)}")
    return TimeFormat(words, f"{pattern}$", places)


def _subset(kind: str) -> str:
    parts = "%Y %m %d" if kind == "date" else "%Y %m %d %H %M, if there %S"
    return f"a {kind} has {parts}, each once, and single characters of {SEPARATORS!r} between them"
