"""Judging the values of a day against the ranges that a kernel gave for it.

A value is outside if the published range does not hold it. It is removed if it is outside and, after the day's
common residual is subtracted, beyond the removal range as well: what moves everybody is an event and no anomaly
of one series.

Belongs here: the verdict on each series, and its words. Does not belong here: ranges (kernel), whether a day's
anomalies are drift (drift_verdict), what readers see (mlops_assets.domain.reporting).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.quality.calibration import find_common_residual
from mlops_assets.domain.quality.log_scale import OFFSET
from mlops_assets.domain.quality.series_status import GIGANTIC_FACTOR, OK
from mlops_assets.domain.reporting.anomaly_report import compare_range

if TYPE_CHECKING:
    import pyarrow as pa

_RELATIVE_ERROR = 1e-9  # of sums of floats; a constant series has a range without width
_NUMBERS = (
    "low_mb", "high_mb", "removal_low_mb", "removal_high_mb", "z_mid", "median_mb",
)  # fmt: skip


@dataclass(frozen=True)
class DayRange:
    """What a kernel says of one series and day; None where it gives no range.

    Attributes:
        series: name.
        status: a word of `series_status`.
        low_mb, high_mb: the published range.
        removal_low_mb, removal_high_mb: the range for values less the common residual.
        z_mid: expected value on the log scale.
        median_mb: m of that scale.
    """

    series: str
    status: str
    low_mb: float | None
    high_mb: float | None
    removal_low_mb: float | None
    removal_high_mb: float | None
    z_mid: float | None
    median_mb: float | None


@dataclass(frozen=True)
class SeriesJudgement:
    """The verdict on one series.

    Attributes:
        series: name.
        value_mb: as delivered; None if it was not.
        low_mb, high_mb: the published range; None if the value was not compared with one.
        residual_z: z - mid, common residual included; None where the log scale does not apply.
        is_outside: None if the value was not compared.
        is_removed: beyond the removal level.
        reason: `above_range`, `below_range`, `gigantic_value`, or why nothing was compared; empty inside.
        status: of the series when its range was made.
    """

    series: str
    value_mb: float | None
    low_mb: float | None
    high_mb: float | None
    residual_z: float | None
    is_outside: bool | None
    is_removed: bool
    reason: str
    status: str

    @property
    def sentence(self) -> str:
        """The operator's line `Anomaly! => (380 <= 600 <= 525)`; empty if it is no anomaly."""
        if not self.is_outside or self.value_mb is None or self.low_mb is None or self.high_mb is None:
            return ""
        return f"Anomaly! => ({compare_range(self.low_mb, self.value_mb, self.high_mb)})"


@dataclass(frozen=True)
class DayJudgement:
    """The verdict on a day.

    Attributes:
        day: local day.
        common_residual_z: what all series had in common, on the log scale.
        series: one verdict each, by name.
    """

    day: dt.date
    common_residual_z: float
    series: tuple[SeriesJudgement, ...]

    @property
    def outside_share(self) -> float | None:
        """Share of the compared series that are outside; None if none was compared."""
        compared = [one.is_outside for one in self.series if one.is_outside is not None]
        return sum(compared) / len(compared) if compared else None

    def to_arrow(self) -> pa.Table:
        """Return one row per series of the day."""
        import pyarrow as pa

        kinds: dict[str, Any] = {
            "series": pa.string(), "target_day": pa.date32(), "value_mb": pa.float64(), "low_mb": pa.float64(),
            "high_mb": pa.float64(), "residual_z": pa.float64(), "is_outside": pa.bool_(),
            "is_removed": pa.bool_(), "reason": pa.string(), "status": pa.string(),
        }  # fmt: skip
        rows = [{"target_day": self.day, **vars(one)} for one in self.series]
        return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))


