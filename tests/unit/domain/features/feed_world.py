"""A small lake with hand-made homologated feeds, and plain Python to compare tables with."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.domain.features.build import TableOutcome, build_table
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.table import FeatureTable, empty_arrow
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import Manifest, PartitionId
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake

GEOGRAPHY = "cl"
FIRST_DAY = dt.date(2026, 1, 1)
Row = Mapping[str, Any]
FEED_COLUMNS: dict[str, dict[str, Any]] = {}
for _table in FEATURE_TABLES.values():
    for _source in _table.inputs:
        if _source.table.startswith("feeds/"):
            FEED_COLUMNS.setdefault(_source.table, {}).update(_source.columns)


def day_number(number: int) -> dt.date:
    """Return a day counted from the first one (0)."""
    return FIRST_DAY + dt.timedelta(days=number)


class FeedWorld:
    """A lake and an engine below a temporary folder."""

    def __init__(self, root: Path, threads: int = 2) -> None:
        self.lake = LocalLake(root / "lake")
        self.engine = DuckDbEngine(threads, "500MB", root / "spill", [root])

    def deliver(self, feed: str, day: dt.date | None, rows: Sequence[Row], columns: Any = None) -> Manifest:
        """Publish a feed partition; a new content gets a new build key."""
        table = f"feeds/{feed}"
        schema = empty_arrow(columns or FEED_COLUMNS[table]).schema
        partition = PartitionId(table, GEOGRAPHY, day)
        filled = [{name: row.get(name) for name in schema.names} for row in rows]
        with self.lake.write(partition, stable_hash([str(partition), [dict(row) for row in rows]])) as writer:
            pq.write_table(pa.Table.from_pylist(filled, schema=schema), writer.file("data"))
            return writer.commit(row_count=len(rows))

    def withdraw(self, table: str, day: dt.date) -> None:
        self.lake.remove(PartitionId(table, GEOGRAPHY, day))

    def build(self, table: FeatureTable, day: dt.date) -> TableOutcome:
        return build_table(table, GEOGRAPHY, day, lake=self.lake, engine=self.engine)

    def build_all(self, day: dt.date, names: Iterable[str] = FEATURE_TABLES) -> dict[str, TableOutcome]:
        return {name: self.build(FEATURE_TABLES[name], day) for name in names}

    def rows(self, table: str, day: dt.date) -> dict[Any, dict[str, Any]]:
        """Return the published rows of a table by its first column."""
        found = pq.read_table(self.lake.path(PartitionId(table, GEOGRAPHY, day))).to_pylist()
        key = next(iter(found[0])) if found else ""
        by_key = {row[key]: row for row in found}
        assert len(by_key) == len(found), "a key repeats"
        return by_key


def random_feeds(seed: int, people: int = 12) -> dict[str, list[dict[str, Any]]]:
    """Return one day's rows of every subscriber feed but dates; absent subscribers and nulls included."""
    chance = random.Random(seed)  # noqa: S311 - test data
    ids = list(range(1, people + 1))
    some = [i for i in ids if chance.random() < 0.6]
    usage_columns = [name for name in FEED_COLUMNS["feeds/usage"] if name != "subscriber_id"]
    return {
        "usage": [
            {"subscriber_id": i, **{name: chance.choice([0, 3, 17, 1024, None]) for name in usage_columns}}
            for i in some
        ],
        "topups": [
            {
                "subscriber_id": chance.choice(ids),
                "amount_usd_cents": chance.randint(1, 900),
                "channel": chance.choice(["app", "shop"]),
            }
            for _ in range(chance.randint(0, 6))
        ],
        "plan_purchases": [
            {
                "subscriber_id": chance.choice(ids),
                "plan_code": chance.choice(["data_s", "boost", "gone"]),
                "price_usd_cents": chance.randint(1, 900),
            }
            for _ in range(chance.randint(0, 6))
        ],
        "offers_sent": [
            {"subscriber_id": chance.choice(ids), "is_accepted": chance.choice([True, False, None])}
            for _ in range(chance.randint(0, 6))
        ],
        "plans": [
            {
                "plan_code": "data_s",
                "family": "data",
                "price_usd_cents": 500,
                "validity_days": 30,
                "allowance_kb": 2048,
            },
            {
                "plan_code": "boost",
                "family": "booster",
                "price_usd_cents": 90,
                "validity_days": 1,
                "allowance_kb": 1,
            },
        ],
    }


def random_people(seed: int, day: dt.date, people: int = 12) -> list[dict[str, Any]]:
    """Return a day's CRM snapshot."""
    chance = random.Random(f"{seed}-{day}")  # noqa: S311 - test data
    return [
        {
            "subscriber_id": i,
            "status": "prospect" if i % 6 == 0 else chance.choice(["active"] * 6 + ["churned"]),
            "activation_date": None if i % 6 == 0 else FIRST_DAY - dt.timedelta(days=i),
            "plan_code": chance.choice(["data_s", "gone"]),
            "plan_start_date": None if i % 6 == 0 else day - dt.timedelta(days=i % 4),
            "plan_expiry_date": None if i % 6 == 0 else day + dt.timedelta(days=i % 9 - 3),
            "balance_usd_cents": chance.randint(-100, 900),
        }
        for i in range(1, people + 1)
    ]


def random_dna(seed: int, people: int = 12, share: float = 1.0) -> list[dict[str, Any]]:
    """Return a DNA delta."""
    chance = random.Random(seed)  # noqa: S311 - test data
    return [
        {
            "subscriber_id": i,
            "age_years": chance.choice([None, 20, 40]),
            "region": chance.choice(["north", "south"]),
            "device_type": "smartphone",
            "is_4g_capable": True,
            "video_affinity": chance.random(),
            "social_affinity": None,
        }
        for i in range(1, people + 1)
        if chance.random() < share
    ]


def deliver_day(world: FeedWorld, day: dt.date, seed: int = 0, people: int = 12) -> None:
    """Deliver all subscriber feeds of a day."""
    number = seed * 1000 + (day - FIRST_DAY).days
    for feed, rows in random_feeds(number, people).items():
        world.deliver(feed, day, rows)
    world.deliver("subscribers", day, random_people(seed, day, people))
    world.deliver("dna", day, random_dna(number, people, share=1.0 if day == FIRST_DAY else 0.2))
