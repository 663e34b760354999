"""How far the newest published day of a feed is behind the day of a run.

Belongs here: the verdict and its words. Does not belong here: the clock: a day is judged as seen from itself, so
that a replay of old days says what was true then.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from dataclasses import dataclass

from mlops_assets.domain.feeds.contract import FeedContract

_HOURS_OF_A_DAY = 24


@dataclass(frozen=True)
class Freshness:
    """One geography's newest published day, seen from the day of a run.

    Attributes:
        geography: its code.
        day: day of the run.
        newest_day: newest published day up to `day`; None if there is none.
        allowed_days: so many days behind are in time.
    """

    geography: str
    day: dt.date
    newest_day: dt.date | None
    allowed_days: int

    @property
    def days_behind(self) -> int | None:
        """Days from the newest published day to the run's; None if nothing is published."""
        return (self.day - self.newest_day).days if self.newest_day else None

    @property
    def is_fresh(self) -> bool:
        """Whether the geography is in time; one that never delivered is not."""
        return self.days_behind is not None and self.days_behind <= self.allowed_days

    @property
    def text(self) -> str:
        """How late it is, in one sentence."""
        allowed = f"{_days(self.allowed_days)} behind {'is' if self.allowed_days == 1 else 'are'} allowed"
        if self.newest_day is None:
            return f"{self.geography}: nothing is published up to {self.day}"
        late = f"{_days(self.days_behind or 0)} behind {self.day}"
        if self.is_fresh:
            return f"{self.geography}: in time; the newest published day is {self.newest_day}, {late}"
        return f"{self.geography}: late; the newest published day is {self.newest_day}, {late}; {allowed}"


def judge_freshness(
    contract: FeedContract, geography: str, day: dt.date, published: Iterable[dt.date]
) -> Freshness:
    """Judge how far a geography is behind; later days than the run's do not count.

    Args:
        contract: contract of the geography (`for_geography` applied); its `arrival_deadline_hours`, rounded up
            to days, is what is allowed.
        geography: code of the geography.
        day: day of the run.
        published: days that are published, in any order.
    """
    newest = max((one for one in published if one <= day), default=None)
    return Freshness(geography, day, newest, math.ceil(contract.arrival_deadline_hours / _HOURS_OF_A_DAY))


def _days(count: int) -> str:
    return f"{count} day{'' if count == 1 else 's'}"
