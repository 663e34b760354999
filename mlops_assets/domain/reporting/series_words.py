"""What is said of series that have no ordinary range, or whose values are no ordinary values.

Belongs here: one label and one sentence for each status or reason of the quality stage. Does not belong
here: deciding which series has which (mlops_assets.domain.quality).
"""

from __future__ import annotations

from typing import NamedTuple

from mlops_assets.domain.reporting.formats import format_name


class Word(NamedTuple):
    """A label for a table and the sentence that explains it."""

    label: str
    sentence: str


# An ordinary series needs no word.
ORDINARY = frozenset({"", "ok"})

SERIES_WORDS: dict[str, Word] = {
    "short_history": Word(
        "Short history",
        "It has fewer days than a range needs. It gets one as soon as there are enough; until then it counts "
        "neither as an anomaly nor as normal.",
    ),
    "new": Word(
        "New plan",
        "This is its first day, so there is nothing to compare with. It is watched from the day on which it "
        "has enough history.",
    ),
    "ended": Word(
        "Ended plan",
        "It had traffic on most days before and none in the last seven, as a plan that is no longer used. It has "
        "no range. If it was not withdrawn on purpose, look at the feed.",
    ),
    "silent": Word(
        "Silent",
        "It has never had any traffic. There is no level to measure against, and so no range.",
    ),
    "constant": Word(
        "Constant",
        "It has had the same value every day, and its range is that value only. Real traffic varies: the value "
        "may be a placeholder of the source.",
    ),
    "gaps": Word(
        "Gaps",
        "Days are missing in its history. They are left out, not taken for zero; the range rests on the others.",
    ),
    "negative": Word(
        "Negative values",
        "Traffic cannot be negative: such values are an error of the source. They are left out; if too few days "
        "remain, there is no range.",
    ),
    "gigantic_value": Word(
        "Gigantic value",
        "One value is more than ten times what its high days have. It is left out of the range, which would be "
        "useless with it. A unit error is the usual cause.",
    ),
    "missing_feed": Word(
        "Feed missing",
        "The feed of the day was not delivered, or was refused, so nothing was checked: this is neither an anomaly "
        "nor an all-clear.",
    ),
    "unusable_feed": Word(
        "Feed not used",
        "The feed of the day is held, so nothing was checked: this is neither an anomaly of the series nor an "
        "all-clear.",
    ),
    "missing_value": Word(
        "No value",
        "The feed was delivered, but without this series. Nothing was checked.",
    ),
    "no_range": Word(
        "No range",
        "No forecast was stored for this day, so the value was not compared with anything.",
    ),
    "above_range": Word("above the range", "More than the range allows."),
    "below_range": Word("below the range", "Less than the range allows."),
    "far_above": Word("far above the range", "More than the wider range allows that removes values."),
    "far_below": Word("far below the range", "Less than the wider range allows that removes values."),
}
_OF_SUBSCRIBERS = {"above": "above_range", "below": "below_range"}


def find_word(status: str) -> Word:
    """Return label and sentence of a status; one that nobody has described is shown as it is."""
    unknown = Word(format_name(status), f"The quality stage calls it `{status}`.")
    return SERIES_WORDS.get(_OF_SUBSCRIBERS.get(status, status), unknown)
