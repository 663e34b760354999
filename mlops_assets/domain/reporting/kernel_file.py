"""The operator's kernel file: the ranges of the coming days, one row per plan and day.

Belongs here: columns, order and rounding of that file. Does not belong here: computing ranges
(mlops_assets.domain.quality) or storing the file.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.reporting.csv_text import write_csv
from mlops_assets.domain.reporting.report_rows import Row, Rows, read_rows

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("Plan", "Date", "Day", "Forecast_Low (mb)", "Forecast_High (mb)")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DECIMALS = 2  # 0.01 MB, ten kilobytes: below what any plan moves by
_NEEDED = ("series", "target_day", "low_mb", "high_mb")


def build_kernel_file(kernel: Rows, *, day: dt.date, horizon_days: int = 30) -> pa.Table:
    """Return the kernel file as an Arrow table, by plan and date.

    Low is rounded down and High up to 0.01 MB, so that rounding never puts a value outside. A series without
    a range (too little history) keeps its rows, with both cells empty.

    Args:
        kernel: kernel rows of one geography: series, target_day, low_mb, high_mb; others are ignored.
        day: the kernel's day; its ranges are for the days after it.
        horizon_days: days that every plan must have.

    Raises:
        TableInputError: a column, a day or one end of a range is missing, a day is there twice, or a range
            is negative or upside down; build the kernel again.
    """
    import pyarrow as pa

    rows = read_rows(kernel, needed=_NEEDED, what="kernel rows")
    rows.sort(key=lambda row: (row["series"], row["target_day"]))
    _check_days(rows, day, horizon_days)
    for row in rows:
        _check_range(row)
    days = [row["target_day"] for row in rows]
    return pa.table(
        [
            pa.array([row["series"] for row in rows], pa.string()),
            pa.array(days, pa.date32()),
            pa.array([_WEEKDAYS[one.weekday()] for one in days], pa.string()),
            pa.array([_round_outward(row["low_mb"], math.floor) for row in rows], pa.float64()),
            pa.array([_round_outward(row["high_mb"], math.ceil) for row in rows], pa.float64()),
        ],
        names=list(COLUMNS),
    )


def write_kernel_csv(kernel_file: pa.Table) -> str:
    """Return the kernel file as CSV; plan codes that look like formulas are neutralised."""
    columns = [kernel_file.column(name).to_pylist() for name in COLUMNS]
    return write_csv(
        COLUMNS,
        (
            (plan, day.isoformat(), weekday, _format_mb(low), _format_mb(high))
            for plan, day, weekday, low, high in zip(*columns, strict=True)
        ),
    )


def _check_days(rows: Sequence[Row], day: dt.date, horizon_days: int) -> None:
    """Raise unless every series has exactly the coming days, each once."""
    coming = [day + dt.timedelta(days=ahead) for ahead in range(1, horizon_days + 1)]
    days_of: dict[str, list[dt.date]] = {}
    for row in rows:
        days_of.setdefault(row["series"], []).append(row["target_day"])
    for series, days in days_of.items():
        if days != coming:
            raise TableInputError(
                f"the kernel does not have each of the {horizon_days} coming days once",
                where=f"series `{series}`, {len(days)} rows, {days[0]} to {days[-1]}",
                expected=f"one row a day from {coming[0]} to {coming[-1]}",
                remedy=f"build the kernel of {day} again",
            )


def _check_range(row: Row) -> None:
    low, high = row["low_mb"], row["high_mb"]
    if (low is None and high is None) or (low is not None and high is not None and 0 <= low <= high):
        return
    raise TableInputError(
        "a kernel row has no usable range",
        where=f"series `{row['series']}`, {row['target_day']}: low {low}, high {high}",
        expected="0 <= low <= high, or neither",
        remedy="build the kernel again",
    )


def _round_outward(value_mb: float | None, to_whole: Callable[[float], int]) -> float | None:
    if value_mb is None:
        return None
    nearest: float = round(value_mb, _DECIMALS)
    if nearest == value_mb:  # 0.29 * 100 is 28.999...: what is round already stays
        return nearest
    steps_per_mb = 10.0**_DECIMALS
    return to_whole(value_mb * steps_per_mb) / steps_per_mb


def _format_mb(value_mb: float | None) -> str:
    return "" if value_mb is None else f"{value_mb:.{_DECIMALS}f}"
