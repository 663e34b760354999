"""From a challenger to a recorded decision.

Belongs here: gathering the gate's evidence for a slot and deciding. Does not belong here: the rules (gate), how a
decision is recorded (recording), what people decide (decisions) or the store (the ledger).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Container
from dataclasses import replace

from mlops_assets.domain.learning.approval import ApprovalSpec
from mlops_assets.domain.learning.bundle import Scorer
from mlops_assets.domain.learning.champions import load_version
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.evidence import gather_evidence, union_features
from mlops_assets.domain.learning.gate import decide
from mlops_assets.domain.learning.recording import (
    GATED_AUTOMATICALLY,
    Judgement,
    find_standing_champion,
    record_judgement,
)
from mlops_assets.domain.learning.training import Challenger, slot_of
from mlops_assets.domain.ports import Lake, LedgerEntry, ModelRegistry, PromotionLedger


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
    if standing := find_standing_champion(challenger, registry=registry, ledger=ledger):
        return standing
    current = ledger.champion(slot)
    candidate = load_version(registry, slot, challenger.version, challenger.bundle_sha256)
    champion = load_version(registry, slot, current.version, current.bundle_sha256) if current else None
    reading = spec.model_copy(update={"features": list(union_features(candidate, champion))})
    holdout = load_corpus(request.partition, lake, request.corpus, reading)["holdout"]
    evidence = gather_evidence(candidate, champion, holdout, spec, threads=threads)
    judgement = Judgement(
        challenger, current, decide(evidence, spec.gate), evidence.to_dict(), evidence.evidence_sha256
    )
    return record_judgement(
        judgement, registry=registry, ledger=ledger, decided_at_utc=decided_at_utc, approval=approval
    )


def with_champion_features(
    request: CorpusRequest, known: Container[str], *, registry: ModelRegistry, ledger: PromotionLedger
) -> CorpusRequest:
    """Return the request with the champion's features added, so that both models can be scored on one holdout.

    Features that the table no longer has (`known`) stay out; the gate then cannot score the champion and
    refuses to promote.
    """
    slot = slot_of(request)
    current = ledger.champion(slot)
    if current is None:
        return request
    return add_features(request, load_version(registry, slot, current.version, current.bundle_sha256), known)


def add_features(request: CorpusRequest, champion: Scorer, known: Container[str]) -> CorpusRequest:
    """Return the request with a model's features added, those that the table has (`known`)."""
    features = dict.fromkeys([*request.model.features, *(f for f in champion.features if f in known)])
    return replace(request, model=request.model.model_copy(update={"features": list(features)}))
