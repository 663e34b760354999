"""The stored results of a monitor: which lake tables they are, and the panel that they are made from.

Belongs here: names, reading the panel of a segment, reading kernels and judgements back. Does not belong here:
what is made of them (monitor_day).
"""

from __future__ import annotations

import datetime as dt
import functools
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.feeds.units import linear_conversion
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.published import find_published
from mlops_assets.domain.quality.spec import MonitorSpec
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    import pyarrow as pa

    from mlops_assets.domain.quality.panel import Panel

KERNEL, ANOMALIES, DRIFT, FEATURES = "kernel", "anomalies", "drift", "features"
_VALUES = "monitored"
_SEPARATOR = "/"


def monitor_table(monitor: str, result: str) -> str:
    """Return the lake table of a monitor's `kernel`, `anomalies`, `drift` or `features`."""
    return f"quality/{monitor}/{result}"


@dataclass(frozen=True)
class MonitoredRows:
    """Values summed by day and series, of which panels are cut.

    Attributes:
        days: of each row, ascending.
        series: of each row.
        values_mb: float64, of each row.
        known_days: days that are published, ascending, also those without a row.
    """

    days: list[dt.date]
    series: list[str]
    values_mb: list[float]
    known_days: list[dt.date]

    def panel(self, day: dt.date, days: int, gap: Literal["zero", "unknown"]) -> Panel | None:
        """Return the panel up to a day, or None if the day itself is not known.

        Args:
            day: last day of the panel.
            days: how many days back it reaches at most; it begins with the first known of them.
            gap: as in MonitorSpec.
        """
        from mlops_assets.domain.quality.panel import assemble_panel

        known = window_days(self.known_days, day, days)
        if day not in known[-1:]:
            return None
        rows = slice(bisect_left(self.days, known[0]), bisect_right(self.days, day))
        return assemble_panel(
            self.days[rows],
            self.series[rows],
            self.values_mb[rows],
            delivered_days=set(known),
            first_day=known[0],
            last_day=day,
            gap=gap,
        )


def window_days(known_days: Sequence[dt.date], day: dt.date, days: int) -> list[dt.date]:
    """Return the last `days` days up to and including a day, those of them that are known (ascending)."""
    first = day - dt.timedelta(days=days - 1)
    return list(known_days[bisect_left(known_days, first) : bisect_right(known_days, day)])


def read_panel(
    spec: MonitorSpec, segment: str, day: dt.date, days: int, *, lake: Lake, engine: TableEngine
) -> Panel | None:
    """Return the panel of a segment up to a day, or None if the day itself is not published.

    Args:
        spec: of the monitor.
        segment: geography code.
        day: last day of the panel.
        days: how many days back it reaches at most; it begins with the first published of them.
        lake: where the monitored table is.
        engine: sums the values.
    """
    published = window_days(lake.days(spec.table, segment), day, days)
    if day not in published[-1:]:
        return None
    files = ask_together(lake, lake.path, [PartitionId(spec.table, segment, one) for one in published])
    rows = _read_values(spec, ViewSource(files=files, file_days=published), engine)
    return MonitoredRows(*rows, known_days=published).panel(day, days, spec.gap)


def read_snapshot_rows(spec: MonitorSpec, segment: str, *, lake: Lake, engine: TableEngine) -> MonitoredRows:
    """Return the values of a snapshot feed; its days are those with a value.

    Raises:
        TableInputError: the snapshot is not published.
    """
    files = [lake.path(PartitionId(spec.table, segment))]
    days, series, values_mb = _read_values(spec, ViewSource(files=files), engine)
    return MonitoredRows(days, series, values_mb, known_days=list(dict.fromkeys(days)))


def _read_values(
    spec: MonitorSpec, source: ViewSource, engine: TableEngine
) -> tuple[list[dt.date], list[str], list[float]]:
    """Return days, series and values in MB, by day and series."""
    sql = _panel_sql(tuple(spec.series_by), spec.value, spec.day_column or "file_day", engine.dialect)
    rows = engine.fetch(sql, {_VALUES: source}).sort_by([("day", "ascending"), ("series", "ascending")])
    factor, offset = linear_conversion(spec.unit, "MB")
    values = [value * factor + offset for value in rows["value"].to_pylist()]
    return rows["day"].to_pylist(), rows["series"].to_pylist(), values


@functools.cache
def _panel_sql(series_by: tuple[str, ...], value: str, day: str, dialect: str) -> str:
    """Return the SQL that sums a monitored table's values by day and series; all but the dialect are columns."""
    import ibis

    rows = ibis.table({**dict.fromkeys(series_by, "string"), value: "float64", day: "date"}, name=_VALUES)
    named = [rows[name].cast("!string") for name in series_by]
    series = functools.reduce(lambda left, right: left + _SEPARATOR + right, named)
    found = rows.select(day=rows[day], series=series, value=rows[value].cast("!float64"))
    found = found.filter(found.day.notnull(), found.series.notnull(), found.value.notnull())
    return compile_sql(found.group_by("day", "series").aggregate(value=found.value.sum()), dialect)


def read_days(
    lake: Lake,
    table: str,
    segment: str,
    days: Sequence[dt.date],
    *,
    columns: Sequence[str] | None = None,
    target_day: dt.date | None = None,
) -> list[pa.Table]:
    """Return the rows of published partitions, one table a day, in order.

    Args:
        lake: where they are.
        table: of the partitions.
        segment: of the partitions.
        days: of the partitions; those that are not published are left out.
        columns: all, unless named.
        target_day: only rows of kernels for this day.
    """
    import pyarrow.parquet as pq

    wanted = [("target_day", "=", target_day)] if target_day else None
    published = list(find_published(lake, [PartitionId(table, segment, day) for day in days]))
    return [
        pq.read_table(path, columns=list(columns) if columns else None, filters=wanted)
        for path in ask_together(lake, lake.path, published)
    ]


def read_rows(lake: Lake, table: str, segment: str, days: Sequence[dt.date]) -> list[dict[str, Any]]:
    """Return the rows of published partitions as records."""
    return [row for found in read_days(lake, table, segment, days) for row in found.to_pylist()]


def days_before(lake: Lake, table: str, segment: str, day: dt.date, days: int) -> list[dt.date]:
    """Return the published days among the `days` before a day, which itself is not among them."""
    first = day - dt.timedelta(days=days)
    return [one for one in lake.days(table, segment) if first <= one < day]
