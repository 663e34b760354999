"""Local days, holidays and moods."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import duckdb
import pytest

from mlops_assets.sandbox.day_calendar import clock_of, is_holiday, mood_of
from mlops_assets.sandbox.parameters import BehaviourParameters


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/Lima", dt.date(2026, 9, 6), 24),
        ("America/Santiago", dt.date(2026, 9, 5), 24),
        ("America/Santiago", dt.date(2026, 9, 6), 23),  # clocks go forward at midnight
        ("America/Santiago", dt.date(2026, 4, 4), 25),  # and back at the end of this day
        ("America/New_York", dt.date(2026, 3, 8), 23),
    ],
)
def test_days_have_their_true_length_and_local_time(zone: str, day: dt.date, hours: int) -> None:
    clock = clock_of(zone, day)
    assert clock.end_s - clock.start_s == hours * 3600
    with duckdb.connect() as connection:
        for second in range(clock.start_s - 86_400, clock.end_s, 1800):
            row = connection.execute(f"SELECT {clock.local_sql(f'{second}::BIGINT')}").fetchone()
            local = dt.datetime.fromtimestamp(second, tz=ZoneInfo(zone)).replace(tzinfo=dt.UTC)
            assert row == (int(local.timestamp()),)


def test_holidays_follow_the_country() -> None:
    assert is_holiday("America/Santiago", dt.date(2026, 9, 18))
    assert not is_holiday("America/Lima", dt.date(2026, 9, 18))
    assert is_holiday("America/Bogota", dt.date(2026, 12, 25))


def test_mood_is_a_function_of_seed_and_day() -> None:
    behaviour, day = BehaviourParameters(), dt.date(2026, 9, 7)
    one = mood_of(behaviour, 1, "cl", "America/Santiago", day)
    assert one == mood_of(behaviour, 1, "cl", "America/Santiago", day)
    assert one.data != mood_of(behaviour, 2, "cl", "America/Santiago", day).data
    assert 0.6 < one.data < 1.5
