"""Every slot at a glance: its champion, since when, by whose decision, and what waits.

Belongs here: reading the ledger into rows that people and programs read. Does not belong here: printing them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlops_assets.domain.learning.approval import PendingDecision, read_pending
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, PromotionLedger


@dataclass(frozen=True)
class SlotOverview:
    """One slot as it stands. `champion` is the entry that made it so; `pending` is what nobody has decided."""

    slot: ModelSlot
    champion: LedgerEntry | None
    pending: tuple[PendingDecision, ...]

    def to_record(self) -> dict[str, Any]:
        """Return JSON values; those of a slot without champion are None."""
        champion = self.champion
        metric, value = main_figure(champion) if champion else (None, None)
        return {
            "use_case": self.slot.use_case,
            "model": self.slot.model,
            "segment": self.slot.segment,
            "version": champion.version if champion else None,
            "algorithm": champion.evidence.get("algorithm") if champion else None,
            "since_utc": champion.decided_at_utc.isoformat() if champion else None,
            "decided_by": champion.decided_by if champion else None,
            "outcome": champion.outcome if champion else None,
            "metric": metric,
            "value": value,
            "bundle_sha256": champion.bundle_sha256 if champion else None,
            "decision_id": champion.decision_id if champion else None,
            "pending": [
                {"decision_id": p.entry.decision_id, "version": p.entry.version, "state": p.state}
                for p in self.pending
            ],
        }


def describe_slots(
    ledger: PromotionLedger, configured: Iterable[ModelSlot], now_utc: dt.datetime
) -> list[SlotOverview]:
    """Return the configured slots and those that the ledger knows besides, in order."""
    known = {*configured, *ledger.slots()}
    ordered = sorted(known, key=lambda slot: (slot.use_case, slot.model, slot.segment))
    return [_describe(ledger, slot, now_utc) for slot in ordered]


def _describe(ledger: PromotionLedger, slot: ModelSlot, now_utc: dt.datetime) -> SlotOverview:
    undecided = (one for one in read_pending(ledger.history(slot), now_utc) if one.is_undecided)
    return SlotOverview(slot, ledger.champion(slot), tuple(undecided))


def main_figure(entry: LedgerEntry) -> tuple[str | None, float | None]:
    """Return the metric that was judged by, and its value on the holdout; None where the entry has none."""
    figures = entry.evidence.get("figures") or {}
    return figures.get("metric"), (figures.get("challenger") or {}).get("metric")


def entry_record(entry: LedgerEntry) -> dict[str, Any]:
    """Return a decision as JSON values."""
    metric, value = main_figure(entry)
    return {
        "decision_id": entry.decision_id,
        "use_case": entry.slot.use_case,
        "model": entry.slot.model,
        "segment": entry.slot.segment,
        "outcome": entry.outcome,
        "version": entry.version,
        "previous_version": entry.previous_version,
        "decided_by": entry.decided_by,
        "decided_at_utc": entry.decided_at_utc.isoformat(),
        "as_of_day": entry.as_of_day.isoformat() if entry.as_of_day else None,
        "metric": metric,
        "value": value,
        "evidence_sha256": entry.evidence_sha256,
        "bundle_sha256": entry.bundle_sha256,
        "reasons": list(entry.reasons),
    }
