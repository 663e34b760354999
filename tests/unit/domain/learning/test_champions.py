"""Which decision speaks for a model version."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from mlops_assets.domain.errors import RegistryError
from mlops_assets.domain.learning.champions import decision_on
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from tests.fakes.promotion_ledger import FakePromotionLedger

SLOT = ModelSlot("churn", "churn_risk", "cl")
REJECTED = LedgerEntry(
    "d1", SLOT, "rejected", "1", "a" * 64, None, "gate", dt.datetime(2026, 8, 1, tzinfo=dt.UTC), None, "e", ()
)


def test_newest_decision_on_a_version_is_found() -> None:
    ledger = FakePromotionLedger()
    ledger.record(REJECTED)
    promoted = ledger.record(dataclasses.replace(REJECTED, decision_id="d2", outcome="promoted"))
    ledger.record(dataclasses.replace(REJECTED, decision_id="d3", version="2", bundle_sha256="b" * 64))
    assert decision_on(ledger, SLOT, "1", "a" * 64) == promoted


def test_version_without_decision_says_what_to_do() -> None:
    expected = (
        r"no decision on version 1; where: churn\.churn_risk\.cl; .*materialise champion/churn/churn_risk"
    )
    with pytest.raises(RegistryError, match=expected):
        decision_on(FakePromotionLedger(), SLOT, "1", "a" * 64)
