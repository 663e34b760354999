"""From a gate's decision to the ledger: one path for models and policies.

Belongs here: identity of a decision, versions that a person withdrew, decisions that wait for a person. Does not
belong here: evidence and rules (gate, offers.policy_gate), what people decide (decisions) or the store (the ledger).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.aliases import project_aliases
from mlops_assets.domain.learning.approval import GATE, ApprovalSpec, find_resolution, note_terms
from mlops_assets.domain.learning.champions import find_withdrawal
from mlops_assets.domain.learning.gate import Check, GateDecision
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.ports import LedgerEntry, ModelRegistry, PromotionLedger

GATED_AUTOMATICALLY = ApprovalSpec()


@dataclass(frozen=True)
class Judgement:
    """What a gate found about a challenger.

    Attributes:
        challenger: registered version.
        current: the champion that it was compared with; None for a first champion.
        decision: of the gate.
        figures: evidence as JSON values; `gate.hash_figures` of it is `evidence_sha256`.
        evidence_sha256: identity of the evidence.
        notes: further evidence, JSON values.
    """

    challenger: Challenger
    current: LedgerEntry | None
    decision: GateDecision
    figures: Mapping[str, Any]
    evidence_sha256: str
    notes: Mapping[str, Any] = field(default_factory=dict)


def find_standing_champion(
    challenger: Challenger, *, registry: ModelRegistry, ledger: PromotionLedger
) -> LedgerEntry | None:
    """Return the entry by which the challenger is the champion already, aliases projected; None if it is not."""
    current = ledger.champion(challenger.slot)
    if current is None or current.bundle_sha256 != challenger.bundle_sha256:
        return None
    project_aliases(registry, ledger, challenger.slot)
    return current


def record_judgement(
    judgement: Judgement,
    *,
    registry: ModelRegistry,
    ledger: PromotionLedger,
    decided_at_utc: dt.datetime,
    approval: ApprovalSpec = GATED_AUTOMATICALLY,
) -> LedgerEntry:
    """Record what a gate decided and return the entry that holds.

    The same judgement again records nothing new; the aliases are projected again. What passed is promoted, or pending
    where a person has to approve; then, what the person decided is returned once that is recorded. A version that was
    rolled back stays rejected: an automatic check does not overrule a person.

    Raises:
        StaleChampionError: somebody else promoted meanwhile; judge again.
    """
    slot = judgement.challenger.slot
    recorded = ledger.record(make_entry(judgement, ledger.history(slot), decided_at_utc, approval))
    project_aliases(registry, ledger, slot)
    return find_resolution(ledger.history(slot), recorded)


def make_entry(
    judgement: Judgement, history: Sequence[LedgerEntry], decided_at_utc: dt.datetime, approval: ApprovalSpec
) -> LedgerEntry:
    """Return a judgement as the ledger keeps it, after the decisions that a slot's history (oldest first) holds."""
    withdrawal = find_withdrawal(history, judgement.challenger.version)
    judgement = replace(judgement, decision=_keep_withdrawn(judgement.decision, withdrawal))
    entry = _entry(judgement, decided_at_utc)
    if withdrawal is not None:
        return _identified(entry, "withdrawn", withdrawal.decision_id)
    if approval.mode == "manual" and entry.outcome == "promoted":
        return _pending(entry, approval)
    return entry


def _keep_withdrawn(decision: GateDecision, withdrawal: LedgerEntry | None) -> GateDecision:
    if withdrawal is None:
        return decision
    detail = f"the version was rolled back by {withdrawal.decided_by} at {withdrawal.decided_at_utc:%Y-%m-%d %H:%M} UTC"
    check = Check("not_rolled_back", is_passed=False, value=None, threshold=None, detail=detail)
    return GateDecision("rejected", (detail,), (*decision.checks, check))


def _pending(entry: LedgerEntry, approval: ApprovalSpec) -> LedgerEntry:
    terms = note_terms(approval, entry.decided_at_utc)
    waits = f"passed the gate; waits for a person's approval until {terms['expires_at_utc'][:16]} UTC"
    return replace(
        _identified(entry, "pending"),
        outcome="pending",
        reasons=(*entry.reasons, waits),
        evidence={**entry.evidence, "approval": terms},
    )


def _identified(entry: LedgerEntry, *more: str) -> LedgerEntry:
    """Return the entry under an id of its own: the same evidence may lead to another decision by another rule."""
    return replace(entry, decision_id=stable_hash([entry.decision_id, *more])[:32])


def _entry(judgement: Judgement, decided_at_utc: dt.datetime) -> LedgerEntry:
    challenger, decision = judgement.challenger, judgement.decision
    previous = judgement.current.version if judgement.current else None
    identity = [
        challenger.slot,
        challenger.version,
        challenger.bundle_sha256,
        previous,
        judgement.evidence_sha256,
    ]
    return LedgerEntry(
        decision_id=stable_hash(identity)[:32],
        slot=challenger.slot,
        outcome=decision.outcome,
        version=challenger.version,
        bundle_sha256=challenger.bundle_sha256,
        previous_version=previous,
        decided_by=GATE,
        decided_at_utc=decided_at_utc,
        as_of_day=challenger.as_of_day,
        evidence_sha256=judgement.evidence_sha256,
        reasons=decision.reasons,
        evidence={
            "algorithm": challenger.algorithm,
            "figures": dict(judgement.figures),
            "checks": [asdict(check) for check in decision.checks],
            **judgement.notes,
        },
    )
