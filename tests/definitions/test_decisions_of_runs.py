"""Two runs of one segment in one tick: each decision is told once, by the run that made it."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg

from mlops_assets.commands.job_runs import JobRun
from mlops_assets.commands.replay import Replay
from mlops_assets.config import names
from mlops_assets.config.loader import load_project
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from tests.fakes.promotion_ledger import FakePromotionLedger

SLOT = ModelSlot("churn", "churn_risk", "cl")
JOB = names.training_job(SLOT.use_case)


def decision(number: int) -> LedgerEntry:
    """Return a rejected challenger."""
    return LedgerEntry(
        decision_id=f"d{number}",
        slot=SLOT,
        outcome="rejected",
        version=str(number),
        bundle_sha256="a" * 64,
        previous_version=None,
        decided_by="gate",
        decided_at_utc=dt.datetime(2026, 9, 1, tzinfo=dt.UTC),
        as_of_day=None,
        evidence_sha256="e" * 64,
        reasons=("no better",),
    )


def test_each_decision_is_told_by_the_run_that_made_it() -> None:
    ledger = FakePromotionLedger()
    ledger.record(decision(1))  # of an earlier day

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["cl"]))
    def trained() -> None:
        ledger.record(decision(len(ledger.entries) + 1))

    workspace = SimpleNamespace(
        definitions=dg.Definitions([trained], jobs=[dg.define_asset_job(JOB, [trained])]),
        config=load_project(),
        platform=SimpleNamespace(ledger=ledger),
    )
    runs = [JobRun(JOB, "cl", {names.TAG_REASON: reason}) for reason in ("first champion", "drift")]
    with dg.DagsterInstance.ephemeral() as instance:
        outcomes = Replay(cast("Any", workspace), instance)._train([runs])
    told = [[entry.decision_id for entry in outcome.decisions] for outcome in outcomes]
    assert told == [["d2"], ["d3"]]
