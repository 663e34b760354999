"""Freshness of a feed as a check of Dagster: from a lake, for the day of a run."""

import datetime as dt
from pathlib import Path

import dagster as dg

from mlops_assets.assets.feed_checks import check_freshness
from mlops_assets.config.loader import load_project
from mlops_assets.domain.ports import PartitionId
from resources.lake import LocalLake

DAY = dt.date(2020, 8, 10)  # long ago: whoever asked the clock would find every feed late


def publish(lake: LocalLake, geography: str, *days_back: int) -> None:
    for back in days_back:
        partition = PartitionId("feeds/usage", geography, DAY - dt.timedelta(days=back))
        with lake.write(partition, "0" * 16) as writer:
            writer.commit(row_count=0)


def check(lake: LocalLake, day: dt.date) -> dg.AssetCheckResult:
    feed = load_project().feeds["usage"]
    return check_freshness({code: feed.for_geography([code]) for code in ("cl", "pe")}, day, lake)


def test_the_day_of_the_run_counts_and_not_the_clock(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, "cl", 0, 1)
    publish(lake, "pe", 2)
    found = check(lake, DAY)
    assert (found.passed, found.severity) == (True, dg.AssetCheckSeverity.WARN)


def test_the_late_geography_is_named(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, "cl", 0)
    publish(lake, "pe", 3, 4)
    found = check(lake, DAY)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == (
        "pe: late; the newest published day is 2020-08-07, 3 days behind 2020-08-10; 2 days behind are allowed"
    )
    assert "cl: in time" in str(found.metadata["geographies"].value)
    assert check(lake, DAY - dt.timedelta(days=1)).description == "cl: nothing is published up to 2020-08-09"
