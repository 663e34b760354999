"""A lake with a frozen decision log, and a registry and a ledger in memory: what policies are trained and judged with.

Belongs here: putting a log into the lake without feeds. Does not belong here: how logs come about (loop_world).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.domain.learning.approval import ApprovalSpec
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.offers.decision_data import NO_ACTION, Transitions
from mlops_assets.domain.offers.decision_log import FrozenLog, log_partition, read_log
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.policy_promotion import judge_policy
from mlops_assets.domain.offers.policy_training import train_policy
from mlops_assets.domain.offers.transition_files import hash_transitions, write_transitions
from mlops_assets.domain.offers.worlds import WorldsOutcome, build_worlds
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from resources.lake import LocalLake
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.promotion_ledger import FakePromotionLedger
from tests.unit.domain.offers.policy_world import make_log, make_spec

SLOT = ModelSlot("personalized_offer", "offer_agent", "cl")
FIRST_DAY = dt.date(2026, 8, 2)
DECIDED = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
STAMPS = {"git_commit": "f" * 40, "dagster_run_id": "run-7"}


@dataclass
class PolicyLake:
    """Everything that training and judging a policy ask for."""

    root: Path
    spec: OffersSpec = field(default_factory=make_spec)
    registry: FakeModelRegistry = field(default_factory=FakeModelRegistry)
    ledger: FakePromotionLedger = field(default_factory=FakePromotionLedger)

    def __post_init__(self) -> None:
        """Open the lake."""
        self.lake = LocalLake(self.root / "lake")

    def freeze(self, log: Transitions | None = None, *, first_day: dt.date = FIRST_DAY) -> FrozenLog:
        """Publish a log, as the transitions asset does."""
        found = make_log() if log is None else log
        weeks = np.unique(found.weeks)
        days = [first_day + dt.timedelta(days=7 * int(week)) for week in weeks]
        sha256 = hash_transitions(found)
        facts: dict[str, Any] = {
            "content_sha256": sha256,
            "as_of_days": [str(day) for day in days],
            "last_day": str(days[-1] + dt.timedelta(days=7)),
            "holdout_weeks": self.spec.agent.holdout_weeks,
            "left_out_weeks": {},
            "counts": {"contacted": int((found.actions != NO_ACTION).sum()), "other_offer": 3, "gone": 0},
            "input_champions": {"churn/churn_risk": "2"},
            "people": len(np.unique(found.states.customers)),
        }
        with self.lake.write(log_partition(SLOT), sha256) as writer:
            write_transitions(writer.file("data"), found)
            writer.commit(row_count=found.rows, facts=facts)
        return read_log(SLOT, self.lake)

    def build_worlds(self) -> WorldsOutcome:
        """Learn both worlds from the log that is kept."""
        return build_worlds(SLOT, read_log(SLOT, self.lake), self.spec, lake=self.lake)

    def train(self) -> Challenger:
        """Learn the ladder and register the chosen policy."""
        return train_policy(SLOT, self.spec, lake=self.lake, registry=self.registry, stamps=STAMPS)

    def judge(self, challenger: Challenger, approval: ApprovalSpec | None = None) -> LedgerEntry:
        """Let the gate decide."""
        return judge_policy(
            challenger,
            self.spec,
            lake=self.lake,
            registry=self.registry,
            ledger=self.ledger,
            decided_at_utc=DECIDED,
            approval=approval or ApprovalSpec(),
        )
