"""A panel of daily series: values in MB by day and series.

Belongs here: the panel, cutting it, and making one from rows. Does not belong here: what is unusable in it
(series_status) or forecasts of it (kernel).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.quality.forecasters.protocol import FloatArray

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Panel:
    """Daily values of several series.

    Attributes:
        days: consecutive local days, oldest first.
        series: unique names.
        values_mb: float64 [days x series]; NaN where nothing is known.
    """

    days: tuple[dt.date, ...]
    series: tuple[str, ...]
    values_mb: FloatArray

    def __post_init__(self) -> None:
        if self.values_mb.shape != (len(self.days), len(self.series)):
            raise _wrong(f"values have shape {self.values_mb.shape}", "[days x series]")
        if any(after - before != _DAY for before, after in zip(self.days, self.days[1:], strict=False)):
            raise _wrong(
                "days are not consecutive", "every day once, oldest first, NaN where nothing is known"
            )
        if len(set(self.series)) != len(self.series):
            raise _wrong("a series occurs twice", "unique names")
        if np.isinf(self.values_mb).any():
            raise _wrong("a value is infinite", "finite values, NaN where nothing is known")

    def up_to(self, day: dt.date) -> Panel:
        """Return the panel without the days after one."""
        count = sum(one <= day for one in self.days)
        return Panel(self.days[:count], self.series, self.values_mb[:count])

    def last(self, days: int) -> Panel:
        """Return the last days only."""
        start = max(len(self.days) - days, 0)
        return Panel(self.days[start:], self.series, self.values_mb[start:])


def assemble_panel(
    days: Sequence[dt.date],
    series: Sequence[str],
    values_mb: Sequence[float] | FloatArray,
    *,
    delivered_days: Collection[dt.date],
    first_day: dt.date,
    last_day: dt.date,
    gap: Literal["zero", "unknown"] = "zero",
) -> Panel:
    """Make a panel from rows; several rows of a series and day are summed.

    Args:
        days: of each row; those that were not delivered are left out.
        series: of each row.
        values_mb: of each row.
        delivered_days: days of healthy feeds; all others are unknown for every series.
        first_day: of the panel.
        last_day: of the panel.
        gap: what a series without a row on a delivered day had, once it has appeared: no traffic, or nothing
            that is known.
    """
    length = (last_day - first_day).days + 1
    wanted = [first_day + n * _DAY for n in range(length)]
    is_delivered = np.array([day in delivered_days for day in wanted], dtype=bool)
    names, columns = np.unique(np.array(series, dtype=str), return_inverse=True)
    rows = np.array([(day - first_day).days for day in days], dtype=np.int64)
    is_inside = (rows >= 0) & (rows < length)
    is_inside[is_inside] &= is_delivered[rows[is_inside]]
    cells = (rows[is_inside], columns[is_inside])
    table, has_row = np.zeros((length, len(names))), np.zeros((length, len(names)), dtype=bool)
    np.add.at(table, cells, np.asarray(values_mb, dtype=np.float64)[is_inside])
    has_row[cells] = True
    has_appeared = np.logical_or.accumulate(has_row, axis=0)
    is_known = has_row if gap == "unknown" else has_appeared & is_delivered[:, None]
    is_present = has_row.any(axis=0)
    kept = np.where(is_known, table, np.nan)[:, is_present]
    return Panel(tuple(wanted), tuple(names[is_present].tolist()), kept)


def _wrong(what: str, expected: str) -> PlatformError:
    return PlatformError(f"this is no panel: {what}", expected=expected, remedy="make it with assemble_panel")
