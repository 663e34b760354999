"""What people decide about models, and what time decides for them, recorded.

Belongs here: approval, rejection, expiry and rollback against ledger and registry. Does not belong here: the rules
(approval), what the gate decides (promotion), or who may be asked (commands, jobs).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from mlops_assets.domain.errors import ApprovalError, RegistryError, StaleChampionError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.aliases import project_aliases
from mlops_assets.domain.learning.approval import (
    EXPIRY,
    ApprovalSpec,
    PendingDecision,
    Verdict,
    check_second_person,
    read_pending,
    require_decidable,
    require_person,
    resolve_pending,
)
from mlops_assets.domain.learning.champions import find_predecessor, verify_version
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.ports import Lake, LedgerEntry, ModelRegistry, ModelSlot, Person, PromotionLedger


def list_pending(ledger: PromotionLedger, now_utc: dt.datetime) -> list[PendingDecision]:
    """Return every pending decision there ever was, as it stands now, by slot and age."""
    return [pending for slot in ledger.slots() for pending in read_pending(ledger.history(slot), now_utc)]


def find_pending(ledger: PromotionLedger, decision_id: str, now_utc: dt.datetime) -> PendingDecision:
    """Return the pending decision of this id, or the only one whose id begins so.

    Raises:
        ApprovalError: there is none, or more than one.
    """
    known = list_pending(ledger, now_utc)
    found = [one for one in known if decision_id and one.entry.decision_id.startswith(decision_id)]
    exact = [one for one in found if one.entry.decision_id == decision_id]
    if len(exact or found) == 1:
        return (exact or found)[0]
    raise ApprovalError(
        f"{len(found) or 'no'} pending decisions begin with {decision_id!r}",
        where="the promotion ledger",
        expected="the id of one, or its beginning",
        remedy="`mlops approvals list --all` shows them",
    )


def decide_pending(
    verdict: Verdict,
    rules: ApprovalSpec,
    author: Person | None,
    *,
    lake: Lake,
    registry: ModelRegistry,
    ledger: PromotionLedger,
) -> LedgerEntry:
    """Approve or reject a pending decision; the same verdict of the same person again changes nothing.

    An approved version serves from the first day that has not been scored yet: what was scored before keeps the
    champion of its time.

    Args:
        verdict: which decision, what, who, why, when.
        rules: of the use case, now.
        author: who last changed the use case's file, if known.
        lake: knows which days have been scored.
        registry: holds the bundle, which is verified before it is approved, and the aliases.
        ledger: holds the decision.

    Raises:
        ApprovalError: unknown, overdue, changed or already decided, or this person may not approve.
        StaleChampionError: the champion is another one than the evidence was gathered against.
        ModelIntegrityError: the registered bundle is not what was judged.
        RegistryError: the decision is recorded, but the aliases could not be written.
    """
    pending = find_pending(ledger, verdict.decision_id, verdict.at_utc)
    if pending.resolution is not None and _is_by(pending.resolution, verdict):
        _project(registry, ledger, pending.resolution)
        return pending.resolution
    require_decidable(pending, verdict)
    slot, entry = pending.entry.slot, pending.entry
    if verdict.is_approval:
        rule = check_second_person(pending, rules, verdict.by, author)
        verify_version(registry, slot, entry.version, entry.bundle_sha256)
        scored_days = lake.days(scores_table(slot.use_case, slot.model), slot.segment)
        through = max([*scored_days, entry.as_of_day]) if entry.as_of_day else None
        decided = resolve_pending(pending, "promoted", verdict, rule=rule, as_of_day=through)
    else:
        decided = resolve_pending(pending, "rejected", verdict)
    recorded = _record_once(ledger, decided)
    if not _is_by(recorded, verdict):
        raise _already_decided(recorded)
    _project(registry, ledger, recorded)
    return recorded


def _is_by(resolution: LedgerEntry, verdict: Verdict) -> bool:
    is_same_verdict = resolution.outcome == ("promoted" if verdict.is_approval else "rejected")
    note = resolution.evidence["resolution"]["note"]
    return is_same_verdict and (resolution.decided_by, note) == (verdict.by.strip(), verdict.note.strip())


def _record_once(ledger: PromotionLedger, decided: LedgerEntry) -> LedgerEntry:
    """Record, or return what somebody else decided at the same moment."""
    try:
        return ledger.record(decided)
    except RegistryError:
        for entry in ledger.history(decided.slot):
            if entry.decision_id == decided.decision_id:
                return entry
        raise


def _already_decided(recorded: LedgerEntry) -> ApprovalError:
    return ApprovalError(
        f"version {recorded.version} cannot be decided about: {recorded.evidence['resolution']['verdict']} "
        f"by {recorded.decided_by} meanwhile",
        where=recorded.slot.registered_name,
        expected="a pending decision that nobody has decided",
        remedy="`mlops history` shows what was decided",
    )


def _project(registry: ModelRegistry, ledger: PromotionLedger, entry: LedgerEntry) -> None:
    try:
        project_aliases(registry, ledger, entry.slot)
    except RegistryError as error:
        raise RegistryError(
            f"the decision is recorded and in force, but the registry's aliases could not be written ({error.what})",
            where=entry.slot.registered_name,
            remedy="`mlops champions` writes them once the registry can be reached",
        ) from error


def expire_overdue(
    ledger: PromotionLedger, now_utc: dt.datetime, slots: Iterable[ModelSlot] | None = None
) -> list[LedgerEntry]:
    """Record what nobody decided in time as expired; return the new entries."""
    expired = []
    for slot in ledger.slots() if slots is None else slots:
        for pending in read_pending(ledger.history(slot), now_utc):
            if pending.state == "overdue":
                note = f"nobody decided until {pending.expires_at_utc:%Y-%m-%d %H:%M} UTC"
                verdict = Verdict(pending.entry.decision_id, False, EXPIRY, note, now_utc)
                recorded = _record_once(ledger, resolve_pending(pending, "expired", verdict))
                expired += [recorded] if recorded.decided_at_utc == now_utc else []
    return expired


def roll_back(
    slot: ModelSlot,
    *,
    by: str,
    note: str,
    at_utc: dt.datetime,
    registry: ModelRegistry,
    ledger: PromotionLedger,
    expected_version: str = "",
) -> LedgerEntry:
    """Make the champion before the present one the champion again.

    The days that the withdrawn version served are the earlier champion's again, so that they can be scored anew. Two
    who roll back the same champion at once go back one step together, not two.

    Args:
        slot: use case, model and segment.
        by: who decides.
        note: why.
        at_utc: when, with time zone.
        registry: holds the earlier bundle, which is verified first, and the aliases.
        ledger: says who was champion, and receives the decision.
        expected_version: refuse unless this version is the champion; empty for whichever it is.

    Raises:
        ApprovalError: no name or note, or there is no champion, or none before it.
        StaleChampionError: the champion is another one than was expected, or changed meanwhile.
        ModelIntegrityError: the earlier bundle is not what was promoted then; the champion stays.
        RegistryError: the decision is recorded, but the aliases could not be written.
    """
    require_person(by, note, slot.registered_name)
    found = ledger.champion(slot), find_predecessor(ledger.history(slot))
    current, target = _require_both(*found, slot.registered_name)
    if expected_version and current.version != expected_version:
        raise StaleChampionError(
            f"the champion is version {current.version}, not {expected_version}",
            where=slot.registered_name,
            remedy="look at `mlops champions` and decide again",
        )
    verify_version(registry, slot, target.version, target.bundle_sha256)
    recorded = ledger.record(_way_back(current, target, by.strip(), note.strip(), at_utc))
    _project(registry, ledger, recorded)
    return recorded


def _require_both(
    current: LedgerEntry | None, target: LedgerEntry | None, where: str
) -> tuple[LedgerEntry, LedgerEntry]:
    if current is None:
        raise ApprovalError(
            "there is no champion to roll back", where=where, remedy="`mlops champions` shows all slots"
        )
    if target is None:
        raise ApprovalError(
            f"version {current.version} is the first champion: there is none to go back to",
            where=where,
            expected="an earlier champion",
            remedy="`mlops history` shows what was decided; train a better model instead",
        )
    return current, target


def _way_back(
    current: LedgerEntry, target: LedgerEntry, by: str, note: str, at_utc: dt.datetime
) -> LedgerEntry:
    days = [day for day in (current.as_of_day, target.as_of_day) if day is not None]
    evidence = {
        name: value for name, value in target.evidence.items() if name not in {"approval", "resolution"}
    }
    return replace(
        target,
        decision_id=stable_hash(["rollback", current.decision_id, target.version])[:32],
        outcome="rolled_back",
        previous_version=current.version,
        decided_by=by,
        decided_at_utc=at_utc,
        as_of_day=max(days, default=None),
        reasons=(f"rolled back from version {current.version} by {by}: {note}",),
        evidence={**evidence, "rollback": {"from_decision_id": current.decision_id, "note": note}},
    )
