"""What changes from day to day in a feed's translation: the file's day and the local clock around it.

Belongs here: the window of accepted instants and the UTC offsets near a day, as a one-row table. Keeping
them out of the SQL text keeps that text constant. Does not belong here: expressions over rows.
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mlops_assets.domain.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

FILE_CONTEXT_TYPES = {
    "file_day": "date",
    "window_first_day": "date",
    "window_start_utc": "timestamp",
    "day_start_utc": "timestamp",
    "window_end_utc": "timestamp",
    "transition_utc": "timestamp",
    "transition_local": "timestamp",
    "offset_before_s": "int64",
    "offset_after_s": "int64",
}
_NEVER = dt.datetime(9000, 1, 1)  # noqa: DTZ001 - UTC without a zone, as all timestamps in tables
_MARGIN_DAYS = 2  # a zone is at most 14 hours from UTC, and late files cross midnight


@dataclass(frozen=True)
class FileContext:
    """Values of one file. Instants are UTC without a zone, `transition_local` is on the local clock.

    Attributes:
        file_day: business day in the file's name; the epoch for snapshots, which have none.
        window_first_day: first accepted day, `late_days_max` before the file's.
        window_start_utc: first accepted instant.
        day_start_utc: first instant of the file's day; events before it are late.
        window_end_utc: first instant of the next day, no longer accepted.
        transition_utc: the change of the clocks near the day, or a far future.
        transition_local: local times before it have `offset_before_s` (ambiguous ones count as the first).
        offset_before_s: seconds to add to UTC for the local time before the transition.
        offset_after_s: the same after it.
    """

    file_day: dt.date
    window_first_day: dt.date
    window_start_utc: dt.datetime
    day_start_utc: dt.datetime
    window_end_utc: dt.datetime
    transition_utc: dt.datetime
    transition_local: dt.datetime
    offset_before_s: int
    offset_after_s: int

    def as_table(self) -> pa.Table:
        """Return the one-row table that compiled feeds read."""
        import pyarrow as pa

        types = {"date": pa.date32(), "timestamp": pa.timestamp("us"), "int64": pa.int64()}
        schema = pa.schema([(name, types[kind]) for name, kind in FILE_CONTEXT_TYPES.items()])
        return pa.Table.from_pylist([asdict(self)], schema=schema)


def file_context(day: dt.date | None, timezone: str, late_days_max: int) -> FileContext:
    """Compute the context of a file.

    Args:
        day: business day in the file's name; None for snapshots.
        timezone: IANA zone of the geography.
        late_days_max: days before the file's day that are accepted.

    Raises:
        ConfigError: the clocks change twice within the accepted days; lower `late_days_max`.
    """
    zone = ZoneInfo(timezone)
    file_day = day or dt.date(1970, 1, 1)
    first, last = file_day - dt.timedelta(days=late_days_max), file_day + dt.timedelta(days=1)
    transition = _only_transition(first, last, zone)
    before_s = _offset_s(first - dt.timedelta(days=_MARGIN_DAYS), zone)
    after_s = _offset_s(last + dt.timedelta(days=_MARGIN_DAYS), zone)
    return FileContext(
        file_day=file_day,
        window_first_day=first,
        window_start_utc=_day_start_utc(first, zone),
        day_start_utc=_day_start_utc(file_day, zone),
        window_end_utc=_day_start_utc(last, zone),
        transition_utc=transition or _NEVER,
        transition_local=transition + dt.timedelta(seconds=max(before_s, after_s)) if transition else _NEVER,
        offset_before_s=before_s,
        offset_after_s=after_s,
    )


def _only_transition(first: dt.date, last: dt.date, zone: ZoneInfo) -> dt.datetime | None:
    """Return the instant (UTC) in [first, last], with a margin, at which the offset changes."""
    days = [
        first + dt.timedelta(days=k) for k in range(-_MARGIN_DAYS, (last - first).days + _MARGIN_DAYS + 1)
    ]
    changed = [(a, b) for a, b in itertools.pairwise(days) if _offset_s(a, zone) != _offset_s(b, zone)]
    if len(changed) > 1:
        raise ConfigError(
            f"the clocks of {zone.key} change twice between {first} and {last}",
            where="late_days_max",
            expected="at most one change of the clocks within the accepted days",
            remedy="lower `late_days_max` of this feed",
        )
    return _bisect_transition(*changed[0], zone) if changed else None


def _bisect_transition(start: dt.date, end: dt.date, zone: ZoneInfo) -> dt.datetime:
    """Return the first second (UTC) of the new offset; there is exactly one change in between."""
    low, high = _midnight_utc(start), _midnight_utc(end)
    old = low.astimezone(zone).utcoffset()
    while high - low > dt.timedelta(seconds=1):
        middle = low + dt.timedelta(seconds=int((high - low).total_seconds() // 2))
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == old else (low, middle)
    return high.replace(tzinfo=None)


def _midnight_utc(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)


def _offset_s(day: dt.date, zone: ZoneInfo) -> int:
    offset = _midnight_utc(day).astimezone(zone).utcoffset() or dt.timedelta()
    return int(offset.total_seconds())


def _day_start_utc(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    """Return the first instant of a local day; where midnight is skipped, that of the change of clocks."""
    start = dt.datetime.combine(day, dt.time(), tzinfo=zone).astimezone(dt.UTC)
    # Fold 0 reads a skipped midnight with the old offset, which lands exactly on the change.
    return start.replace(tzinfo=None)
