"""A promotion ledger in memory.

Belongs here: append, compare and swap, nothing else. Does not belong here: persistence or damage.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlops_assets.domain.errors import RegistryError, StaleChampionError
from mlops_assets.domain.ports import OUTCOMES, LedgerEntry, ModelSlot, RecordedBatch


class FakePromotionLedger:
    """Decisions in a list."""

    def __init__(self) -> None:
        self.entries: list[LedgerEntry] = []

    def champion(self, slot: ModelSlot) -> LedgerEntry | None:
        """Return the last promotion."""
        promotions = [entry for entry in self.history(slot) if entry.makes_champion]
        return promotions[-1] if promotions else None

    def record(self, entry: LedgerEntry) -> LedgerEntry:
        """Append a decision once; refuse a promotion against an old champion."""
        for known in self.entries:
            if known.decision_id == entry.decision_id:
                if (known.slot, known.version, known.outcome) != (entry.slot, entry.version, entry.outcome):
                    raise RegistryError("another decision has this id", where=entry.decision_id)
                return known
        if entry.outcome not in OUTCOMES or entry.decided_at_utc.utcoffset() is None:
            raise RegistryError("a decision cannot be recorded", where=entry.decision_id)
        champion = self.champion(entry.slot)
        current = champion.version if champion else None
        if entry.makes_champion and current != entry.previous_version:
            raise StaleChampionError(f"the champion is {current}, not {entry.previous_version}")
        self.entries.append(entry)
        return entry

    def record_many(self, entries: Sequence[LedgerEntry]) -> RecordedBatch:
        """Append what is not stale; take everything back if something else is wrong."""
        before, recorded, stale = list(self.entries), [], []
        try:
            for entry in entries:
                try:
                    recorded.append(self.record(entry))
                except StaleChampionError:
                    stale.append(entry)
        except RegistryError:
            self.entries = before
            raise
        return RecordedBatch(tuple(recorded), tuple(stale))

    def verify(self) -> int:
        """Return the number of decisions: nothing in memory is ever damaged."""
        return len(self.entries)

    def histories(self, use_case: str, model: str) -> dict[str, list[LedgerEntry]]:
        """Return all decisions of a model by segment."""
        found: dict[str, list[LedgerEntry]] = {}
        for entry in self.entries:
            if (entry.slot.use_case, entry.slot.model) == (use_case, model):
                found.setdefault(entry.slot.segment, []).append(entry)
        return found

    def history(self, slot: ModelSlot) -> list[LedgerEntry]:
        """Return all decisions of a slot."""
        return [entry for entry in self.entries if entry.slot == slot]

    def slots(self) -> list[ModelSlot]:
        """Return every slot, sorted."""
        return sorted(
            {e.slot for e in self.entries}, key=lambda slot: (slot.use_case, slot.model, slot.segment)
        )
