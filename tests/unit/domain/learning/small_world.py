"""A lake with one small corpus and one day of features, and a registry and a ledger in memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_content import content_sha256, count_parts
from mlops_assets.domain.learning.spec import CorpusSpec
from mlops_assets.domain.learning.training import Challenger, slot_of, train_challenger
from mlops_assets.domain.ports import Manifest, ModelSlot, PartitionId
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.promotion_ledger import FakePromotionLedger
from tests.unit.domain.learning.samples import make_spec, make_table

HORIZON_DAYS = 2
PART_DAYS = {
    "train": dt.date(2026, 3, 1),
    "validation": dt.date(2026, 3, 3),
    "holdout": dt.date(2026, 3, 5),
}
# The last day whose outcomes are in the corpus; a model made from it serves from the next day on.
AS_OF_DAY = PART_DAYS["holdout"] + dt.timedelta(days=HORIZON_DAYS)
NEXT_DAY = AS_OF_DAY + dt.timedelta(days=1)
TABLE = "etl/subscriber_features"
STAMPS = {"git_commit": "f" * 40, "dagster_run_id": "run-7", "config_sha256": "c" * 64}
DECIDED = dt.datetime(2026, 3, 8, 12, tzinfo=dt.UTC)
KB_PER_MB = 1024.0
NO_FAULT: Mapping[str, int] = MappingProxyType({})
GATE = {"min_holdout_rows": 50, "min_holdout_positives": 10}


def make_request(**model: Any) -> CorpusRequest:
    """Return a request for a model of `make_table`'s columns, with labels that take two days."""
    corpus = CorpusSpec.model_validate(
        {
            "table": TABLE,
            "entity_key": "subscriber_id",
            "filter_equals": {"status": "active"},
            "split": {"kind": "time", "as_of_every_days": 2},
        }
    )
    label = {"kind": "event", "table": "etl/churn_events", "horizon_days": HORIZON_DAYS}
    spec = make_spec(**{"label": label, "gate": GATE, "algorithms": {"linear": {}}} | model)
    return CorpusRequest("churn", "churn_risk", corpus, spec, "cl")


SLOT: ModelSlot = slot_of(make_request())


@dataclass
class SmallWorld:
    """Everything that training, judging and scoring ask for."""

    root: Path
    registry: FakeModelRegistry = field(default_factory=FakeModelRegistry)
    ledger: FakePromotionLedger = field(default_factory=FakePromotionLedger)

    def __post_init__(self) -> None:
        """Open the lake and an engine that may read it."""
        self.lake = LocalLake(self.root / "lake")
        self.engine = DuckDbEngine(1, "200MB", self.root / "spill", [self.root])

    def publish_corpus(
        self, *, seed: int = 0, one_class_in: str = "", wrong_units_in: Mapping[str, int] = NO_FAULT
    ) -> Manifest:
        """Publish 300 rows a part.

        Args:
            seed: of the rows.
            one_class_in: a part in which nothing ever happens.
            wrong_units_in: by part, how many of its last rows hold volumes in KB that are labelled as MB.
        """
        tables = []
        for number, (part, day) in enumerate(PART_DAYS.items()):
            rows = make_table(300, seed=seed * 10 + number)
            if part == one_class_in:
                labels = pa.array(np.zeros(300, dtype=np.int64))
                rows = rows.set_column(rows.schema.get_field_index("label"), "label", labels)
            if wrong := wrong_units_in.get(part):
                factors = np.where(np.arange(300) < 300 - wrong, 1.0, KB_PER_MB)
                volumes = pc.multiply(rows["usage_mb"], pa.array(factors))
                rows = rows.set_column(rows.schema.get_field_index("usage_mb"), "usage_mb", volumes)
            rows = rows.append_column("as_of_day", pa.array([day] * 300, pa.date32()))
            tables.append(rows.append_column("split", pa.array([part] * 300)))
        partition = make_request().partition
        with self.lake.write(
            partition, stable_hash(["corpus", seed, one_class_in, dict(wrong_units_in)])
        ) as writer:
            target = writer.file("data")
            pq.write_table(pa.concat_tables(tables), target)
            parts = count_parts(target, is_binary=True)
            trained_through = PART_DAYS["validation"] + dt.timedelta(days=HORIZON_DAYS)
            facts = {
                "content_sha256": content_sha256(target),
                "parts": {name: content.to_facts() for name, content in parts.items()},
                "trained_through_day": trained_through.isoformat(),
            }
            return writer.commit(row_count=900, inputs={f"{TABLE}[cl 2026-03-01]": "ab" * 32}, facts=facts)

    def drop_from_corpus(self, column: str) -> None:
        """Publish the corpus anew as if the feature table did not have a column any more."""
        partition = make_request().partition
        manifest = self.lake.manifest(partition)
        rows = pq.read_table(self.lake.path(partition)).drop_columns([column])
        with self.lake.write(partition, stable_hash(["without", column])) as writer:
            pq.write_table(rows, writer.file("data"))
            writer.commit(row_count=rows.num_rows, facts=manifest.facts if manifest else {})

    def publish_features(self, day: dt.date, *, statuses: tuple[str, ...] = ("active", "prospect")) -> None:
        """Publish a day of 40 rows whose status goes round."""
        rows = make_table(40, seed=99).drop_columns(["label"])
        rows = rows.append_column("status", pa.array([statuses[i % len(statuses)] for i in range(40)]))
        with self.lake.write(PartitionId(TABLE, "cl", day), stable_hash([day, statuses])) as writer:
            pq.write_table(rows, writer.file("data"))
            writer.commit(row_count=40)

    def train(self, **model: Any) -> Challenger:
        """Train and register a challenger on the published corpus."""
        request = make_request(**model)
        return train_challenger(request, lake=self.lake, registry=self.registry, stamps=STAMPS)

    def damage(self, challenger: Challenger) -> None:
        """Change one byte of a registered bundle."""
        files = self.registry.runs[challenger.run_id].files
        files["bundle/bundle.json"] = files["bundle/bundle.json"][:-1] + b" "
