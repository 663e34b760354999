"""Forecasts as they were made, on the kernel's log scale: what later days calibrate against.

Belongs here: the forecasts of a day, and reading them back from kernel rows. Does not belong here: scoring
them (calibration).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.quality.forecasters.protocol import FloatArray

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

FORECAST_COLUMNS = (
    "series", "target_day", "horizon_days", "z_mid", "z_halfwidth", "median_mb", "stratum",
)  # fmt: skip
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class DayForecast:
    """All forecasts made on one day.

    Attributes:
        made_day: last day that they know.
        series: names.
        mid_z: float64 [horizon x series], row 0 is the day after `made_day`; NaN where there is none.
        halfwidth_z: positive float64 [horizon x series], before calibration.
        median_mb: m of the scale; float64 [series].
        stratum: group of series that are calibrated together; one word a series.
    """

    made_day: dt.date
    series: tuple[str, ...]
    mid_z: FloatArray
    halfwidth_z: FloatArray
    median_mb: FloatArray
    stratum: tuple[str, ...]


@dataclass(frozen=True)
class StoredForecasts:
    """Forecasts of past days, oldest first."""

    forecasts: tuple[DayForecast, ...] = ()

    @classmethod
    def of(cls, forecasts: Sequence[DayForecast]) -> StoredForecasts:
        """Return them by day."""
        return cls(tuple(sorted(forecasts, key=lambda one: one.made_day)))

    @classmethod
    def from_arrow(cls, rows: pa.Table) -> StoredForecasts:
        """Read kernel rows of one segment, made on any days; rows without a forecast are left out.

        Raises:
            TableInputError: a column is missing.
        """
        absent = [name for name in FORECAST_COLUMNS if name not in rows.column_names]
        if absent:
            raise TableInputError(
                f"kernel rows lack {', '.join(absent)}",
                expected=f"the columns {', '.join(FORECAST_COLUMNS)}",
                remedy="build the kernel partitions again",
            )
        columns = {name: _column(rows, name) for name in FORECAST_COLUMNS}
        has_forecast = np.isfinite(columns["z_mid"]) & np.isfinite(columns["z_halfwidth"])
        columns = {name: values[has_forecast] for name, values in columns.items()}
        made = columns["target_day"] - columns["horizon_days"]
        order = np.argsort(made, kind="stable")
        numbers, starts = np.unique(made[order], return_index=True)
        parts = {name: np.split(values[order], starts[1:]) for name, values in columns.items()}
        return cls(
            tuple(
                _one_day(int(number), {name: part[place] for name, part in parts.items()})
                for place, number in enumerate(numbers)
            )
        )


def _column(rows: pa.Table, name: str) -> NDArray[Any]:
    """Return a column as numbers (days since 1970, NaN for null) or text."""
    import pyarrow as pa

    values = rows.column(name).combine_chunks()
    if name == "target_day":
        return values.cast(pa.date32()).cast(pa.int32()).to_numpy(zero_copy_only=False).astype(np.int64)  # type: ignore[no-any-return]
    if name in {"series", "stratum"}:
        return np.array(values.to_pylist(), dtype=object).astype(str)
    kind = np.int64 if name == "horizon_days" else np.float64
    return values.to_numpy(zero_copy_only=False).astype(kind)  # type: ignore[no-any-return]


def _one_day(number: int, of_day: dict[str, NDArray[Any]]) -> DayForecast:
    names, first, places = np.unique(of_day["series"], return_index=True, return_inverse=True)
    shape = (int(of_day["horizon_days"].max()), len(names))
    cells = (of_day["horizon_days"] - 1, places)
    mid, halfwidth = np.full(shape, np.nan), np.full(shape, np.nan)
    mid[cells], halfwidth[cells] = of_day["z_mid"], of_day["z_halfwidth"]
    return DayForecast(
        made_day=_EPOCH + dt.timedelta(days=number),
        series=tuple(names.tolist()),
        mid_z=mid,
        halfwidth_z=halfwidth,
        median_mb=of_day["median_mb"][first],
        stratum=tuple(of_day["stratum"][first].tolist()),
    )
