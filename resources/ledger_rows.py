"""Ledger entries as canonical JSON text.

Belongs here: how one decision is written down, so that equal decisions give equal bytes. Does not belong
here: where the text is stored.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import RegistryError
from mlops_assets.domain.ports import OUTCOMES, LedgerEntry, ModelSlot

if TYPE_CHECKING:
    from collections.abc import Mapping


def encode_entry(entry: LedgerEntry) -> str:
    """Return the entry as JSON with sorted keys.

    Raises:
        RegistryError: unknown outcome, missing id or version, a time without zone, or evidence that
            JSON cannot hold (such as NaN).
    """
    _require_storable(entry)
    content = {
        "decision_id": entry.decision_id,
        "slot": [entry.slot.use_case, entry.slot.model, entry.slot.segment],
        "outcome": entry.outcome,
        "version": entry.version,
        "bundle_sha256": entry.bundle_sha256,
        "previous_version": entry.previous_version,
        "decided_by": entry.decided_by,
        "decided_at_utc": entry.decided_at_utc.astimezone(dt.UTC).isoformat(),
        "as_of_day": entry.as_of_day.isoformat() if entry.as_of_day else None,
        "evidence_sha256": entry.evidence_sha256,
        "reasons": list(entry.reasons),
        "evidence": entry.evidence,
    }
    try:
        return json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise _refused(entry, f"its evidence is not JSON: {error}", "plain finite JSON values") from error


def decode_entry(content: str) -> LedgerEntry:
    """Return the entry that `encode_entry` wrote."""
    raw: Mapping[str, Any] = json.loads(content)
    return LedgerEntry(
        decision_id=raw["decision_id"],
        slot=ModelSlot(*raw["slot"]),
        outcome=raw["outcome"],
        version=raw["version"],
        bundle_sha256=raw["bundle_sha256"],
        previous_version=raw["previous_version"],
        decided_by=raw["decided_by"],
        decided_at_utc=dt.datetime.fromisoformat(raw["decided_at_utc"]),
        as_of_day=dt.date.fromisoformat(raw["as_of_day"]) if raw["as_of_day"] else None,
        evidence_sha256=raw["evidence_sha256"],
        reasons=tuple(raw["reasons"]),
        evidence=raw["evidence"],
    )


def is_same_decision(one: LedgerEntry, other: LedgerEntry) -> bool:
    """Whether two entries decide the same; a retry may differ in time, wording and run."""
    return _substance(one) == _substance(other)


def _substance(entry: LedgerEntry) -> tuple[object, ...]:
    return (
        entry.slot,
        entry.outcome,
        entry.version,
        entry.bundle_sha256,
        entry.previous_version,
        entry.evidence_sha256,
    )


def _require_storable(entry: LedgerEntry) -> None:
    if entry.outcome not in OUTCOMES:
        raise _refused(entry, f"outcome {entry.outcome!r} is unknown", " or ".join(OUTCOMES))
    if not entry.decision_id or not entry.version:
        raise _refused(entry, "it has no decision id or no version", "both, not empty")
    for name in (entry.decision_id, entry.version, *astuple(entry.slot)):
        if any("\ud800" <= sign <= "\udfff" for sign in name):
            raise _refused(entry, "a name in it holds half a character", "Unicode text")
    if entry.decided_at_utc.utcoffset() is None:
        raise _refused(entry, "decided_at_utc has no time zone", "an aware UTC time")


def _refused(entry: LedgerEntry, fact: str, expected: str) -> RegistryError:
    return RegistryError(
        f"a decision cannot be recorded: {fact}",
        where=f"{entry.slot.registered_name}, decision {entry.decision_id!r}",
        expected=expected,
        remedy="correct the decision's fields; nothing was recorded",
    )
