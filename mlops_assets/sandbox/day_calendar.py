"""What a day is in one place: its hours in UTC, its weekday, its holidays and the mood of the whole network.

Belongs here: local days and the factors that all subscribers of a geography share. Does not belong here:
personal effects (behaviour).

Holidays are a fixed list of dates per country (movable feasts are left out on purpose: the platform's own
holiday calendar is then, realistically, not exactly the simulator's).
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from mlops_assets.sandbox.parameters import BehaviourParameters
from mlops_assets.sandbox.sql_engine import normal_of

_HOLIDAYS: dict[str, frozenset[tuple[int, int]]] = {
    "America/Santiago": frozenset(
        {(1, 1), (5, 1), (5, 21), (7, 16), (8, 15), (9, 18), (9, 19), (10, 31), (11, 1), (12, 8), (12, 25)}
    ),
    "America/Lima": frozenset(
        {(1, 1), (5, 1), (6, 29), (7, 28), (7, 29), (8, 30), (10, 8), (11, 1), (12, 8), (12, 25)}
    ),
}
_EVERYWHERE = frozenset({(1, 1), (5, 1), (12, 25)})
_SHOCK_WEIGHTS = (0.75, 0.5, 0.35, 0.2, 0.15)  # squares sum to 1.0 within 2 %


def is_holiday(timezone: str, day: dt.date) -> bool:
    """Say whether a day is on the fixed list of the country in which the time zone lies."""
    return (day.month, day.day) in _HOLIDAYS.get(timezone, _EVERYWHERE)


@dataclass(frozen=True)
class DayClock:
    """A local business day on the UTC axis, in epoch seconds.

    From `switch_s` on, local time is UTC + `offset_after_s`, before it UTC + `offset_before_s`; on ordinary
    days `switch_s` is the start of the day.
    """

    start_s: int
    end_s: int
    switch_s: int
    offset_before_s: int
    offset_after_s: int

    def local_sql(self, epoch_s: str) -> str:
        """Return SQL that turns UTC epoch seconds into local epoch seconds."""
        if self.offset_before_s == self.offset_after_s:
            return f"({epoch_s} + {self.offset_after_s})"
        return (
            f"({epoch_s} + CASE WHEN {epoch_s} >= {self.switch_s} THEN {self.offset_after_s}"
            f" ELSE {self.offset_before_s} END)"
        )


def _offset_s(zone: ZoneInfo, epoch_s: int) -> int:
    offset = dt.datetime.fromtimestamp(epoch_s, tz=zone).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def clock_of(timezone: str, day: dt.date) -> DayClock:
    """Return the local day on the UTC axis; days of a clock change have 23 or 25 hours."""
    zone = ZoneInfo(timezone)
    start = math.ceil(dt.datetime.combine(day, dt.time.min, tzinfo=zone).timestamp())
    end = math.ceil(dt.datetime.combine(day + dt.timedelta(days=1), dt.time.min, tzinfo=zone).timestamp())
    before, after = _offset_s(zone, start - 86_400), _offset_s(zone, end - 1)
    low, high = start - 86_400, end - 1  # the late records of the day before are on this axis, too
    if before == after:
        return DayClock(start, end, start, before, after)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset_s(zone, middle) == before else (low, middle)
    return DayClock(start, end, high, before, after)


@dataclass(frozen=True)
class DayMood:
    """Factors of the day that multiply everybody's desire; 1.0 is an ordinary day."""

    data: float
    voice: float
    is_weekend: bool


def mood_of(
    behaviour: BehaviourParameters, seed: int, geography: str, timezone: str, day: dt.date
) -> DayMood:
    """Return the common factors: weekday x holiday x trend x season x a shock that lasts some days.

    Shock: moving average of the last five days' standard normals, times `common_shock_sd`.
    """
    weekday, is_off = day.weekday(), is_holiday(timezone, day)
    shock = sum(
        weight * normal_of(seed, geography, "shock", (day - dt.timedelta(days=lag)).toordinal())
        for lag, weight in enumerate(_SHOCK_WEIGHTS)
    )
    trend = behaviour.monthly_data_growth * (day.toordinal() - dt.date(2026, 1, 1).toordinal()) / 30.4
    season = 0.03 * math.sin(2 * math.pi * (day.timetuple().tm_yday - 20) / 365.25)
    data = behaviour.weekday_data[weekday] * (behaviour.holiday_data if is_off else 1.0)
    voice = behaviour.weekday_voice[weekday] * (behaviour.holiday_voice if is_off else 1.0)
    return DayMood(
        data=data * math.exp(behaviour.common_shock_sd * shock + trend + season),
        voice=voice * math.exp(0.7 * behaviour.common_shock_sd * shock),
        is_weekend=weekday >= 5,
    )
