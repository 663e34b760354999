"""From a policy that was learned to a recorded decision.

Belongs here: loading both policies, judging and deciding. Does not belong here: the rules (policy_gate.py), evidence
(policy_evidence.py), how a decision is recorded (learning.recording).
"""

from __future__ import annotations

import datetime as dt

from mlops_assets.domain.learning.approval import ApprovalSpec
from mlops_assets.domain.learning.recording import (
    GATED_AUTOMATICALLY,
    Judgement,
    find_standing_champion,
    record_judgement,
)
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.offers.offers_spec import OffersSpec
from mlops_assets.domain.offers.policy_court import open_court
from mlops_assets.domain.offers.policy_evidence import Contender, gather_policy_evidence
from mlops_assets.domain.offers.policy_gate import decide_policy
from mlops_assets.domain.offers.policy_versions import load_policy_version
from mlops_assets.domain.ports import Lake, LedgerEntry, ModelRegistry, ModelSlot, PromotionLedger


def judge_policy(
    challenger: Challenger,
    spec: OffersSpec,
    *,
    lake: Lake,
    registry: ModelRegistry,
    ledger: PromotionLedger,
    decided_at_utc: dt.datetime,
    approval: ApprovalSpec = GATED_AUTOMATICALLY,
    threads: int = 1,
) -> LedgerEntry:
    """Compare a policy with the champion's in the judging simulator and on the log, and record the decision.

    Repeating the call with the same challenger records nothing new. What holds of decisions about models holds here:
    approval by a person, versions that were rolled back, champions that moved meanwhile.

    Args:
        challenger: registered version.
        spec: contact policy, horizon, gate.
        lake: holds log and worlds.
        registry: holds both policies.
        ledger: says who is champion and receives the decision.
        decided_at_utc: time of the decision, aware.
        approval: whether a person has to approve what passes.
        threads: most threads for scoring.

    Raises:
        StaleChampionError: somebody else promoted meanwhile; judge again.
        ModelIntegrityError: a policy or world is not what was registered.
        TableInputError: log or worlds have not been built.
    """
    if standing := find_standing_champion(challenger, registry=registry, ledger=ledger):
        return standing
    slot = challenger.slot
    current = ledger.champion(slot)
    candidate = _contender(registry, slot, challenger.version, challenger.bundle_sha256)
    champion = _contender(registry, slot, current.version, current.bundle_sha256) if current else None
    court = open_court(slot, spec, ledger.history(slot), lake=lake)
    evidence = gather_policy_evidence(candidate, champion, court, spec, threads=threads)
    judgement = Judgement(
        challenger,
        current,
        decide_policy(evidence, spec.gate),
        evidence.to_dict(),
        evidence.evidence_sha256,
    )
    return record_judgement(
        judgement, registry=registry, ledger=ledger, decided_at_utc=decided_at_utc, approval=approval
    )


def _contender(registry: ModelRegistry, slot: ModelSlot, version: str, bundle_sha256: str) -> Contender:
    return Contender(load_policy_version(registry, slot, version, bundle_sha256), bundle_sha256)
