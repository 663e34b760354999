"""Promoted models of a small world: registry, ledger and outbox in memory, a real deployment store on disk."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mlops_assets.domain.deployment.activation import DeploymentSite, SlotOutcome, SlotUpdate, update_slot
from mlops_assets.domain.deployment_ports import DeploymentStore
from mlops_assets.domain.learning.algorithms import ALGORITHMS, FitRequest
from mlops_assets.domain.learning.bundle import Scorer, save_bundle
from mlops_assets.domain.learning.exposure import Exposure
from mlops_assets.domain.learning.spec import Task
from mlops_assets.domain.learning.training_ranges import measure_ranges
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from resources.deployment_store import LocalDeploymentStore
from tests.fakes.mail import FakeOutbox
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.promotion_ledger import FakePromotionLedger
from tests.unit.domain.learning.samples import make_dataset

SLOT = ModelSlot("churn", "churn_risk", "cl")
NOW = dt.datetime(2026, 9, 1, 8, 0, tzinfo=dt.UTC)
RECIPIENTS = ("retention@operator.example",)
_BUNDLE = "bundle"


@cache
def make_scorer(seed: int, algorithm: str = "catboost", task: Task = "binary") -> Scorer:
    """Return a small model that differs by seed."""
    train = make_dataset(200, task, seed=seed)
    hyperparameters = {"iterations": 8} if algorithm == "catboost" else {}
    model = ALGORITHMS[algorithm].fit(train, None, FitRequest(task, hyperparameters))
    exposure = Exposure(trained_through_day=dt.date(2026, 8, 1))
    return Scorer(
        algorithm,
        model,
        None,
        exposure,
        {"seed": seed, "config_sha256": "e" * 64},
        ranges=measure_ranges(train),
    )


@dataclass
class DeploymentWorld:
    """Everything that an update asks for."""

    root: Path
    registry: FakeModelRegistry = field(default_factory=FakeModelRegistry)
    ledger: FakePromotionLedger = field(default_factory=FakePromotionLedger)
    outbox: FakeOutbox = field(default_factory=FakeOutbox)

    def __post_init__(self) -> None:
        """Open the store."""
        self.store = LocalDeploymentStore(self.root / "deployment")

    def register(self, scorer: Scorer, slot: ModelSlot = SLOT) -> tuple[str, str]:
        """Register a scorer; return version and bundle hash."""
        with tempfile.TemporaryDirectory() as folder, self.registry.run("churn", "fit", {}) as run:
            bundle_sha256 = save_bundle(Path(folder) / _BUNDLE, scorer)
            run.folder(Path(folder) / _BUNDLE, _BUNDLE)
        made = self.registry.register(slot.registered_name, run.run_id, _BUNDLE, bundle_sha256, {})
        return made.version, bundle_sha256

    def decide(
        self, version: str, bundle_sha256: str, outcome: str = "promoted", slot: ModelSlot = SLOT
    ) -> LedgerEntry:
        """Record a decision on a registered version."""
        current = self.ledger.champion(slot)
        return self.ledger.record(
            LedgerEntry(
                decision_id=f"d{len(self.ledger.entries) + 1}",
                slot=slot,
                outcome=outcome,
                version=version,
                bundle_sha256=bundle_sha256,
                previous_version=current.version if current else None,
                decided_by="gate",
                decided_at_utc=NOW,
                as_of_day=dt.date(2026, 8, 31),
                evidence_sha256="e" * 64,
                reasons=("gain 0.02",),
                evidence={"figures": {"gain": 0.02}},
            )
        )

    def promote(self, seed: int) -> LedgerEntry:
        """Register and promote a model that differs by seed."""
        return self.decide(*self.register(make_scorer(seed)))

    def damage(self, entry: LedgerEntry) -> None:
        """Flip a bit of a registered model's native file."""
        for run in self.registry.runs.values():
            name = f"{_BUNDLE}/model.cbm"
            if self.registry.version(entry.slot.registered_name, entry.version).run_id == run.run_id:
                content = bytearray(run.files[name])
                content[len(content) // 2] ^= 1
                run.files[name] = bytes(content)

    def damage_package(self, entry: LedgerEntry, name: str = "model/model.cbm") -> None:
        """Flip a bit of a file of a published package."""
        path = self.store.root / "bundles" / entry.bundle_sha256 / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))

    def site(self, store: DeploymentStore | None = None) -> DeploymentSite:
        """Return what an update reads and writes."""
        return DeploymentSite(self.ledger, self.registry, store or self.store, self.outbox)

    def update(self, store: DeploymentStore | None = None, now_utc: dt.datetime = NOW) -> SlotOutcome:
        """Bring the slot up to date."""
        update = SlotUpdate(
            SLOT, {"owner": "team:x"}, RECIPIENTS, lambda version: {"title": f"card {version}"}
        )
        return update_slot(update, self.site(store), now_utc)

    @property
    def serving_version(self) -> str | None:
        """What the pointer names."""
        pointer = self.store.pointer(SLOT)
        return pointer.serving.version if pointer and pointer.serving else None
