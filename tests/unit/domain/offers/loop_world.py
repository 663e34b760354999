"""A small lake with everything that the offer loop reads, and champions of two input models."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.subscriber_features import SUBSCRIBER_FEATURES
from mlops_assets.domain.features.table import empty_arrow
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.algorithms import ALGORITHMS
from mlops_assets.domain.learning.algorithms.protocol import FitRequest
from mlops_assets.domain.learning.bundle import Scorer, save_bundle
from mlops_assets.domain.learning.dataset import LabelColumn, dataset_from_arrow
from mlops_assets.domain.learning.exposure import Exposure
from mlops_assets.domain.learning.spec import CorpusSpec
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.state_scores import OfferSetting, ScoreSource
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, PartitionId
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.promotion_ledger import FakePromotionLedger
from tests.unit.domain.features.feed_world import GEOGRAPHY, FeedWorld, day_number

USE_CASE = "personalized_offer"
LAST = day_number(60)
CORPUS = {
    "table": "etl/subscriber_features",
    "entity_key": "subscriber_id",
    "min_history_days": 7,
    "split": {"kind": "time"},
}
PLANS = [
    {
        "plan_code": "data_m",
        "family": "data",
        "price_usd_cents": 500,
        "margin_usd_cents": 300,
        "validity_days": 15,
        "allowance_kb": 1024,
    },
    {
        "plan_code": "booster_1gb",
        "family": "booster",
        "price_usd_cents": 100,
        "margin_usd_cents": 70,
        "validity_days": 3,
        "allowance_kb": 1024,
    },
    {
        "plan_code": "voice_s",
        "family": "voice",
        "price_usd_cents": 300,
        "margin_usd_cents": 200,
        "validity_days": 15,
        "allowance_kb": 0,
    },
]
CONTACT_COLUMNS = {
    "offer_id": "text",
    "subscriber_id": "integer",
    "event_time_utc": "timestamp",
    "plan_code": "text",
    "discount_usd_cents": "integer",
    "propensity": "decimal",
    "is_accepted": "boolean",
}
PLAN_COLUMNS = {
    "plan_code": "text",
    "family": "text",
    "price_usd_cents": "integer",
    "margin_usd_cents": "integer",
    "validity_days": "integer",
    "allowance_kb": "integer",
}
PURCHASE_COLUMNS = {"subscriber_id": "integer", "plan_code": "text", "price_usd_cents": "integer"}
OFFERS: dict[str, Any] = {
    "catalogue": {
        "plans": [
            {"plan_code": "data_m", "discounts": [0, 0.1], "eligible": "status = 'active'"},
            {"plan_code": "booster_1gb", "eligible": "tenure_days >= 30"},
        ],
        "contact_policy": {"contacts_max": 1, "window_days": 28, "cool_down_days": 7},
    },
    "state": {"features": ["balance_main_acc"], "scores": ["topup", "churn/risk"]},
    "agent": {"history_weeks": 3, "people_max": 500, "state_days_min": 7},
}


def make_setting(offers: Mapping[str, Any] | None = None, **catalogue: Any) -> OfferSetting:
    """Return the setting; `offers` replaces blocks, `catalogue` replaces keys of the catalogue."""
    blocks = {**OFFERS, **(offers or {})}
    blocks["catalogue"] = {**blocks["catalogue"], **catalogue}
    corpus = CorpusSpec.model_validate(CORPUS)
    only_active = CorpusSpec.model_validate({**CORPUS, "filter_equals": {"status": "active"}})
    scores = (
        ScoreSource(ModelSlot(USE_CASE, "topup", GEOGRAPHY), corpus),
        ScoreSource(ModelSlot("churn", "risk", GEOGRAPHY), only_active),
    )
    return OfferSetting(USE_CASE, GEOGRAPHY, corpus, OffersSpec.model_validate(blocks), scores)


class LoopWorld(FeedWorld):
    """A feed world with a registry and a ledger in memory."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, threads=1)
        self.registry, self.ledger = FakeModelRegistry(), FakePromotionLedger()

    @property
    def ports(self) -> dict[str, Any]:
        return {"lake": self.lake, "registry": self.registry, "ledger": self.ledger}

    def publish(self, table: str, day: dt.date, rows: Sequence[Mapping[str, Any]]) -> None:
        """Publish rows of a feature table; columns that a row does not name are null."""
        types = FEATURE_TABLES[table].column_types
        filled = [{name: row.get(name) for name in types} for row in rows]
        content = pa.Table.from_pylist(filled, schema=empty_arrow(types).schema)
        with self.lake.write(
            PartitionId(table, GEOGRAPHY, day), stable_hash([table, day, str(filled)])
        ) as writer:
            pq.write_table(content, writer.file("data"))
            writer.commit(row_count=len(filled))

    def live(
        self,
        day: dt.date,
        people: Sequence[Mapping[str, Any]] = (),
        *,
        contacts: Sequence[Mapping[str, Any]] = (),
        purchases: Sequence[Mapping[str, Any]] = (),
        churned: Sequence[int] = (),
        plans: Sequence[Mapping[str, Any]] = PLANS,
    ) -> None:
        """Publish a day; people only where they are given."""
        noon = dt.datetime.combine(day, dt.time(12))
        sent = [{"event_time_utc": noon, "offer_id": f"o{n}-{day}", **row} for n, row in enumerate(contacts)]
        self.deliver("offers_sent", day, sent, CONTACT_COLUMNS)
        self.deliver("plan_purchases", day, purchases, PURCHASE_COLUMNS)
        self.deliver("plans", day, plans, PLAN_COLUMNS)
        self.publish("etl/purchases_daily", day, _daily(purchases))
        self.publish("etl/churn_events", day, [{"subscriber_id": one} for one in churned])
        if people:
            self.publish(SUBSCRIBER_FEATURES.name, day, people)

    def crown(self, slot: ModelSlot, *, version: str = "1", as_of_day: dt.date | None = None) -> Scorer:
        """Make a linear model of balance and tenure champion of a slot."""
        random = np.random.default_rng(len(slot.model) + int(version))
        table = pa.table(
            {
                "balance_main_acc": random.normal(3, 2, 400),
                "tenure_days": random.integers(0, 900, 400),
                "status": ["active", "prospect"] * 200,
                "label": (random.random(400) < 0.4).astype(np.int64),
            }
        )
        features = ("balance_main_acc", "tenure_days", "status")
        dataset = dataset_from_arrow(table, features, LabelColumn("label", "binary"))
        scorer = Scorer(
            "linear",
            ALGORITHMS["linear"].fit(dataset, None, FitRequest("binary")),
            None,
            Exposure(dt.date(2025, 12, 1)),
        )
        with tempfile.TemporaryDirectory() as folder:
            digest = save_bundle(Path(folder) / "bundle", scorer)
            with self.registry.run("tests", version, {}) as run:
                run.folder(Path(folder) / "bundle", "bundle")
        registered = self.registry.register(slot.registered_name, run.run_id, "bundle", digest, {})
        current = self.ledger.champion(slot)
        self.ledger.record(
            LedgerEntry(
                decision_id=f"{slot.registered_name}-{version}",
                slot=slot,
                outcome="promoted",
                version=registered.version,
                bundle_sha256=digest,
                previous_version=current.version if current else None,
                decided_by="test",
                decided_at_utc=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
                as_of_day=as_of_day,
                evidence_sha256="e" * 64,
                reasons=(),
            )
        )
        return scorer

    def crown_all(self, setting: OfferSetting) -> list[Scorer]:
        """Make champions of all input models."""
        return [self.crown(source.slot) for source in setting.scores]


def _daily(purchases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return purchases as `etl/purchases_daily` counts them."""
    rows: dict[int, dict[str, Any]] = {}
    for bought in purchases:
        person = bought["subscriber_id"]
        row = rows.setdefault(person, {"subscriber_id": person, "n_plans": 0, "n_boosters": 0})
        row["n_boosters" if bought["plan_code"].startswith("booster") else "n_plans"] += 1
    return list(rows.values())
