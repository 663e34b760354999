"""A lake as it was on a day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.lake_until import LakeUntil
from mlops_assets.domain.ports import PartitionId
from resources.lake import LocalLake

FIRST = dt.date(2026, 9, 1)


def partition(number: int) -> PartitionId:
    return PartitionId("etl/profile", "cl", FIRST + dt.timedelta(days=number))


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    """Three days, and a table without days."""
    lake = LocalLake(tmp_path)
    for one in (*map(partition, range(3)), PartitionId("corpus/churn/churn_risk", "cl")):
        with lake.write(one, "0" * 16) as writer:
            writer.file("data").write_text("rows")
            writer.commit(row_count=1)
    return lake


def test_later_days_are_not_there(lake: LocalLake) -> None:
    seen = LakeUntil(lake, FIRST + dt.timedelta(days=1))
    assert seen.days("etl/profile", "cl") == [FIRST, FIRST + dt.timedelta(days=1)]
    assert seen.manifest(partition(1)) == lake.manifest(partition(1))
    assert seen.manifest(partition(2)) is None
    assert seen.path(partition(0)) == lake.path(partition(0))


def test_tables_without_days_are_there(lake: LocalLake) -> None:
    assert LakeUntil(lake, FIRST).manifest(PartitionId("corpus/churn/churn_risk", "cl")) is not None


def test_nothing_is_written(lake: LocalLake) -> None:
    seen = LakeUntil(lake, FIRST)
    with pytest.raises(StorageError, match="only read"):
        seen.write(partition(0), "1" * 16)
    with pytest.raises(StorageError, match="only read"):
        seen.remove(partition(0))
    assert lake.manifest(partition(0)) is not None
