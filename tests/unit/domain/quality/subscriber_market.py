"""A small market with known levels and spreads, published as feeds and kernels of a lake."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.domain.features.build import TableOutcome
from mlops_assets.domain.features.plan_usage import PLAN_USAGE_DAILY
from mlops_assets.domain.features.table import FeatureTable
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.subscriber_tables import subscriber_tables
from tests.unit.domain.features.feed_world import GEOGRAPHY, FeedWorld, day_number

KERNEL = "quality/plan_usage/kernel"
TABLES = {table.name.rsplit("_", 1)[1]: table for table in subscriber_tables(KERNEL)}
WEEK = np.array([1.0, 0.95, 1.0, 1.0, 1.1, 1.3, 1.25])


def publish(world: FeedWorld, table: str, day: dt.date, columns: Mapping[str, Any]) -> None:
    """Publish a partition; a new content gets a new build key."""
    rows = pa.table(dict(columns))
    partition = PartitionId(table, GEOGRAPHY, day)
    with world.lake.write(partition, stable_hash([str(partition), str(rows.to_pydict())])) as writer:
        pq.write_table(rows, writer.file("data"))
        writer.commit(row_count=rows.num_rows)


def publish_people(world: FeedWorld, day: dt.date, plans: Mapping[int, str], mb: Mapping[int, float]) -> None:
    """Publish CRM snapshot, usage (of those with more than nothing) and plan totals of a day."""
    publish(
        world,
        "feeds/subscribers",
        day,
        {
            "subscriber_id": pa.array(list(plans), pa.int64()),
            "status": ["prospect" if plan == "none" else "active" for plan in plans.values()],
            "plan_code": list(plans.values()),
        },
    )
    used = {one: value for one, value in mb.items() if value > 0}
    publish(
        world,
        "feeds/usage",
        day,
        {
            "subscriber_id": pa.array(list(used), pa.int64()),
            "data_local_kb": pa.array([round(value * 1024) for value in used.values()], pa.int64()),
            "data_roaming_kb": pa.array([None] * len(used), pa.int64()),
            "record_count": pa.array([1] * len(used), pa.int64()),
        },
    )
    world.build(PLAN_USAGE_DAILY, day)


def publish_kernel(
    world: FeedWorld, day: dt.date, mids: Mapping[str, Sequence[float]], table: str = KERNEL
) -> None:
    """Publish a kernel: for each series the forecasts of the days after."""
    rows = [
        {
            "series": series,
            "target_day": day + dt.timedelta(days=ahead),
            "horizon_days": ahead,
            "mid_mb": float(mid),
        }
        for series, of_series in mids.items()
        for ahead, mid in enumerate(of_series, start=1)
    ]
    columns = {
        name: [row[name] for row in rows] for name in ("series", "target_day", "horizon_days", "mid_mb")
    }
    publish(world, table, day, columns | {"target_day": pa.array(columns["target_day"], pa.date32())})


def judge(world: FeedWorld, day: dt.date, names: Iterable[str] = TABLES) -> dict[str, TableOutcome]:
    """Build the subscriber tables of a day in their order."""
    return {name: world.build(TABLES[name], day) for name in names}


def read(world: FeedWorld, table: FeatureTable | str, day: dt.date) -> list[dict[str, Any]]:
    name = TABLES[table].name if isinstance(table, str) else table.name
    rows: list[dict[str, Any]] = pq.read_table(world.lake.path(PartitionId(name, GEOGRAPHY, day))).to_pylist()
    return rows


@dataclass
class Market:
    """People of two plans whose daily volume is plan x weekday x own level x own noise, at times nothing.

    `values` has MB by day and person; the kernel knows the expected totals of the plans, made every week.
    """

    people: int
    days: int
    seed: int = 0
    plans: list[str] = field(default_factory=list)
    values: Any = None

    def __post_init__(self) -> None:
        chance = np.random.default_rng(self.seed)
        self.plans = [["data_s", "data_l"][i % 2] for i in range(self.people)]
        self.plan_mb = np.array([[40.0, 300.0][i % 2] for i in range(self.people)])
        self.level = chance.normal(0.0, 0.9, self.people)
        self.spread = np.exp(chance.normal(np.log(0.45), 0.3, self.people))
        quiet = chance.beta(0.5, 8, self.people)
        noise = chance.standard_t(6, (self.days, self.people)) * self.spread * 0.85
        weekday = WEEK[np.arange(self.days) % 7][:, None]
        self.values = self.plan_mb * weekday * np.exp(self.level + noise)
        self.values[chance.random(self.values.shape) < quiet] = 0.0

    def kernel(self, after: int) -> dict[str, list[float]]:
        """Return the expected totals of the 30 days after a day."""
        totals = {}
        for plan in ("data_s", "data_l"):
            mine = np.array(self.plans) == plan
            per_weekday = self.values[:, mine].sum(axis=1).mean() / WEEK.mean()
            totals[plan] = [per_weekday * WEEK[(after + ahead) % 7] for ahead in range(1, 31)]
        return totals

    def publish(self, world: FeedWorld, number: int) -> None:
        plans = dict(enumerate(self.plans, start=1))
        publish_people(
            world, day_number(number), plans, dict(enumerate(self.values[number].tolist(), start=1))
        )
        if number % 7 == 0:
            publish_kernel(world, day_number(number), self.kernel(number))

    def run(self, world: FeedWorld, judged: Collection[int]) -> None:
        """Publish all days and move the state through them; look for anomalies on the days `judged`."""
        for number in range(self.days):
            self.publish(world, number)
            judge(world, day_number(number), TABLES if number in judged else ("scores", "levels"))
