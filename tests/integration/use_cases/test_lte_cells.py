"""A foreign series is watched through YAML alone: file, feed, ranges, anomalies, drift, report."""

from __future__ import annotations

import csv
import datetime as dt
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.monitor_tables import read_rows
from mlops_assets.domain.quality.snapshot_replay import SnapshotMonitor
from mlops_assets.domain.reporting.monitor_reports import render_monitor_day
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from tests.integration.command_line import CommandLine

PROJECT = Path(__file__).resolve().parents[3]
DATA = (
    Path(os.environ.get("MLOPS_PUBLIC_DATA") or PROJECT.parent / "shared" / "data") / "lte_cells_hourly.csv"
)
CONFIGS = PROJECT / "benchmarks" / "lte_cells" / "configs"
CELLS = {"Cell_000112", "Cell_001801", "Cell_001913", "Cell_003781", "Cell_004071"}
FOLDER = Path("reports") / "lte_cells" / "all" / "2018-10"
LAST_DAY, JUDGED_DAYS = "2018-10-22", 337
# The published range is for 95 % of normal values. Real traffic has shifts and outages, and days with missing hours.
LEAST_COVERAGE = 0.88


def test_watching_without_a_monitor_says_what_to_do(mlops: CommandLine, tmp_path: Path) -> None:
    mlops.use(tmp_path)
    told = mlops("watch")
    assert told.status == 1
    assert "no monitor watches a snapshot feed" in told.err
    assert "docs/watch_a_series.md" in told.err
    assert (PROJECT / "docs" / "watch_a_series.md").is_file()


@pytest.mark.slow
@pytest.mark.skipif(
    not DATA.exists(), reason=f"no public data at {DATA}; name its folder in MLOPS_PUBLIC_DATA"
)
def test_a_year_of_cells_is_watched(
    mlops: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "landing" / "all").mkdir(parents=True)
    shutil.copy(DATA, tmp_path / "landing" / "all")
    mlops.use(tmp_path)
    monkeypatch.setenv("MLOPS_CONFIG_PATHS", str(CONFIGS))
    told = mlops("watch")
    assert told.status == 0, told.out + told.err
    assert f"lte_cells: 365 days, 2017-10-23 to {LAST_DAY}; last day:" in told.out
    lake = LocalLake(tmp_path / "lake")
    landed = lake.manifest(PartitionId("feeds/lte_cells_hourly", "all"))
    assert landed is not None
    assert (landed.row_count, landed.facts["quarantined"]) == (43_674, {})
    _check_kernel(tmp_path / FOLDER)
    judged = {
        day: lake.manifest(PartitionId("quality/lte_cells/anomalies", "all", day))
        for day in lake.days("quality/lte_cells/anomalies", "all")
    }
    facts = {day: manifest.facts for day, manifest in judged.items() if manifest is not None}
    checked, outside = (sum(one[name] for one in facts.values()) for name in ("checked", "outside"))
    assert checked == JUDGED_DAYS * len(CELLS)
    assert 0 < outside <= (1 - LEAST_COVERAGE) * checked
    assert len(lake.days("quality/lte_cells/drift", "all")) == 365
    _check_report(tmp_path, max(day for day, one in facts.items() if one["outside"]))


def _check_kernel(folder: Path) -> None:
    with (folder / f"kernel-{LAST_DAY}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["Plan"] for row in rows} == CELLS
    assert len(rows) == 30 * len(CELLS)
    assert all(0 <= float(row["Forecast_Low (mb)"]) < float(row["Forecast_High (mb)"]) for row in rows)
    assert pq.read_table(folder / f"kernel-{LAST_DAY}.parquet").num_rows == len(rows)


def _check_report(home: Path, newest_outside: dt.date) -> None:
    """The page of the last day is there; that of a day with anomalies says each of them."""
    page = (home / FOLDER / f"anomalies-{LAST_DAY}.html").read_text()
    assert all(cell in page for cell in CELLS)
    lake, engine = LocalLake(home / "lake"), DuckDbEngine(1, "500MB", home / "tmp", [home / "lake"])
    spec = load_project([PROJECT_CONFIGS, CONFIGS], "local").monitors["lte_cells"]
    days = SnapshotMonitor.read(spec, "all", lake=lake, engine=engine).days()
    rows = read_rows(lake, "quality/lte_cells/anomalies", "all", [newest_outside])
    outside = {row["series"].replace("_", "\\_") for row in rows if row["is_outside"]}
    told = render_monitor_day(next(one for one in days if one.day == newest_outside)).markdown
    lines = [line for line in told.splitlines() if "Anomaly! => (" in line]
    assert len(lines) == len(outside) > 0
    assert all(any(cell in line for line in lines) for cell in outside)
