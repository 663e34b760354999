"""A corpus of device groups whose failures have different causes, and everything that trains a fleet on it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_content import content_sha256, count_parts
from mlops_assets.domain.learning.fleet_promotion import FleetRules
from mlops_assets.domain.learning.fleet_training import FleetStores, FleetTraining, train_fleet
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.learning.spec import CorpusSpec
from mlops_assets.domain.learning.training import slot_of, train_challenger
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from resources.lake import LocalLake
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.promotion_ledger import FakePromotionLedger

if TYPE_CHECKING:
    from numpy.typing import NDArray

HORIZON_DAYS = 1
PART_DAYS = {
    "train": (dt.date(2026, 3, 1), dt.date(2026, 3, 3), dt.date(2026, 3, 5)),
    "validation": (dt.date(2026, 3, 7),),
    "holdout": (dt.date(2026, 3, 9), dt.date(2026, 3, 11)),
}
DECIDED = dt.datetime(2026, 3, 13, 12, tzinfo=dt.UTC)
FEATURES = ["heat", "load", "age", "firmware", "device_group"]
Law = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]


def by_heat(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Failures come with heat alone."""
    return 3.0 * x[:, 0] - 1.0


def by_cold(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Failures come with cold, which is the opposite."""
    return -3.0 * x[:, 0] - 1.0


def never(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nothing ever happens."""
    return np.full(len(x), -50.0)


def make_request(**fleet: Any) -> CorpusRequest:
    """Return a request for the fleet of `FleetWorld`; keyword arguments go into the fleet's settings."""
    corpus = CorpusSpec.model_validate(
        {
            "table": "etl/device_features",
            "entity_key": "device_id",
            "split": {"kind": "time", "as_of_every_days": 2},
        }
    )
    settings: dict[str, Any] = {
        "group_column": "device_group",
        "min_rows": 60,
        "shrinkage_rows": 50,
        "algorithms": {"linear": {}},
        "gate": {"min_holdout_rows": 30, "min_holdout_positives": 5},
    }
    spec = {
        "task": "binary",
        "label": {
            "kind": "event",
            "table": "feeds/device_telemetry",
            "horizon_days": HORIZON_DAYS,
            "where": {"event_severity_max": ["2", "3"]},
        },
        "features": FEATURES,
        "algorithms": {"linear": {}},
        "metric": "log_loss",
        "fleet": settings | fleet,
        "gate": {"min_holdout_rows": 50, "min_holdout_positives": 10},
    }
    from mlops_assets.domain.learning.spec import ModelSpec

    return CorpusRequest("network_event", "failure", corpus, ModelSpec.model_validate(spec), "cl")


@dataclass
class FleetWorld:
    """Stores, and a corpus that is published by `publish`."""

    root: Path
    registry: FakeModelRegistry = field(default_factory=FakeModelRegistry)
    ledger: FakePromotionLedger = field(default_factory=FakePromotionLedger)

    def __post_init__(self) -> None:
        """Open the lake."""
        self.lake = LocalLake(self.root / "lake")

    @property
    def stores(self) -> FleetStores:
        """The three stores of a training."""
        return FleetStores(self.lake, self.registry, self.ledger)

    def train_with_cold_delta(self, devices: int, *more: pa.Table) -> None:
        """Train twice: a pooled model of arda and boreal, then delta as well, which fails with cold."""
        alike = [make_rows("arda", by_heat), make_rows("boreal", by_heat, seed=1)]
        self.publish(alike)
        self.train_pooled()
        self.publish([*alike, make_rows("delta", by_cold, devices=devices), *more])
        self.train()

    def publish(self, tables: Sequence[pa.Table]) -> None:
        """Publish a corpus that consists of tables as `make_rows` gives them."""
        partition = make_request().partition
        rows = pa.concat_tables(tables)
        with self.lake.write(partition, stable_hash([rows.num_rows, rows["label"].to_pylist()])) as writer:
            target = writer.file("data")
            pq.write_table(rows, target)
            parts = count_parts(target, is_binary=True)
            through = PART_DAYS["validation"][-1] + dt.timedelta(days=HORIZON_DAYS)
            facts = {
                "content_sha256": content_sha256(target),
                "parts": {name: content.to_facts() for name, content in parts.items()},
                "trained_through_day": through.isoformat(),
            }
            writer.commit(row_count=rows.num_rows, inputs={}, facts=facts)

    def train_pooled(self) -> LedgerEntry:
        """Train the pooled model and judge it."""
        request = make_request()
        challenger = train_challenger(request, lake=self.lake, registry=self.registry, stamps={})
        return judge_challenger(
            challenger,
            request,
            lake=self.lake,
            registry=self.registry,
            ledger=self.ledger,
            decided_at_utc=DECIDED,
        )

    def train(self, processes: int = 1, **fleet: Any) -> FleetTraining:
        """Train the fleet."""
        request = make_request(**fleet)
        if request.model.fleet is None:
            raise TypeError("the request has a fleet")
        rules = FleetRules(request.model.fleet, DECIDED)
        return train_fleet(request, self.stores, rules, stamps={"git_commit": "f" * 40}, processes=processes)


SLOT: ModelSlot = slot_of(make_request())


def make_rows(
    group: str | None,
    law: Law,
    *,
    devices: int = 120,
    seed: int = 0,
    changes: Mapping[str, object] | None = None,
) -> pa.Table:
    """Return all as-of days of a group's devices; `changes` replaces a feature by one value in every row."""
    random = np.random.default_rng([seed, len(group or ""), *map(ord, group or "")])
    days = [(part, day) for part, all_days in PART_DAYS.items() for day in all_days]
    rows = devices * len(days)
    x = random.normal(size=(rows, 3))
    happens = random.random(rows) < 1 / (1 + np.exp(-law(x)))
    columns: dict[str, Any] = {
        "device_id": [f"{group}-{number}" for _ in days for number in range(devices)],
        "as_of_day": pa.array([day for _, day in days for _ in range(devices)], pa.date32()),
        "split": [part for part, _ in days for _ in range(devices)],
        "label": pa.array(happens.astype(np.int64)),
        "heat": pa.array(x[:, 0]),
        "load": pa.array(x[:, 1]),
        "age": pa.array(x[:, 2]),
        "firmware": random.choice(["f1", "f2"], rows).tolist(),
        "device_group": pa.array([group] * rows, pa.string()),
    }
    for name, value in (changes or {}).items():
        kind = pa.string() if name in {"firmware", "device_group"} else pa.float64()
        columns[name] = pa.array([value] * rows, kind)
    return pa.table(columns)
