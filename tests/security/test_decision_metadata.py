"""What a person writes beside a decision stays text on Dagster's pages."""

from __future__ import annotations

import datetime as dt
from typing import Any

from mlops_assets.assets.learning_view import decision_metadata
from mlops_assets.domain.ports import LedgerEntry, ModelSlot

NOTE = "rejected by ana: [x](javascript:alert(1)) <img src=x onerror=alert(1)>\n# heading"


def test_a_note_is_no_markdown() -> None:
    figures: dict[str, Any] = {"challenger": {}, "segments": [], "metric": "roc_auc", "gain": None}
    entry = LedgerEntry(
        decision_id="d",
        slot=ModelSlot("churn", "churn_risk", "cl"),
        outcome="rejected",
        version="1",
        bundle_sha256="a" * 64,
        previous_version=None,
        decided_by="ana",
        decided_at_utc=dt.datetime(2026, 9, 1, tzinfo=dt.UTC),
        as_of_day=None,
        evidence_sha256="e" * 64,
        reasons=(NOTE,),
        evidence={"figures": figures, "checks": []},
    )
    shown = str(decision_metadata(entry)["reasons"].value)
    assert "\\[x\\](javascript:alert(1))" in shown
    assert "&lt;img" in shown
    assert "\n" not in shown
