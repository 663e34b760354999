"""The series of a snapshot feed: all its days at once, read once.

Belongs here: the values, the identity of each day's values, what a replay keeps in memory. Does not belong here:
replaying days (snapshot_replay).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine
from mlops_assets.domain.quality.monitor_tables import MonitoredRows, read_snapshot_rows
from mlops_assets.domain.quality.spec import MonitorSpec

if TYPE_CHECKING:
    from mlops_assets.domain.quality.stored_forecasts import DayForecast


@dataclass(frozen=True)
class SnapshotSeries:
    """What a monitor knows of a snapshot.

    Attributes:
        rows: values by day and series; a day without a value is no day of the snapshot.
        key_by_day: hash of each day's values. A snapshot that only grows thus leaves earlier results current.
        forecasts_by_day: what kernels forecast, by the day they were made; filled by a replay, which makes each
            kernel before a later day reads it.
    """

    rows: MonitoredRows
    key_by_day: dict[dt.date, str]
    forecasts_by_day: dict[dt.date, tuple[DayForecast, ...]] = field(default_factory=dict)


def read_snapshot_series(
    spec: MonitorSpec, segment: str, *, lake: Lake, engine: TableEngine
) -> SnapshotSeries:
    """Return the series of a published snapshot.

    Args:
        spec: of a monitor with a `day_column`.
        segment: of the snapshot feed.
        lake: where the snapshot is.
        engine: sums the values.

    Raises:
        TableInputError: the snapshot is not published, or has no value with a day.
    """
    rows = read_snapshot_rows(spec, segment, lake=lake, engine=engine)
    if not rows.known_days:
        raise TableInputError(
            f"{spec.table} has no value with a day",
            where=str(PartitionId(spec.table, segment)),
            expected=f"rows with {spec.day_column}, {', '.join(spec.series_by)} and {spec.value}",
            remedy="look at the feed's quarantine, or correct the columns of the monitor",
        )
    values = zip(rows.days, rows.series, rows.values_mb, strict=True)
    key_by_day = {
        day: stable_hash([(series, value_mb) for _, series, value_mb in found])
        for day, found in groupby(values, key=lambda one: one[0])
    }
    return SnapshotSeries(rows, key_by_day)
