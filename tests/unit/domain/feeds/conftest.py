"""A landing zone, a lake and an engine on a temporary folder, and small deliveries."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.feeds.landing import FeedOutcome, land_feed
from mlops_assets.domain.ports import PartitionId
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone

CONFIGS = Path(__file__).parents[4] / "configs"
DAY = dt.date(2026, 8, 10)


@functools.cache
def contract(name: str) -> FeedContract:
    return FeedContract.model_validate(yaml.safe_load((CONFIGS / "feeds" / f"{name}.yaml").read_text()))


@functools.cache
def geography(code: str) -> Geography:
    entries = yaml.safe_load((CONFIGS / "geographies.yaml").read_text())["geographies"]
    return Geography.model_validate({"code": code, **entries[code]})


@dataclasses.dataclass(frozen=True)
class World:
    """Delivers files and lands them."""

    root: Path
    engine: DuckDbEngine

    @property
    def lake(self) -> LocalLake:
        return LocalLake(self.root / "lake")

    def path(self, feed: FeedContract, code: str = "cl", day: dt.date | None = DAY) -> Path:
        path = self.root / "landing" / code / feed.for_geography([code]).file_name(day)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def deliver(
        self, feed: FeedContract, table: pa.Table | bytes, code: str = "cl", day: dt.date | None = DAY
    ) -> Path:
        path = self.path(feed, code, day)
        if isinstance(table, bytes):
            path.write_bytes(table)
        else:
            pq.write_table(table, path)
        return path

    def land(
        self, feed: FeedContract, code: str = "cl", day: dt.date | None = DAY, **kwargs: Any
    ) -> FeedOutcome:
        landing = LocalLandingZone(self.root / "landing")
        where = kwargs.pop("geography", None) or geography(code)
        return land_feed(feed, where, [code], day, landing=landing, lake=self.lake, engine=self.engine)

    def rows(self, outcome: FeedOutcome, role: str = "data") -> list[dict[str, Any]]:
        return pq.read_table(self.lake.path(outcome.partition, role)).to_pylist()

    def published_bytes(self, partition: PartitionId) -> Mapping[str, bytes]:
        """Everything that readers can see of a partition."""
        manifest = self.lake.manifest(partition)
        assert manifest is not None
        folder = self.lake.folder(partition)
        names = [*manifest.files.values(), "manifest.json"]
        return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDbEngine]:
    root = tmp_path_factory.getbasetemp()
    engine = DuckDbEngine(2, "500MB", root / "spill", [root])
    yield engine
    engine.close()


@pytest.fixture
def world(tmp_path: Path, shared_engine: DuckDbEngine) -> World:
    return World(tmp_path, shared_engine)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def usage_row(subscriber: Any = 56900000001, **changes: Any) -> dict[str, Any]:
    row = {
        "MSISDN": str(subscriber),
        "EVENT_TS": utc("2026-08-10 15:00:00"),
        "INGEST_TS": utc("2026-08-10 16:00:00"),
        "DATA_LOCAL_VOL": 1.5,
        "DATA_ROAM_VOL": 0.0,
        "DATA_UNIT": "MB",
        "APP_FB": 0.5,
        "APP_WA": 0.25,
        "APP_YT": 0.125,
        "APP_TT": 0.0,
        "APP_IG": 0.0,
        "CALLS_ON": 2,
        "CALLS_OFF": 1,
        "CALL_SECS": 100,
        "SMS_ON": 1,
        "SMS_OFF": 0,
    }
    return {**row, **changes}


def usage_table(rows: Sequence[dict[str, Any]] | None = None, *, count: int = 20) -> pa.Table:
    return pa.Table.from_pylist(list(rows or [usage_row(56900000001 + i) for i in range(count)]))


TOPUP_HEADER = "TOPUP_ID,MSISDN,TOPUP_TS,AMOUNT,CHANNEL\n"


def topup_line(i: int, at: str = "2026-08-10 15:00:00", amount: str = "5000", channel: str = "APP") -> str:
    return f"T{i},{56900000000 + i},{at},{amount},{channel}\n"


def topups_csv(count: int = 20, line: Callable[[int], str] = topup_line) -> bytes:
    return (TOPUP_HEADER + "".join(line(i) for i in range(1, count + 1))).encode()