def read_day_ranges(kernel: pa.Table, day: dt.date) -> list[DayRange]:
    """Return what kernel rows say of a day.

    Args:
        kernel: rows of one kernel, that is of one partition.
        day: one of its coming days; no rows if it is none.

    Raises:
        TableInputError: a column is missing, or a series occurs twice on the day.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    needed = ("series", "target_day", "status", *_NUMBERS)
    absent = [name for name in needed if name not in kernel.column_names]
    if absent:
        raise TableInputError(
            f"kernel rows lack {', '.join(absent)}", remedy="build the kernel partition again"
        )
    is_of_day = pc.equal(kernel["target_day"], pa.scalar(day, pa.date32()))
    found = kernel.filter(is_of_day).select(["series", "status", *_NUMBERS]).to_pylist()
    if len({row["series"] for row in found}) != len(found):
        raise TableInputError(
            "a series has two ranges for one day", where=str(day), expected="the rows of one kernel"
        )
    return [DayRange(**{name: _finite(value) for name, value in row.items()}) for row in found]


def judge_day(
    day: dt.date, ranges: Iterable[DayRange], values_mb: Mapping[str, float | None] | None
) -> DayJudgement:
    """Judge the values of a day.

    Args:
        day: local day.
        ranges: of the newest kernel made before the day; empty if there is none.
        values_mb: by series, None or NaN where nothing is known; None if the day's feed is missing. A value that
            no kernel knows is of a new series, or has no range if there is no kernel at all.
    """
    known = {one.series: one for one in ranges}
    values = {series: _finite(value) for series, value in (values_mb or {}).items()}
    residuals = {series: _residual(one, values.get(series)) for series, one in known.items()}
    found = np.array([[math.nan if residual is None else residual for residual in residuals.values()]])
    common = float(find_common_residual(found)[0])
    without_range = "new" if known else "no_range"
    without_value = "missing_feed" if values_mb is None else "missing_value"
    return DayJudgement(
        day=day,
        common_residual_z=common,
        series=tuple(
            _judge(known[name], values.get(name), residuals[name], common, without_value)
            if name in known
            else _unjudged(name, values[name], without_range, without_range)
            for name in sorted({*known, *values})
        ),
    )


def _judge(
    one: DayRange, value: float | None, residual: float | None, common: float, without_value: str
) -> SeriesJudgement:
    if one.low_mb is None or one.high_mb is None:
        return _unjudged(one.series, value, one.status if one.status != OK else "no_range", one.status)
    if value is None or value < 0:
        return _unjudged(one.series, value, without_value if value is None else "negative", one.status)
    tolerance = _RELATIVE_ERROR * one.high_mb
    is_above, is_below = value > one.high_mb + tolerance, value < one.low_mb - tolerance
    is_outside = is_above or is_below
    reason = "above_range" if is_above else "below_range" if is_below else ""
    return SeriesJudgement(
        series=one.series,
        value_mb=value,
        low_mb=one.low_mb,
        high_mb=one.high_mb,
        residual_z=residual,
        is_outside=is_outside,
        is_removed=is_outside and _is_beyond_removal(one, residual, common),
        reason="gigantic_value" if is_above and value > GIGANTIC_FACTOR * one.high_mb else reason,
        status=one.status,
    )


def _unjudged(series: str, value: float | None, reason: str, status: str) -> SeriesJudgement:
    return SeriesJudgement(
        series, value, None, None, None, is_outside=None, is_removed=False, reason=reason, status=status
    )


def _residual(one: DayRange, value: float | None) -> float | None:
    if value is None or value < 0 or one.z_mid is None or not one.median_mb:
        return None
    return math.log(value / one.median_mb + OFFSET) - one.z_mid


def _is_beyond_removal(one: DayRange, residual: float | None, common: float) -> bool:
    """Compare on the log scale; a range that was cut off at zero has no lower end there."""
    if residual is None or one.z_mid is None or not one.median_mb:
        return False
    if one.removal_low_mb is None or one.removal_high_mb is None:
        return False
    z = one.z_mid + residual - common
    low = math.log(one.removal_low_mb / one.median_mb + OFFSET) if one.removal_low_mb > 0 else -math.inf
    return not low <= z <= math.log(one.removal_high_mb / one.median_mb + OFFSET)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
