"""Retrainings of a whole project: every watched model by its own history, evidence anew once all have followed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import VERDICT_DAYS, plan_retrainings, retrained_since
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.retraining import RetrainingPlan
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, PartitionId
from mlops_assets.domain.quality.drift_verdict import DriftVerdict, VerdictKind
from mlops_assets.domain.quality.drift_window import DriftFigures
from resources.lake import LocalLake
from tests.fakes.promotion_ledger import FakePromotionLedger

FIRST = dt.date(2026, 8, 3)
SHIFT = 20
DUE = SHIFT + 7


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def slot(model: str, segment: str = "cl") -> ModelSlot:
    return ModelSlot("churn", model, segment)


@pytest.fixture
def config() -> ProjectConfig:
    """The project with a second churn model, whose outcomes take two weeks; in pe no monitor retrains."""
    project = load_project()
    segments = {}
    for segment, settings in project.use_cases["churn"].items():
        risk = settings.models["churn_risk"]
        slow = risk.model_copy(update={"label": risk.label.model_copy(update={"horizon_days": 14})})
        monitors = settings.retraining.monitors if segment == "cl" else []
        retraining = settings.retraining.model_copy(update={"monitors": monitors})
        models = {"churn_risk": risk, "slow_churn_risk": slow}
        segments[segment] = settings.model_copy(update={"models": models, "retraining": retraining})
    return project.model_copy(update={"use_cases": {"churn": segments}})


@pytest.fixture
def ledger() -> FakePromotionLedger:
    """Every slot has a champion since day 10."""
    found = FakePromotionLedger()
    for model in ("churn_risk", "slow_churn_risk"):
        for segment in ("cl", "pe"):
            promote(found, slot(model, segment), 10)
    return found


def promote(ledger: FakePromotionLedger, where: ModelSlot, as_of: int) -> None:
    champion, version = ledger.champion(where), str(len(ledger.history(where)) + 1)
    ledger.record(
        LedgerEntry(
            decision_id=f"{where.registered_name} {version}", slot=where, outcome="promoted", version=version,
            bundle_sha256="a" * 64, previous_version=champion.version if champion else None, decided_by="gate",
            decided_at_utc=dt.datetime(2026, 10, 1, tzinfo=dt.UTC), as_of_day=day(as_of), evidence_sha256="0" * 64,
            reasons=(), evidence={"figures": {"holdout_first_day": str(day(as_of - 7))}},
        )
    )  # fmt: skip


def publish(lake: LocalLake, segment: str, number: int, kind: VerdictKind) -> None:
    """Publish a day of features and the verdict on it."""
    with lake.write(
        PartitionId("etl/subscriber_features", segment, day(number)), stable_hash(number)
    ) as writer:
        writer.commit(row_count=1)
    is_shift = kind == "behaviour_shift"
    verdict = DriftVerdict(
        kind=kind, day=day(number), segment=segment, reasons=(kind,), is_retraining_due=is_shift,
        figures=DriftFigures(marked_days=(day(SHIFT),) if is_shift else ()),
    )  # fmt: skip
    drift = PartitionId("quality/plan_usage/drift", segment, day(number))
    with lake.write(drift, stable_hash([number, kind])) as writer:
        writer.commit(row_count=0, facts={"verdict": verdict.to_facts(), "since_day": None})


def shifted(tmp_path: Path, last: int, *segments: str) -> LocalLake:
    """Return a lake in which behaviour has moved from day 20 on, recognised on day 22."""
    lake = LocalLake(tmp_path / "lake")
    for segment in segments:
        for number in range(15, last + 1):
            publish(lake, segment, number, "behaviour_shift" if number >= SHIFT + 2 else "healthy")
    return lake


def due(plans: list[RetrainingPlan]) -> dict[str, dt.date | None]:
    return {plan.slot.model: plan.as_of_day for plan in plans if plan.is_due}


def test_only_slots_that_a_monitor_may_retrain_have_a_plan(
    config: ProjectConfig, ledger: FakePromotionLedger, tmp_path: Path
) -> None:
    plans = plan_retrainings(config, shifted(tmp_path, DUE, "cl", "pe"), ledger)
    assert [plan.slot for plan in plans] == [slot("churn_risk"), slot("slow_churn_risk")]


def test_each_model_waits_for_its_own_outcomes(
    config: ProjectConfig, ledger: FakePromotionLedger, tmp_path: Path
) -> None:
    lake = shifted(tmp_path, DUE, "cl")
    assert due(plan_retrainings(config, lake, ledger)) == {"churn_risk": day(DUE)}
    publish(lake, "cl", SHIFT + 14, "behaviour_shift")
    assert due(plan_retrainings(config, lake, ledger)) == {
        "churn_risk": day(DUE),
        "slow_churn_risk": day(SHIFT + 14),
    }


def test_a_shift_further_back_than_verdicts_are_read_has_become_the_past(
    config: ProjectConfig, ledger: FakePromotionLedger, tmp_path: Path
) -> None:
    lake = LocalLake(tmp_path / "lake")
    publish(lake, "cl", SHIFT + 2, "behaviour_shift")
    for number in range(SHIFT + 3, SHIFT + 2 + VERDICT_DAYS):
        publish(lake, "cl", number, "healthy")
    assert set(due(plan_retrainings(config, lake, ledger))) == {"churn_risk", "slow_churn_risk"}
    publish(lake, "cl", SHIFT + 2 + VERDICT_DAYS, "healthy")
    assert due(plan_retrainings(config, lake, ledger)) == {}


def since(config: ProjectConfig, ledger: FakePromotionLedger, number: int, **where: Any) -> dt.date | None:
    terms = {"monitor": "plan_usage", "segment": "cl"} | where
    return retrained_since(config, ledger, terms["monitor"], terms["segment"], day(number))


def test_evidence_counts_anew_from_the_model_that_is_furthest_behind(
    config: ProjectConfig, ledger: FakePromotionLedger
) -> None:
    promote(ledger, slot("slow_churn_risk"), 34)
    assert since(config, ledger, 60) is None, "one model still lags"
    promote(ledger, slot("churn_risk"), 27)
    assert since(config, ledger, 60) == day(28)
    assert since(config, ledger, 34) is None, "as it was on the day"
    assert since(config, ledger, 35) == day(28)
    assert since(config, ledger, 60, segment="pe") is None
    assert since(config, ledger, 60, monitor="another") is None
