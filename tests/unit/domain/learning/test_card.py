"""How a card tells a decision's checks: what was seen beside what was required."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict

import pytest

from mlops_assets.domain.learning.card import describe_decision
from mlops_assets.domain.learning.gate import Check, above, at_least, at_most
from mlops_assets.domain.ports import LedgerEntry, ModelSlot


@pytest.mark.parametrize(
    ("check", "observed", "required"),
    [
        (at_least("rows", 40, 50, "rows of 'a, b'"), "rows of 'a, b': 40", "at least 50 needed"),
        (at_most("latency", None, 0.5, "milliseconds"), "milliseconds: no figure", "at most 0.5 allowed"),
        (above("gain", 0.0, 0.0, "lower bound"), "lower bound: 0", "above 0 needed"),
        (Check("scored", False, None, None, "features ['a', 'b'] are absent"), "features ['a', 'b'] are absent", ""),
    ],
)  # fmt: skip
def test_a_check_is_parted_where_its_bound_begins(check: Check, observed: str, required: str) -> None:
    entry = LedgerEntry(
        decision_id="d", slot=ModelSlot("churn", "churn_risk", "cl"), outcome="rejected", version="1",
        bundle_sha256="0" * 64, previous_version=None, decided_by="gate",
        decided_at_utc=dt.datetime(2026, 7, 1, tzinfo=dt.UTC), as_of_day=None, evidence_sha256="0" * 64,
        reasons=("no",), evidence={"checks": [asdict(check)]},
    )  # fmt: skip
    (told,) = describe_decision(entry).checks
    assert (told.observed, told.required) == (observed, required)
