"""What waits for a person, whether it may still be decided, and by whom.

Belongs here: the settings and the pure decisions. Does not belong here: recording (decisions) or asking git
(the provenance port).

A pending decision is decided once: approval, rejection and expiry share one decision id, which the ledger holds
at most once.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.errors import ApprovalError, StaleChampionError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.gate import hash_figures
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.ports import LedgerEntry, Person
from mlops_assets.domain.written_text import find_text_fault

GATE = "gate"
EXPIRY = "expiry"
_AUTOMATIC = frozenset({GATE, EXPIRY})
_ADDRESS = re.compile(r"^(?P<name>[^<>]*?)\s*<(?P<email>[^<>]+)>$")

PendingState = Literal["waiting", "overdue", "stale", "superseded", "approved", "rejected", "expired"]
_RESOLVED: Mapping[str, PendingState] = {
    "promoted": "approved",
    "rejected": "rejected",
    "expired": "expired",
}


class ApprovalSpec(Record):
    """Who makes a challenger the champion once it has passed the gate.

    `auto`: the gate. `manual`: a person, within `expires_after_days`. `needs_second_person`: not the one who last
    changed the use case's file, as git knows it; where git does not know, `unknown_author` refuses the approval or
    waives the rule.

    Attributes:
        mode: who decides: `auto` or `manual`.
    """

    mode: Literal["auto", "manual"] = "auto"
    expires_after_days: int = Field(14, ge=1, le=365)
    needs_second_person: bool = False
    unknown_author: Literal["refuse", "waive"] = "refuse"

    @model_validator(mode="after")
    def _second_person_after_a_first(self) -> ApprovalSpec:
        if self.needs_second_person and self.mode == "auto":
            raise ValueError("`needs_second_person` needs `mode: manual`")
        return self


@dataclass(frozen=True)
class PendingDecision:
    """A challenger that passed the gate for a person to decide about.

    Attributes:
        entry: the pending entry of the ledger.
        state: `waiting`; `overdue` (its time has passed), `stale` (compared with a champion that is gone),
            `superseded` (judged again on other evidence), or what it was decided to be.
        detail: the state in words.
        expires_at_utc: until when it can be approved.
        needs_second_person: the rule that held when it was recorded.
        resolution: the entry that decided it, or None.
    """

    entry: LedgerEntry
    state: PendingState
    detail: str
    expires_at_utc: dt.datetime
    needs_second_person: bool
    resolution: LedgerEntry | None = None

    @property
    def is_undecided(self) -> bool:
        """Whether nobody has decided, be it that nobody can any more."""
        return self.state in {"waiting", "overdue", "stale"}


@dataclass(frozen=True)
class Verdict:
    """A person's word about a pending decision.

    Attributes:
        decision_id: of the pending entry; its beginning suffices while that is unique.
        is_approval: approve or reject.
        by: who decides.
        note: why.
        at_utc: when, with time zone.
        evidence_sha256: of the evidence that the person has seen, or its beginning; empty for not said.
    """

    decision_id: str
    is_approval: bool
    by: str
    note: str
    at_utc: dt.datetime
    evidence_sha256: str = ""


def note_terms(spec: ApprovalSpec, decided_at_utc: dt.datetime) -> dict[str, Any]:
    """Return what a pending entry records of the rules under which it waits, JSON values."""
    expires_at_utc = decided_at_utc + dt.timedelta(days=spec.expires_after_days)
    return {
        "expires_at_utc": expires_at_utc.astimezone(dt.UTC).isoformat(),
        "needs_second_person": spec.needs_second_person,
    }


def resolution_id(pending_id: str) -> str:
    """Return the id of whatever decides a pending decision."""
    return stable_hash(["resolution", pending_id])[:32]


def read_pending(history: Sequence[LedgerEntry], now_utc: dt.datetime) -> list[PendingDecision]:
    """Return every pending decision of a slot's history (oldest first) as it stands now."""
    by_id = {entry.decision_id: entry for entry in history}
    champions = [entry for entry in history if entry.makes_champion]
    champion = champions[-1] if champions else None
    return [
        _read_one(entry, history[number + 1 :], by_id, champion, now_utc)
        for number, entry in enumerate(history)
        if entry.outcome == "pending"
    ]


def _read_one(
    entry: LedgerEntry,
    later: Sequence[LedgerEntry],
    by_id: Mapping[str, LedgerEntry],
    champion: LedgerEntry | None,
    now_utc: dt.datetime,
) -> PendingDecision:
    terms = entry.evidence["approval"]
    expires_at_utc = dt.datetime.fromisoformat(terms["expires_at_utc"])
    resolution = by_id.get(resolution_id(entry.decision_id))
    state: PendingState
    if resolution is not None:
        state = _RESOLVED[resolution.outcome]
        detail = f"{state} by {resolution.decided_by} at {resolution.decided_at_utc:%Y-%m-%d %H:%M} UTC"
    elif any(one.version == entry.version and one.decided_by == GATE for one in later):
        state, detail = "superseded", "the version was judged again on other evidence"
    elif now_utc >= expires_at_utc:
        state, detail = "overdue", f"its time ended at {expires_at_utc:%Y-%m-%d %H:%M} UTC"
    elif (champion.version if champion else None) != entry.previous_version:
        state, detail = "stale", f"it was compared with {_named(entry)}, which is not the champion any more"
    else:
        state, detail = "waiting", f"until {expires_at_utc:%Y-%m-%d %H:%M} UTC"
    return PendingDecision(entry, state, detail, expires_at_utc, terms["needs_second_person"], resolution)


