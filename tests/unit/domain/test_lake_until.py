"""A lake as of a day: later days are not there, nothing can be written, all else is the lake's own answer."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError, TableInputError
from mlops_assets.domain.lake_until import LakeUntil
from mlops_assets.domain.ports import Lake, PartitionId
from resources.lake import LocalLake

LAST = dt.date(2026, 8, 5)
DAYS = [LAST + dt.timedelta(days=n) for n in (-2, 0, 1, 3)]
TABLE = "etl/subscriber_features"
SNAPSHOT = PartitionId("feeds/offers", "all")


def of(day: dt.date) -> PartitionId:
    return PartitionId(TABLE, "cl", day)


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    """Four days, two of them after the last, and a table without days."""
    found = LocalLake(tmp_path / "lake")
    for partition in (*map(of, DAYS), SNAPSHOT):
        with found.write(partition, "ab" * 16) as writer:
            writer.file("data").write_text(str(partition))
            writer.commit(row_count=1)
    return found


def test_days_end_with_the_last(lake: LocalLake) -> None:
    assert LakeUntil(lake, LAST).days(TABLE, "cl") == DAYS[:2]
    assert LakeUntil(lake, LAST).days(TABLE, "pe") == []
    assert LakeUntil(lake, DAYS[-1]).days(TABLE, "cl") == DAYS
    assert LakeUntil(lake, DAYS[0] - dt.timedelta(days=1)).days(TABLE, "cl") == []


def test_manifests_and_files_of_later_days_are_not_there(lake: LocalLake) -> None:
    view = LakeUntil(lake, LAST)
    for day in DAYS[:2]:
        assert view.manifest(of(day)) == lake.manifest(of(day))
        assert view.path(of(day)) == lake.path(of(day))
    for day in DAYS[2:]:
        assert lake.manifest(of(day)) is not None
        assert view.manifest(of(day)) is None
        with pytest.raises(TableInputError, match=str(day)):
            view.path(of(day))


def test_tables_without_days_are_seen(lake: LocalLake) -> None:
    view = LakeUntil(lake, LAST)
    assert view.manifest(SNAPSHOT) == lake.manifest(SNAPSHOT)
    assert view.path(SNAPSHOT).read_text() == str(SNAPSHOT)


def test_it_follows_the_lake(lake: LocalLake) -> None:
    """A replay keeps publishing while it looks."""
    view: Lake = LakeUntil(lake, LAST)
    between = of(LAST - dt.timedelta(days=1))
    assert view.manifest(between) is None
    with lake.write(between, "cd" * 16) as writer:
        writer.commit(row_count=0)
    assert view.days(TABLE, "cl") == [DAYS[0], between.day, DAYS[1]]


@pytest.mark.parametrize("partition", [of(LAST), of(DAYS[-1]), SNAPSHOT], ids=str)
def test_nothing_is_written_or_removed(lake: LocalLake, partition: PartitionId) -> None:
    view, before = LakeUntil(lake, LAST), lake.manifest(partition)
    with pytest.raises(StorageError, match="only read") as refused, view.write(partition, "ef" * 16):
        pass
    assert not refused.value.is_retryable
    with pytest.raises(StorageError, match="only read"):
        view.remove(partition)
    assert lake.manifest(partition) == before is not None
