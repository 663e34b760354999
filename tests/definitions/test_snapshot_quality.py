"""Monitors of snapshot feeds in the graph: their assets, their job, and a run over a small file."""

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.assets.snapshot_quality import build_snapshot_quality_assets
from mlops_assets.commands.replay import Replay
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config import names
from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
from mlops_assets.definitions import build_defs
from mlops_assets.domain.quality.forecasters import FORECASTERS

FIRST, DAYS = dt.date(2026, 3, 1), 36
RESULTS = [f"quality/shops/{result}" for result in ("kernel", "anomalies", "drift")]
FEED = """
name: shop_sales
description: d
owner: team:shops
cadence: snapshot
format: csv
file_pattern: shops.csv
key: [shop, day]
columns:
  - {name: day, source: DAY, type: date, format: "%d.%m.%Y"}
  - {name: shop, source: SHOP, type: text}
  - {name: sold_mb, source: MB, type: decimal, unit: MB, source_unit: MB}
"""
MONITOR = """
name: shops
description: d
owner: team:shops
recipients: [shops@operator.example]
table: feeds/shop_sales
day_column: day
series_by: [shop]
value: sold_mb
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace whose configuration watches a snapshot; the file is not there yet."""
    configs = tmp_path / "configs"
    for folder, name, text in (("feeds", "shop_sales", FEED), ("quality", "shops", MONITOR)):
        (configs / folder).mkdir(parents=True)
        (configs / folder / f"{name}.yaml").write_text(text)
    return Workspace.of_one_process(tmp_path / "home", load_project([PROJECT_CONFIGS, configs], "local"))


@pytest.fixture
def replay(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    """Runs the job of the workspace."""
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.home / "dagster_home"))
    with workspace.open_instance() as instance:
        yield Replay(workspace, instance)


def deliver(home: Path, last_factor: float = 1.0) -> None:
    """Write the file: three shops, the last day of one of them times a factor."""
    lines = ["DAY,SHOP,MB"]
    for number in range(DAYS):
        day = FIRST + dt.timedelta(days=number)
        for place in range(3):
            noise = math.sin(7.3 * number + 2.1 * place)  # no period of a week
            factor = last_factor if (number, place) == (DAYS - 1, 1) else 1.0
            lines.append(f"{day:%d.%m.%Y},shop_{place},{100 * (1 + place) * (1 + 0.05 * noise) * factor:.3f}")
    path = home / "landing" / "all" / "shops.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


def test_only_projects_that_watch_a_snapshot_have_the_job(workspace: Workspace) -> None:
    without = build_defs(load_project()).get_repository_def()
    assert names.SNAPSHOT_QUALITY_JOB not in {job.name for job in without.get_all_jobs()}
    job = workspace.definitions.resolve_job_def(names.SNAPSHOT_QUALITY_JOB)
    keys = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert keys == {"feeds/shop_sales", *RESULTS, "reports/shops/anomaly_report"}


def test_snapshot_monitors_have_no_partitions_and_are_not_of_the_day(workspace: Workspace) -> None:
    graph = workspace.definitions.resolve_asset_graph()
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    for name in [*RESULTS, "reports/shops/anomaly_report"]:
        assert nodes[name].partitions_def is None
        assert nodes[name].owners == ["team:shops"]
    daily = workspace.definitions.resolve_job_def(names.DAILY_JOB).asset_layer.executable_asset_keys
    assert not {key for key in daily if "shops" in key.path}
    summary = nodes["reports/quality_summary"]
    assert dg.AssetKey(["reports", "shops", "anomaly_report"]) not in summary.parent_keys


def test_another_version_of_the_forecaster_makes_the_results_stale(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replay itself builds such days again; Dagster has to say so too."""
    (spec,) = workspace.config.snapshot_monitors()

    def versions() -> list[object]:
        assets = build_snapshot_quality_assets(workspace.config)
        return [version for one in assets for version in one.code_versions_by_key.values() if version]

    before = versions()
    monkeypatch.setattr(type(FORECASTERS[spec.forecast.largest.kind]), "version", "next")
    assert len(before) == len(RESULTS)
    assert not set(before) & set(versions())


def test_a_run_judges_every_day_reports_the_last_and_warns(replay: Replay) -> None:
    platform = replay.workspace.platform
    deliver(replay.workspace.home, last_factor=5.0)
    outcome = replay.watch()
    assert outcome.succeeded, outcome.findings
    assert outcome.findings == ()
    assert all(len(platform.lake.days(table, "all")) == DAYS for table in RESULTS)
    checks = {
        key.name: replay.instance.get_latest_asset_check_evaluation_record(key).event.dagster_event  # type: ignore[union-attr]
        for key in replay.workspace.definitions.resolve_asset_graph().asset_check_keys
        if "shops" in key.asset_key.path
    }
    found = {name: event.asset_check_evaluation_data for name, event in checks.items()}  # type: ignore[union-attr]
    assert {name: one.passed for name, one in found.items()} == {
        "kernel_coverage": True, "anomaly_share": False, "behaviour": True
    }  # fmt: skip
    assert found["anomaly_share"].severity == dg.AssetCheckSeverity.WARN
    assert found["anomaly_share"].metadata["last_day"].value == "not fine"
    last = f"{FIRST + dt.timedelta(days=DAYS - 1)}"
    assert {path for path in platform.reports.list() if last in path} == {
        f"shops/all/{last[:7]}/{name}"
        for name in (f"anomalies-{last}.html", f"kernel-{last}.csv", f"kernel-{last}.parquet")
    }
    assert "index.html" in platform.reports.list()
    assert [entry.key.recipient for entry in platform.outbox.entries()] == ["shops@operator.example"]


def test_a_refused_file_fails_the_run_and_says_why(replay: Replay) -> None:
    outcome = replay.watch()
    assert not outcome.succeeded
    assert "the file has not been delivered" in outcome.findings[0]
    assert replay.workspace.platform.lake.days(RESULTS[0], "all") == []
