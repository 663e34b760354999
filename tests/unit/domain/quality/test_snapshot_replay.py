"""A monitor over a snapshot feed: file, feed, ranges, verdicts, drift and report, by the code of daily monitors."""

from __future__ import annotations

import datetime as dt
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.feeds.landing import FeedOutcome, land_feed
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.monitor_day import MonitorDay, MonitorOutcome
from mlops_assets.domain.quality.monitor_tables import ANOMALIES, DRIFT, KERNEL, monitor_table, read_rows
from mlops_assets.domain.quality.remembering_lake import RememberingLake
from mlops_assets.domain.quality.snapshot_replay import SnapshotMonitor
from mlops_assets.domain.quality.spec import ForecastSpec, MonitorSpec
from mlops_assets.domain.reporting.monitor_reports import render_monitor_day
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone

FIRST, CELLS = dt.date(2026, 1, 28), ("a", "b", "c")
SPEC = MonitorSpec(
    name="cells",
    description="traffic by cell",
    owner="team:data-platform",
    table="feeds/cells_hourly",
    day_column="day",
    series_by=["cell"],
    value="traffic_mb",
    unit="MB",
    gap="unknown",
    forecast=ForecastSpec(window_days=28, horizon_days=14),
)
FEED = FeedContract.model_validate(
    {
        "name": "cells_hourly", "description": "d", "owner": "team:data-platform", "cadence": "snapshot",
        "format": "csv", "file_pattern": "cells.csv", "key": ["cell", "day", "hour"],
        "columns": [
            {"name": "day", "source": "DATE", "type": "date", "format": "%d/%m/%Y"},
            {"name": "hour", "source": "HOUR", "type": "integer"},
            {"name": "cell", "source": "CELL", "type": "text"},
            {"name": "traffic_mb", "source": "VALUE", "type": "decimal", "minimum": 0},
        ],
    }
)  # fmt: skip
ANYWHERE = Geography(code="all", name="everywhere", timezone="UTC", currency="USD", usd_per_unit=1.0)
ACTS: dict[str, Callable[[MonitorDay], MonitorOutcome]] = {
    KERNEL: MonitorDay.build_kernel, ANOMALIES: MonitorDay.judge, DRIFT: MonitorDay.decide
}  # fmt: skip
Factor = Callable[[int, str], float]


def number_of(day: dt.date) -> int:
    return (day - FIRST).days


def hourly_rows(days: int, factor: Factor = lambda *_: 1.0) -> list[tuple[dt.date, int, str, float]]:
    """Return two hours of every cell and day."""
    random, rows = np.random.default_rng(3), []
    for number in range(days):
        day = FIRST + dt.timedelta(days=number)
        for place, cell in enumerate(CELLS):
            level = 100.0 * (place + 1) * (1.0 + 0.2 * math.sin(2 * math.pi * day.weekday() / 7))
            value = level * math.exp(random.normal(0.0, 0.05)) * factor(number, cell)
            rows += [(day, hour, cell, round(value * (0.25 + 0.5 * hour), 4)) for hour in (0, 1)]
    return rows


class Site:
    """A landing zone with one file, a lake, and the monitor over it."""

    def __init__(self, root: Path) -> None:
        self.root, self.lake = root, LocalLake(root / "lake")
        self.engine = DuckDbEngine(1, "500MB", root / "tmp", [root])

    def land(self, rows: list[tuple[dt.date, int, str, float]], more: str = "") -> FeedOutcome:
        path = self.root / "landing" / "all" / "cells.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{day.day}/{day:%m/%Y},{hour},{cell},{value}" for day, hour, cell, value in rows]
        path.write_text("\n".join(["DATE,HOUR,CELL,VALUE", *lines]) + f"\n{more}")
        landing = LocalLandingZone(self.root / "landing")
        return land_feed(FEED, ANYWHERE, ["all"], None, landing=landing, lake=self.lake, engine=self.engine)

    def monitor(self, spec: MonitorSpec = SPEC) -> SnapshotMonitor:
        return SnapshotMonitor.read(spec, "all", lake=self.lake, engine=self.engine)

    def replay(self) -> dict[str, list[MonitorOutcome]]:
        return {result: self.monitor().replay(result, act) for result, act in ACTS.items()}

    def facts(self, result: str, number: int) -> dict[str, Any]:
        day = FIRST + dt.timedelta(days=number)
        manifest = self.lake.manifest(PartitionId(monitor_table(SPEC.name, result), "all", day))
        assert manifest is not None
        return dict(manifest.facts)


