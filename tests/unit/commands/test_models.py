"""What commands about models do before they show anything, and whom they take to be deciding."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.commands.models import put_models_in_order, who_decides
from mlops_assets.domain.errors import ApprovalError, RegistryError
from mlops_assets.domain.learning.approval import ApprovalSpec, note_terms
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, Person
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.promotion_ledger import FakePromotionLedger

SLOT = ModelSlot("churn", "churn_risk", "cl")
LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PENDING = LedgerEntry(
    decision_id="p1",
    slot=SLOT,
    outcome="pending",
    version="1",
    bundle_sha256="a" * 64,
    previous_version=None,
    decided_by="gate",
    decided_at_utc=LONG_AGO,
    as_of_day=None,
    evidence_sha256="e" * 64,
    reasons=(),
    evidence={"figures": {}, "approval": note_terms(ApprovalSpec(mode="manual"), LONG_AGO)},
)


class Unreachable(FakeModelRegistry):
    """Answers nothing."""

    def aliases(self, name: str) -> dict[str, str]:
        raise RegistryError("no connection", where=name)


@dataclass
class Desk:
    """A workspace of just what these functions ask for."""

    registry: FakeModelRegistry = field(default_factory=FakeModelRegistry)
    person: Person | None = None

    def __post_init__(self) -> None:
        ledger, provenance = FakePromotionLedger(), SimpleNamespace(user=lambda: self.person)
        self.platform: Any = SimpleNamespace(registry=self.registry, ledger=ledger, provenance=provenance)


def test_unreachable_registry_is_said_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(registry=Unreachable())
    desk.platform.ledger.record(PENDING)
    put_models_in_order(desk)  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert "expired: churn.churn_risk.cl version 1" in said
    assert "aliases were not compared with the ledger: no connection" in said
    assert desk.platform.ledger.history(SLOT)[-1].outcome == "expired"


def test_empty_ledger_asks_no_registry(capsys: pytest.CaptureFixture[str]) -> None:
    put_models_in_order(Desk(registry=Unreachable()))  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""


def test_who_decides_is_said_or_gits_user_or_the_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "cy")
    known: Any = Desk(person=Person("Bo Lind", "bo@operator.example"))
    unknown: Any = Desk()
    assert who_decides(known, "Ana") == "Ana"
    assert who_decides(known, "") == "Bo Lind <bo@operator.example>"
    assert who_decides(unknown, "") == "cy"
    monkeypatch.delenv("USER")
    with pytest.raises(ApprovalError, match="--by NAME"):
        who_decides(unknown, "")
