"""The stored results of a monitor: which lake tables they are, and the panel that they are made from.

Belongs here: names, reading the panel of a segment, reading kernels and judgements back. Does not belong here:
what is made of them (monitor_day).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.feeds.units import linear_conversion
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine, ViewSource
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
    from mlops_assets.domain.quality.panel import assemble_panel

    first = day - dt.timedelta(days=days - 1)
    published = [one for one in lake.days(spec.table, segment) if first <= one <= day]
    if day not in published:
        return None
    files = [lake.path(PartitionId(spec.table, segment, one)) for one in published]
    rows = engine.fetch(
        _panel_sql(spec.model_copy(update={"recipients": []}).model_dump_json()),
        {_VALUES: ViewSource(files=files, file_days=published)},
    )
    factor, offset = linear_conversion(spec.unit, "MB")
    return assemble_panel(
        rows["file_day"].to_pylist(),
        rows["series"].to_pylist(),
        [value * factor + offset for value in rows["value"].to_pylist()],
        delivered_days=published,
        first_day=published[0],
        last_day=day,
        gap=spec.gap,
    )


@functools.cache
def _panel_sql(spec_json: str) -> str:
    """Return the SQL that sums a monitored table's values by day and series."""
    import ibis

    spec = MonitorSpec.model_validate_json(spec_json)
    columns = {**dict.fromkeys(spec.series_by, "string"), spec.value: "float64", "file_day": "date"}
    rows = ibis.table(columns, name=_VALUES)
    named = [rows[name].cast("!string") for name in spec.series_by]
    series = functools.reduce(lambda left, right: left + _SEPARATOR + right, named)
    found = rows.select("file_day", series=series, value=rows[spec.value].cast("!float64"))
    found = found.filter(found.series.notnull(), found.value.notnull())
    return compile_sql(found.group_by("file_day", "series").aggregate(value=found.value.sum()))


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
    partitions = [PartitionId(table, segment, day) for day in days]
    return [
        pq.read_table(lake.path(one), columns=list(columns) if columns else None, filters=wanted)
        for one in partitions
        if lake.manifest(one) is not None
    ]


def read_rows(lake: Lake, table: str, segment: str, days: Sequence[dt.date]) -> list[dict[str, Any]]:
    """Return the rows of published partitions as records."""
    return [row for found in read_days(lake, table, segment, days) for row in found.to_pylist()]


def days_before(lake: Lake, table: str, segment: str, day: dt.date, days: int) -> list[dt.date]:
    """Return the published days among the `days` before a day, which itself is not among them."""
    first = day - dt.timedelta(days=days)
    return [one for one in lake.days(table, segment) if first <= one < day]