def _named(entry: LedgerEntry) -> str:
    return f"version {entry.previous_version}" if entry.previous_version else "no champion"


def require_decidable(pending: PendingDecision, verdict: Verdict) -> None:
    """Refuse a verdict that comes too late, is about other evidence than was seen, or does not say who and why.

    Raises:
        StaleChampionError: approval of what was compared with another champion.
        ApprovalError: any other refusal.
    """
    entry = pending.entry
    where = f"{entry.slot.registered_name}, decision {entry.decision_id}"
    require_person(verdict.by, verdict.note, where)
    if pending.state == "stale" and verdict.is_approval:
        raise StaleChampionError(
            f"version {entry.version} cannot be approved: {pending.detail}",
            where=where,
            remedy="train again, so that the challenger is compared with the present champion",
        )
    if pending.state not in {"waiting", "stale"}:
        raise ApprovalError(
            f"version {entry.version} cannot be decided about: {pending.detail}",
            where=where,
            expected="a pending decision that nobody has decided, in its time",
            remedy="`mlops approvals list` shows what waits; a new training brings a new challenger",
        )
    _require_evidence(entry, verdict, where)


def require_person(by: str, note: str, where: str) -> None:
    """Refuse a decision without a name or a reason, or in the name of an automatic check.

    Raises:
        ApprovalError: which of them.
    """
    if not by.strip() or not note.strip():
        raise ApprovalError(
            "a decision needs a name and a note", where=where, remedy="say who decides and why"
        )
    for what, text in (("name", by), ("note", note)):
        if fault := find_text_fault(text):
            raise ApprovalError(f"the {what} {fault}", where=where, remedy="write plain text")
    if by.strip().casefold() in _AUTOMATIC:
        raise ApprovalError(f"{by!r} is not a person", where=where, expected="the name of who decides")


def _require_evidence(entry: LedgerEntry, verdict: Verdict, where: str) -> None:
    found = hash_figures(entry.evidence["figures"])
    if found != entry.evidence_sha256:
        fact, expected = f"the figures have the hash {found[:16]}", entry.evidence_sha256[:16]
    elif not found.startswith(verdict.evidence_sha256):
        fact, expected = f"the evidence has the hash {found[:16]}", verdict.evidence_sha256[:16]
    else:
        return
    raise ApprovalError(
        f"the evidence is not what was seen: {fact}",
        where=where,
        expected=expected,
        remedy="look at `mlops approvals show` again and decide on that",
    )


def is_same_person(by: str, person: Person) -> bool:
    """Whether a name as somebody gave it may be that person: by name, address, or the address's first part."""
    match = _ADDRESS.match(by.strip())
    given = {match["name"], match["email"]} if match else {by.strip()}
    known = {person.name, person.email, person.email.partition("@")[0]}
    return bool(_folded(given) & _folded(known))


def _folded(names: set[str]) -> set[str]:
    return {name.casefold() for name in names if name}


def check_second_person(pending: PendingDecision, spec: ApprovalSpec, by: str, author: Person | None) -> str:
    """Return how the rule was kept, in words; empty where there is no such rule.

    The rule holds if it held when the decision was recorded or holds now: who relaxes it cannot profit at once.

    Args:
        pending: what is approved.
        spec: the rules of now.
        by: who approves.
        author: who last changed the use case's file; None if git does not know.

    Raises:
        ApprovalError: the approver is the author, or nobody knows who the author is.
    """
    if not (pending.needs_second_person or spec.needs_second_person):
        return ""
    where = f"{pending.entry.slot.registered_name}, decision {pending.entry.decision_id}"
    if author is None:
        if spec.unknown_author == "waive":
            return "second person: waived, git does not know who changed the configuration"
        raise ApprovalError(
            "git does not know who last changed the use case's configuration",
            where=where,
            expected="a committed file, since a second person has to approve",
            remedy="commit the file, or set `approval.unknown_author: waive`",
        )
    if is_same_person(by, author):
        raise ApprovalError(
            f"{by} last changed the use case's configuration and cannot approve",
            where=where,
            expected="a second person (`approval.needs_second_person`)",
            remedy="let somebody else approve",
        )
    return f"second person: {author} changed the configuration, {by} approves"


def resolve_pending(
    pending: PendingDecision,
    outcome: str,
    verdict: Verdict,
    *,
    rule: str = "",
    as_of_day: dt.date | None = None,
) -> LedgerEntry:
    """Return the entry that decides: bound to version, bundle, evidence and the champion that it was compared with."""
    entry = pending.entry
    kind = _RESOLVED[outcome]
    resolution = {
        "pending_decision_id": entry.decision_id,
        "verdict": kind,
        "note": verdict.note.strip(),
        "second_person": rule,
    }
    said = f"{kind} by {verdict.by.strip()}: {verdict.note.strip()}"
    return replace(
        entry,
        decision_id=resolution_id(entry.decision_id),
        outcome=outcome,
        decided_by=verdict.by.strip(),
        decided_at_utc=verdict.at_utc,
        as_of_day=as_of_day or entry.as_of_day,
        reasons=tuple(filter(None, (said, rule, *entry.reasons[:1]))),
        evidence={**entry.evidence, "resolution": resolution},
    )


def find_resolution(history: Sequence[LedgerEntry], entry: LedgerEntry) -> LedgerEntry:
    """Return what a pending entry was decided to be; the entry itself while it waits, or if it never did."""
    wanted = resolution_id(entry.decision_id)
    return next((one for one in history if one.decision_id == wanted), entry)
