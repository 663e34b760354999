"""What may still be decided, and by whom."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from pydantic import ValidationError

from mlops_assets.domain.errors import ApprovalError, StaleChampionError
from mlops_assets.domain.learning.approval import (
    ApprovalSpec,
    Verdict,
    check_second_person,
    find_resolution,
    is_same_person,
    note_terms,
    read_pending,
    require_decidable,
    resolve_pending,
)
from mlops_assets.domain.learning.gate import hash_figures
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, Person

NOW = dt.datetime(2026, 8, 20, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
MANUAL = ApprovalSpec(mode="manual", expires_after_days=3)
PAIRED = ApprovalSpec(mode="manual", needs_second_person=True)
FIGURES = {"gain": 0.01, "challenger": {"metric": 0.8, "latency_ms_per_1000_rows": 2.0}, "baseline": None}
ANA = Person("Ana Rojas", "ana.rojas@operator.example")


def pending_entry(
    version: str = "2", previous: str | None = "1", rules: ApprovalSpec = MANUAL
) -> LedgerEntry:
    """Return a challenger that passed the gate now."""
    return LedgerEntry(
        decision_id=f"pending-{version}",
        slot=ModelSlot("churn", "churn_risk", "cl"),
        outcome="pending",
        version=version,
        bundle_sha256=version * 64,
        previous_version=previous,
        decided_by="gate",
        decided_at_utc=NOW,
        as_of_day=NOW.date(),
        evidence_sha256=hash_figures(FIGURES),
        reasons=("gain 0.01",),
        evidence={"figures": FIGURES, "checks": [], "approval": note_terms(rules, NOW)},
    )


PENDING = pending_entry()
FIRST = replace(PENDING, decision_id="first", outcome="promoted", version="1", previous_version=None)
YES = Verdict("pending", True, "Bo", "looks right", NOW + DAY)


def state(*history: LedgerEntry, at_utc: dt.datetime = NOW + DAY) -> str:
    """Return the state of the first pending decision."""
    return read_pending(history, at_utc)[0].state


def test_it_waits_until_its_time_ends() -> None:
    assert state(FIRST, PENDING, at_utc=NOW + 3 * DAY - dt.timedelta(seconds=1)) == "waiting"
    assert state(FIRST, PENDING, at_utc=NOW + 3 * DAY) == "overdue"


def test_it_is_stale_once_the_champion_moved_and_not_if_it_came_back() -> None:
    other = replace(FIRST, decision_id="other", version="9", previous_version="1")
    back = replace(FIRST, decision_id="back", outcome="rolled_back", previous_version="9")
    assert state(FIRST, PENDING, other) == "stale"
    assert state(FIRST, PENDING, other, back) == "waiting"


def test_it_is_superseded_when_the_gate_judges_the_version_again() -> None:
    again = replace(PENDING, decision_id="again", evidence_sha256="b" * 64)
    assert [p.state for p in read_pending([FIRST, PENDING, again], NOW)] == ["superseded", "waiting"]


@pytest.mark.parametrize(
    ("outcome", "expected"), [("promoted", "approved"), ("rejected", "rejected"), ("expired", "expired")]
)
def test_it_is_decided_once(outcome: str, expected: str) -> None:
    (pending,) = read_pending([FIRST, PENDING], NOW)
    decided = resolve_pending(pending, outcome, YES)
    (after,) = read_pending([FIRST, PENDING, decided], NOW + DAY)
    assert (after.state, after.resolution, after.is_undecided) == (expected, decided, False)
    assert find_resolution([FIRST, PENDING, decided], PENDING) == decided
    with pytest.raises(ApprovalError, match=f"{expected} by Bo"):
        require_decidable(after, YES)


def test_every_way_to_decide_has_the_same_id() -> None:
    (pending,) = read_pending([FIRST, PENDING], NOW)
    decided = [resolve_pending(pending, outcome, YES) for outcome in ("promoted", "rejected", "expired")]
    assert len({entry.decision_id for entry in decided}) == 1


def test_approval_names_person_note_time_version_and_evidence() -> None:
    (pending,) = read_pending([FIRST, PENDING], NOW)
    entry = resolve_pending(pending, "promoted", YES, rule="second person: kept")
    assert (entry.outcome, entry.decided_by, entry.decided_at_utc) == ("promoted", "Bo", YES.at_utc)
    assert (entry.version, entry.bundle_sha256) == (PENDING.version, PENDING.bundle_sha256)
    assert (entry.evidence_sha256, entry.previous_version) == (PENDING.evidence_sha256, "1")
    assert entry.evidence["figures"] == FIGURES
    assert entry.evidence["resolution"] == {
        "pending_decision_id": "pending-2",
        "verdict": "approved",
        "note": "looks right",
        "second_person": "second person: kept",
    }
    assert entry.reasons == ("approved by Bo: looks right", "second person: kept", "gain 0.01")


@pytest.mark.parametrize(
    ("verdict", "history", "message"),
    [
        (replace(YES, by=" "), (), "a name and a note"),
        (replace(YES, note=""), (), "a name and a note"),
        (replace(YES, by="Gate"), (), "is not a person"),
        (replace(YES, by="expiry"), (), "is not a person"),
        (replace(YES, evidence_sha256="f00"), (), "not what was seen"),
        (replace(YES, at_utc=NOW + 9 * DAY), (), "its time ended"),
        (YES, (replace(PENDING, decision_id="again"),), "judged again"),
    ],
)
def test_what_is_refused(verdict: Verdict, history: tuple[LedgerEntry, ...], message: str) -> None:
    pending = read_pending([FIRST, PENDING, *history], verdict.at_utc)[0]
    with pytest.raises(ApprovalError, match=message):
        require_decidable(pending, verdict)


def test_changed_figures_void_the_approval() -> None:
    changed = replace(PENDING, evidence={**PENDING.evidence, "figures": {**FIGURES, "gain": 0.5}})
    (pending,) = read_pending([FIRST, changed], NOW)
    with pytest.raises(ApprovalError, match="not what was seen"):
        require_decidable(pending, YES)


def test_another_latency_is_the_same_evidence() -> None:
    slower = {**FIGURES, "challenger": {"metric": 0.8, "latency_ms_per_1000_rows": 9.0}}
    changed = replace(PENDING, evidence={**PENDING.evidence, "figures": slower})
    (pending,) = read_pending([FIRST, changed], NOW)
    require_decidable(pending, replace(YES, evidence_sha256=PENDING.evidence_sha256[:8]))


def test_stale_evidence_can_be_rejected_not_approved() -> None:
    other = replace(FIRST, decision_id="other", version="9", previous_version="1")
    (pending,) = read_pending([FIRST, PENDING, other], NOW)
    with pytest.raises(StaleChampionError, match="version 1, which is not the champion"):
        require_decidable(pending, YES)
    require_decidable(pending, replace(YES, is_approval=False))


@pytest.mark.parametrize(
    ("by", "is_same"),
    [
        ("Ana Rojas", True),
        ("ana rojas", True),
        ("ANA.ROJAS@operator.example", True),
        ("ana.rojas", True),
        ("A. Rojas <ana.rojas@operator.example>", True),
        ("Ana Rojas <private@elsewhere.example>", True),
        ("Bo", False),
        ("Bo <bo@operator.example>", False),
        ("Ana", False),
    ],
)
def test_people_are_recognised(by: str, is_same: bool) -> None:
    assert is_same_person(by, ANA) is is_same


def test_unnamed_people_are_nobody() -> None:
    assert not is_same_person("", Person("", ""))


class TestSecondPerson:
    def test_there_is_no_rule_unless_it_is_asked_for(self) -> None:
        (pending,) = read_pending([FIRST, PENDING], NOW)
        assert check_second_person(pending, MANUAL, "Ana Rojas", ANA) == ""

    def test_author_cannot_approve_and_another_can(self) -> None:
        (pending,) = read_pending([FIRST, pending_entry(rules=PAIRED)], NOW)
        with pytest.raises(ApprovalError, match="Ana Rojas last changed"):
            check_second_person(pending, PAIRED, "Ana Rojas", ANA)
        assert check_second_person(pending, PAIRED, "Bo", ANA) == (
            "second person: Ana Rojas <ana.rojas@operator.example> changed the configuration, Bo approves"
        )

    def test_relaxing_the_rule_does_not_free_what_waits(self) -> None:
        (pending,) = read_pending([FIRST, pending_entry(rules=PAIRED)], NOW)
        with pytest.raises(ApprovalError, match="cannot approve"):
            check_second_person(pending, ApprovalSpec(), "ana.rojas", ANA)

    def test_introducing_the_rule_counts_at_once(self) -> None:
        (pending,) = read_pending([FIRST, PENDING], NOW)
        with pytest.raises(ApprovalError, match="cannot approve"):
            check_second_person(pending, PAIRED, "ana.rojas", ANA)

    def test_unknown_author_refuses_unless_it_is_waived(self) -> None:
        (pending,) = read_pending([FIRST, PENDING], NOW)
        with pytest.raises(ApprovalError, match="git does not know"):
            check_second_person(pending, PAIRED, "Bo", None)
        waived = PAIRED.model_copy(update={"unknown_author": "waive"})
        assert "waived" in check_second_person(pending, waived, "Bo", None)


def test_second_person_without_a_first_is_no_configuration() -> None:
    with pytest.raises(ValidationError, match="needs `mode: manual`"):
        ApprovalSpec(needs_second_person=True)