DAYS, LAST = 64, 63


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose snapshot of nine weeks ends with one cell far above its range; tests copy it."""
    site = Site(tmp_path_factory.mktemp("site"))
    rows = hourly_rows(DAYS, lambda number, cell: 4.0 if (number, cell) == (LAST, "b") else 1.0)
    outcome = site.land(rows, more="2026-04-02,0,a,5\n13/13/2026,0,a,5\n")
    assert outcome.status == "landed", outcome.findings
    assert outcome.counts.quarantined == {"day: not a date": 2}
    site.replay()
    return site.root


@pytest.fixture
def site(replayed: Path, tmp_path: Path) -> Site:
    """A site of its own, replayed once."""
    shutil.copytree(replayed, tmp_path / "site")
    return Site(tmp_path / "site")


def test_every_day_is_judged_by_the_days_before_it(site: Site) -> None:
    assert len(site.lake.days(monitor_table("cells", DRIFT), "all")) == DAYS
    assert site.facts(KERNEL, 26)["series_with_range"] == 0
    assert site.facts(KERNEL, 27)["series_with_range"] == len(CELLS)
    judged = [site.facts(ANOMALIES, number) for number in range(28, LAST)]
    assert all(found["checked"] == len(CELLS) for found in judged)
    assert sum(found["outside"] for found in judged) <= 0.15 * len(CELLS) * len(judged)
    assert site.facts(ANOMALIES, LAST)["removed"] == 1
    feeds = site.facts(DRIFT, LAST)["evidence"]["feeds"]
    assert [(one["feed"], one["status"]) for one in feeds] == [("cells_hourly", "healthy")]


def test_the_report_is_of_the_last_day_and_the_days_after_it(site: Site) -> None:
    rendered = render_monitor_day(site.monitor().days()[-1])
    assert "Anomaly! => (" in rendered.markdown
    assert "Nothing is done by itself: the values are of a snapshot." in rendered.markdown
    assert "b: beyond the wider range as well" in rendered.markdown
    assert "mlops watch" in rendered.markdown
    assert "corpus" not in rendered.markdown
    names = sorted(rendered.files)
    assert names == [f"cells/all/2026-04/{name}" for name in (
        "anomalies-2026-04-01.html", "kernel-2026-04-01.csv", "kernel-2026-04-01.parquet"
    )]  # fmt: skip
    lines = str(rendered.files[names[1]]).splitlines()
    assert len(lines) == 1 + SPEC.forecast.horizon_days * len(CELLS)
    assert lines[1].startswith("a,2026-04-02,Thursday,")


def test_a_replay_gives_what_a_daily_monitor_gives(site: Site, tmp_path: Path) -> None:
    """The same values as daily partitions, one day after another: rows and verdicts agree."""
    lake = LocalLake(tmp_path / "daily")
    engine = DuckDbEngine(1, "500MB", tmp_path / "tmp", [tmp_path])
    spec = SPEC.model_copy(update={"table": "feeds/cells_daily", "day_column": ""})
    by_day: dict[dt.date, list[tuple[str, float]]] = {}
    for row in (one for one in read_rows_of(site) if number_of(one["day"]) < 45):
        by_day.setdefault(row["day"], []).append((row["cell"], row["traffic_mb"]))
    for day, rows in sorted(by_day.items()):
        with lake.write(PartitionId("feeds/cells_daily", "all", day), "0" * 16) as writer:
            cells, values = zip(*rows, strict=True)
            pq.write_table(pa.table({"cell": cells, "traffic_mb": values}), writer.file("data"))
            facts = {"raw_sha256": "0" * 64, "health": {"status": "healthy"}}
            writer.commit(row_count=len(rows), facts=facts)
        monitored = MonitorDay(spec, ("cells_daily",), "all", day, lake, engine)
        for act in (MonitorDay.judge, MonitorDay.decide, MonitorDay.build_kernel):
            act(monitored)
    days = list(by_day)
    for result in (KERNEL, ANOMALIES):
        table = monitor_table("cells", result)
        ours, theirs = (read_rows(one, table, "all", days) for one in (site.lake, lake))
        assert len(ours) == len(theirs) > 0
        assert ours == [pytest.approx(row, nan_ok=True) for row in theirs]
    for day in days:
        drift = lake.manifest(PartitionId(monitor_table("cells", DRIFT), "all", day))
        assert drift is not None
        assert site.facts(DRIFT, number_of(day))["verdict"]["kind"] == drift.facts["verdict"]["kind"]


def read_rows_of(site: Site) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(
        site.lake.path(PartitionId("feeds/cells_hourly", "all"))
    ).to_pylist()
    return rows


def test_the_same_snapshot_again_changes_nothing(site: Site) -> None:
    statuses = {one.status for outcomes in site.replay().values() for one in outcomes}
    assert statuses == {"reused"}


def test_a_longer_snapshot_judges_only_its_new_days(site: Site) -> None:
    rows = hourly_rows(DAYS, lambda number, cell: 4.0 if (number, cell) == (LAST, "b") else 1.0)
    new_day = FIRST + dt.timedelta(days=DAYS)
    site.land([*rows, *((new_day, hour, cell, 80.0) for cell in CELLS for hour in (0, 1))])
    for outcomes in site.replay().values():
        assert [one.partition.day for one in outcomes if one.status == "built"] == [new_day]


def test_a_correction_is_judged_anew_from_its_day_on(site: Site) -> None:
    site.land(hourly_rows(DAYS))
    outcomes = site.replay()
    built = [number_of(one.partition.day or FIRST) for one in outcomes[KERNEL] if one.status == "built"]
    assert built == [LAST]
    assert site.facts(ANOMALIES, LAST)["removed"] == 0


def test_days_that_the_snapshot_lacks_are_forgotten(site: Site) -> None:
    gone = FIRST + dt.timedelta(days=40)
    site.land([row for row in hourly_rows(DAYS) if row[0] != gone and number_of(row[0]) < 60])
    outcomes = site.replay()
    for result in ACTS:
        days = site.lake.days(monitor_table("cells", result), "all")
        assert len(days) == len(outcomes[result]) == 59
        assert gone not in days


def test_a_snapshot_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with pytest.raises(TableInputError, match="no published data file"):
        site.monitor()
    columns = {"cell": pa.array([None], pa.string()), "day": pa.array([FIRST]), "traffic_mb": pa.array([1.0])}
    with site.lake.write(PartitionId("feeds/cells_hourly", "all"), "0" * 16) as writer:
        pq.write_table(pa.table(columns), writer.file("data"))
        writer.commit(row_count=1)
    with pytest.raises(TableInputError, match="feeds/cells_hourly has no value with a day"):
        site.monitor()


def test_a_remembering_lake_tells_what_it_wrote(tmp_path: Path) -> None:
    behind = LocalLake(tmp_path / "lake")
    lake = RememberingLake(behind)
    first, second = (PartitionId("etl/one", "cl", FIRST + dt.timedelta(days=n)) for n in (1, 0))
    assert lake.manifest(first) is None
    assert lake.days("etl/one", "cl") == []
    for partition in (first, second):
        with lake.write(partition, "0" * 16) as writer:
            writer.file("extra").write_bytes(b"x")
            writer.drop("extra")
            writer.scratch().write_bytes(b"x")
            writer.file("data").write_bytes(b"x")
            writer.commit(row_count=1)
    assert lake.days("etl/one", "cl") == behind.days("etl/one", "cl") == [second.day, first.day]
    assert lake.manifest(first) == behind.manifest(first) is not None
    assert lake.path(first) == behind.path(first)
    lake.remove(first)
    assert lake.manifest(first) is None
    assert lake.days("etl/one", "cl") == [second.day]
    with lake.write(first, "1" * 16):
        pass  # without commit nothing is published
    assert lake.manifest(first) is None
