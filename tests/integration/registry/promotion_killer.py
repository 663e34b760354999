"""A process that promotes version 2 over version 1 and is killed at a given step.

`python -m tests.integration.registry.promotion_killer HOME gate|person STEP`: the killing is wrapped around the real
ledger and registry, here, not in the product.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from mlops_assets.domain.learning.approval import ApprovalSpec, Verdict
from mlops_assets.domain.learning.decisions import decide_pending, list_pending
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.learning.training import read_challenger
from mlops_assets.domain.ports import LedgerEntry
from resources.lake import LocalLake
from resources.mlflow_registry import MlflowRegistry
from resources.promotion_ledger import SqlitePromotionLedger
from tests.unit.domain.learning.small_world import DECIDED, SLOT, make_request

GATE = {"gate": {"min_holdout_rows": 50, "min_holdout_positives": 10, "max_regret": 1.0}}
# Step -> whether the promotion counts when a process dies there.
STEPS = {
    "before_record": False,
    "in_transaction": False,
    "after_record": True,
    "before_first_alias": True,
    "after_first_alias": True,
    "after_all": True,
}


def die() -> None:
    """End as by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


class KilledLedger(SqlitePromotionLedger):
    """Dies at a step of recording."""

    step = ""

    def record(self, entry: LedgerEntry) -> LedgerEntry:
        if self.step == "before_record":
            die()
        recorded = super().record(entry)
        if self.step == "after_record":
            die()
        return recorded

    def _append(self, *arguments: Any) -> LedgerEntry:
        appended = super()._append(*arguments)
        if self.step == "in_transaction":
            die()
        return appended


def kill_around_alias(step: str) -> None:
    """Let MLflow's call for the first alias be the last thing that happens, or not even that."""
    call: Callable[..., None] = MlflowClient.set_registered_model_alias

    def set_and_die(*arguments: Any) -> None:
        if step == "after_first_alias":
            call(*arguments)
        die()

    if step in {"before_first_alias", "after_first_alias"}:
        MlflowClient.set_registered_model_alias = set_and_die  # type: ignore[method-assign]


def open_stores(home: Path) -> tuple[LocalLake, MlflowRegistry, KilledLedger]:
    """Open lake, registry and ledger where the local environment has them."""
    registry = MlflowRegistry(f"sqlite:///{home}/mlflow/mlflow.db", home / "mlflow" / "artifacts")
    return LocalLake(home / "lake"), registry, KilledLedger(home / "ledger" / "ledger.db")


def promote(home: Path, action: str, step: str = "") -> LedgerEntry:
    """Let the gate promote the newest challenger, or a person approve what waits."""
    lake, registry, ledger = open_stores(home)
    ledger.step = step
    kill_around_alias(step)
    if action == "gate":
        return judge_challenger(
            read_challenger(lake, SLOT),
            make_request(**GATE),
            lake=lake,
            registry=registry,
            ledger=ledger,
            decided_at_utc=DECIDED,
        )
    now = dt.datetime.now(dt.UTC)
    (pending,) = list_pending(ledger, now)
    verdict = Verdict(pending.entry.decision_id, True, "Bo", "looks right", now)
    return decide_pending(
        verdict, ApprovalSpec(mode="manual"), None, lake=lake, registry=registry, ledger=ledger
    )


if __name__ == "__main__":
    promote(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
    die()
