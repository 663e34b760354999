"""From the results of a fleet's groups to decisions in the ledger, all of them in one transaction.

Belongs here: the control over many comparisons, the gate per group, the entries. Does not belong here: fitting
(fleet_fit) or the gate's rules (gate).

A group's own model is used only if it beats the pooled one. So every group that was compared with it takes part in
one family of tests; who is proven there faces the gate, against the group's champion if it has one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mlops_assets.domain.learning.approval import ApprovalSpec
from mlops_assets.domain.learning.champions import current_champion
from mlops_assets.domain.learning.fleet_comparison import choose_proven
from mlops_assets.domain.learning.fleet_fit import GroupResult
from mlops_assets.domain.learning.fleet_groups import GroupOutcome
from mlops_assets.domain.learning.gate import Check, GateDecision, GateEvidence, decide
from mlops_assets.domain.learning.recording import GATED_AUTOMATICALLY, Judgement, make_entry
from mlops_assets.domain.learning.spec import FleetSpec
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.ports import LedgerEntry, PromotionLedger

CHECK_PROVEN = "beats_pooled_among_many"


@dataclass(frozen=True)
class GroupDecision:
    """What became of a group, in a word and in words, and its ledger entry if it was decided about."""

    result: GroupResult
    outcome: GroupOutcome
    detail: str
    is_proven: bool = False
    entry: LedgerEntry | None = None


@dataclass(frozen=True)
class FleetRules:
    """What all groups are decided by."""

    fleet: FleetSpec
    decided_at_utc: dt.datetime
    approval: ApprovalSpec = GATED_AUTOMATICALLY


def decide_groups(
    results: Sequence[GroupResult],
    challengers: Mapping[str, Challenger],
    histories: Mapping[str, Sequence[LedgerEntry]],
    rules: FleetRules,
    ledger: PromotionLedger,
) -> list[GroupDecision]:
    """Decide about every group and record the decisions.

    Args:
        results: of all groups.
        challengers: registered versions of the groups that have one, by segment.
        histories: decisions so far, by segment.
        rules: fleet settings, time and approval.
        ledger: receives the decisions.
    """
    tested = [result for result in results if result.obstacle is None]
    proven = choose_proven([result.p_value for result in tested], rules.fleet.false_discovery_rate)
    is_proven = {result.segment: hit for result, hit in zip(tested, proven, strict=True)}
    entries = [
        _rule(result, challengers[result.segment], histories, rules, (is_proven[result.segment], len(tested)))
        for result in tested
    ]
    batch = ledger.record_many(entries)
    recorded = {entry.slot.segment: entry for entry in batch.recorded}
    return [
        _decided(result, recorded, histories, is_proven=is_proven[result.segment])
        if result.obstacle is None
        else GroupDecision(result, result.obstacle, result.detail)
        for result in results
    ]


def _rule(
    result: GroupResult,
    challenger: Challenger,
    histories: Mapping[str, Sequence[LedgerEntry]],
    rules: FleetRules,
    family: tuple[bool, int],
) -> LedgerEntry:
    history = histories.get(result.segment, ())
    current = current_champion(history)
    evidence = result.against_champion if current else result.against_pooled
    if evidence is None or result.against_pooled is None:
        raise TypeError("a group without obstacle has its evidence")
    decision = _with_family(decide(evidence, rules.fleet.gate), result, rules.fleet, family)
    notes = {
        "group": result.name,
        "own_share": result.share,
        "p_value": result.p_value,
        "groups_tested": family[1],
        "pooled": _pooled_note(result.against_pooled, challenger),
    }
    figures, sha256 = evidence.to_dict(), evidence.evidence_sha256
    judgement = Judgement(challenger, current, decision, figures, sha256, notes)
    return make_entry(judgement, history, rules.decided_at_utc, rules.approval)


def _pooled_note(evidence: GateEvidence, challenger: Challenger) -> dict[str, object]:
    return {
        "version": challenger.stamps.get("pooled_version"),
        "bundle_sha256": challenger.stamps.get("pooled_sha256"),
        "gain": evidence.to_dict()["gain"],
    }


def _with_family(
    decision: GateDecision, result: GroupResult, fleet: FleetSpec, family: tuple[bool, int]
) -> GateDecision:
    is_proven, tested = family
    rate = fleet.false_discovery_rate
    what = (
        f"p = {result.p_value:.2g} that it is no better than the pooled model, one of {tested} groups tested"
    )
    detail = f"{what}; {'within' if is_proven else 'not within'} a false discovery rate of {rate:g}"
    check = Check(CHECK_PROVEN, is_proven, result.p_value, rate, detail)
    checks = (*decision.checks, check)
    if is_proven:
        return replace(decision, reasons=(*decision.reasons, detail), checks=checks)
    failed = decision.reasons if decision.outcome == "rejected" else ()
    return GateDecision("rejected", (*failed, detail), checks)


def _decided(
    result: GroupResult,
    recorded: Mapping[str, LedgerEntry],
    histories: Mapping[str, Sequence[LedgerEntry]],
    *,
    is_proven: bool,
) -> GroupDecision:
    entry = recorded.get(result.segment)
    if entry is None:
        return GroupDecision(result, "stale", "the champion changed meanwhile; train again", is_proven)
    outcome: GroupOutcome = "promoted" if entry.outcome == "promoted" else "pending"
    if entry.outcome not in ("promoted", "pending"):
        outcome = "kept" if current_champion(histories.get(result.segment, ())) else "not_better"
    return GroupDecision(result, outcome, entry.reasons[0], is_proven, entry)
