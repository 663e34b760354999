"""From a challenger to a recorded decision.

Belongs here: gathering the gate's evidence for a slot, deciding and recording. Does not belong here: the rules
(gate), what people decide (decisions) or the store (the ledger).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container
from dataclasses import replace

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.aliases import project_aliases
from mlops_assets.domain.learning.approval import GATE, ApprovalSpec, find_resolution, note_terms
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import find_withdrawal, load_version
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.evidence import gather_evidence, union_features
from mlops_assets.domain.learning.gate import Check, GateDecision, GateEvidence, decide
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.ports import Lake, LedgerEntry, ModelRegistry, ModelSlot, PromotionLedger

GATED_AUTOMATICALLY = ApprovalSpec()


def judge_challenger(
    challenger: Challenger,
    request: CorpusRequest,
    *,
    lake: Lake,
    registry: ModelRegistry,
    ledger: PromotionLedger,
    decided_at_utc: dt.datetime,
    approval: ApprovalSpec = GATED_AUTOMATICALLY,
    threads: int = 1,
) -> LedgerEntry:
    """Compare a challenger with the champion on the corpus holdout and record the decision.

    Repeating the call with the same challenger records nothing new; the aliases are projected again. What the gate
    lets pass is promoted, or pending where a person has to approve; then, what the person decided is returned once
    that is recorded. A version that was rolled back stays rejected: an automatic check does not overrule a person.

    Args:
        challenger: registered model version.
        request: the corpus, built `with_champion_features`, and the specification of metric and gate.
        lake: holds the corpus.
        registry: holds both bundles.
        ledger: says who is champion and receives the decision.
        decided_at_utc: time of the decision, aware.
        approval: whether a person has to approve what passes.
        threads: most threads for scoring.

    Raises:
        StaleChampionError: somebody else promoted meanwhile; judge again.
        ModelIntegrityError: a bundle is not what was registered.
    """
    slot, spec = challenger.slot, request.model
    current = ledger.champion(slot)
    if current is not None and current.bundle_sha256 == challenger.bundle_sha256:
        project_aliases(registry, ledger, slot)
        return current
    candidate = load_version(registry, slot, challenger.version, challenger.bundle_sha256)
    champion = load_version(registry, slot, current.version, current.bundle_sha256) if current else None
    reading = spec.model_copy(update={"features": list(union_features(candidate, champion))})
    holdout = load_corpus(request.partition, lake, request.corpus, reading)["holdout"]
    evidence = gather_evidence(candidate, champion, holdout, spec, threads=threads)
    withdrawal = find_withdrawal(ledger.history(slot), challenger.version)
    decision = _keep_withdrawn(decide(evidence, spec.gate), withdrawal)
    entry = _entry(challenger, current, evidence, decision, decided_at_utc)
    if withdrawal is not None:
        entry = _identified(entry, "withdrawn", withdrawal.decision_id)
    elif approval.mode == "manual" and entry.outcome == "promoted":
        entry = _pending(entry, approval)
    recorded = ledger.record(entry)
    project_aliases(registry, ledger, slot)
    return find_resolution(ledger.history(slot), recorded)


def with_champion_features(
    request: CorpusRequest, known: Container[str], *, registry: ModelRegistry, ledger: PromotionLedger
) -> CorpusRequest:
    """Return the request with the champion's features added, so that both models can be scored on one holdout.

    Features that the table no longer has (`known`) stay out; the gate then cannot score the champion and
    refuses to promote.
    """
    slot = ModelSlot(request.use_case, request.model_name, request.segment)
    current = ledger.champion(slot)
    if current is None:
        return request
    return add_features(request, load_version(registry, slot, current.version, current.bundle_sha256), known)


def add_features(request: CorpusRequest, champion: Scorer, known: Container[str]) -> CorpusRequest:
    """Return the request with a model's features added, those that the table has (`known`)."""
    features = dict.fromkeys([*request.model.features, *(f for f in champion.features if f in known)])
    return replace(request, model=request.model.model_copy(update={"features": list(features)}))


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


def _entry(
    challenger: Challenger,
    current: LedgerEntry | None,
    evidence: GateEvidence,
    decision: GateDecision,
    decided_at_utc: dt.datetime,
) -> LedgerEntry:
    previous = current.version if current else None
    identity = [
        challenger.slot,
        challenger.version,
        challenger.bundle_sha256,
        previous,
        evidence.evidence_sha256,
    ]
    checks = [
        {
            "name": c.name,
            "is_passed": c.is_passed,
            "value": c.value,
            "threshold": c.threshold,
            "detail": c.detail,
        }
        for c in decision.checks
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
        evidence_sha256=evidence.evidence_sha256,
        reasons=decision.reasons,
        evidence={"algorithm": challenger.algorithm, "figures": evidence.to_dict(), "checks": checks},
    )
