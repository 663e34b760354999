"""A monitor over a snapshot feed: its days one after another, as if each had just been delivered.

Belongs here: which days, in which order, and forgetting days that the snapshot no longer has. Does not belong
here: what is done on a day (monitor_day).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlops_assets.domain.ports import Lake, PartitionId, TableEngine
from mlops_assets.domain.quality.monitor_day import MonitorDay, MonitorOutcome
from mlops_assets.domain.quality.monitor_tables import monitor_table
from mlops_assets.domain.quality.remembering_lake import RememberingLake
from mlops_assets.domain.quality.snapshot_series import SnapshotSeries, read_snapshot_series
from mlops_assets.domain.quality.spec import MonitorSpec


@dataclass(frozen=True)
class SnapshotMonitor:
    """One monitor of a snapshot feed.

    Attributes:
        spec: of the monitor; it has a `day_column`.
        segment: of the snapshot feed.
        series: what the snapshot holds.
        lake: where results go; nobody else writes them meanwhile.
        engine: of the platform.
    """

    spec: MonitorSpec
    segment: str
    series: SnapshotSeries
    lake: Lake
    engine: TableEngine

    @classmethod
    def read(cls, spec: MonitorSpec, segment: str, *, lake: Lake, engine: TableEngine) -> SnapshotMonitor:
        """Read the published snapshot. Raises TableInputError if there is none, or nothing in it."""
        series = read_snapshot_series(spec, segment, lake=lake, engine=engine)
        return cls(spec, segment, series, RememberingLake(lake), engine)

    def days(self) -> list[MonitorDay]:
        """Return every day of the snapshot that has a value, oldest first."""
        feeds = (self.spec.table.removeprefix("feeds/"),)
        return [
            MonitorDay(self.spec, feeds, self.segment, day, self.lake, self.engine, snapshot=self.series)
            for day in self.series.rows.known_days
        ]

    def replay(self, result: str, act: Callable[[MonitorDay], MonitorOutcome]) -> list[MonitorOutcome]:
        """Make one result of every day; what is published of days that the snapshot lacks is removed.

        On a day only earlier days' results are read, so that one result may be made of all days before the next.

        Args:
            result: name of the result, e.g. `kernel`.
            act: the method of MonitorDay that publishes it.
        """
        table = monitor_table(self.spec.name, result)
        for day in set(self.lake.days(table, self.segment)) - set(self.series.rows.known_days):
            self.lake.remove(PartitionId(table, self.segment, day))
        return [act(day) for day in self.days()]
