"""People decide: bound to version, evidence and champion, once, and a way back is one step."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from mlops_assets.domain.errors import (
    ApprovalError,
    ModelIntegrityError,
    PlatformError,
    RegistryError,
    StaleChampionError,
)
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.aliases import repair_aliases
from mlops_assets.domain.learning.approval import ApprovalSpec, Verdict, resolution_id
from mlops_assets.domain.learning.champions import champion_for_day
from mlops_assets.domain.learning.decisions import (
    decide_pending,
    expire_overdue,
    find_pending,
    list_pending,
    roll_back,
)
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.learning.scoring import score_day
from mlops_assets.domain.learning.training import Challenger
from mlops_assets.domain.ports import LedgerEntry, PartitionId
from tests.unit.domain.learning.samples import FEATURES
from tests.unit.domain.learning.small_world import (
    AS_OF_DAY,
    DECIDED,
    NEXT_DAY,
    SLOT,
    SmallWorld,
    make_request,
)

NAME = SLOT.registered_name
MANUAL = ApprovalSpec(mode="manual", expires_after_days=14)
LATER = DECIDED + dt.timedelta(days=1)
NARROW: dict[str, Any] = {"features": FEATURES[:2]}
CLEARLY_BETTER = {"gate": {"min_holdout_rows": 50, "min_holdout_positives": 10, "max_regret": 1.0}}


def judge(
    world: SmallWorld, challenger: Challenger, approval: ApprovalSpec = MANUAL, **model: Any
) -> LedgerEntry:
    """Let the gate decide."""
    return judge_challenger(
        challenger,
        make_request(**CLEARLY_BETTER, **model),
        lake=world.lake,
        registry=world.registry,
        ledger=world.ledger,
        decided_at_utc=DECIDED,
        approval=approval,
    )


def decide(world: SmallWorld, decision_id: str, *, is_approval: bool = True, **changes: Any) -> LedgerEntry:
    """Let Bo decide."""
    verdict = replace(Verdict(decision_id, is_approval, "Bo", "looks right", LATER), **changes)
    return decide_pending(
        verdict, MANUAL, None, lake=world.lake, registry=world.registry, ledger=world.ledger
    )


def way_back(world: SmallWorld, **changes: Any) -> LedgerEntry:
    """Let Bo roll back."""
    arguments: dict[str, Any] = {"by": "Bo", "note": "complaints", "at_utc": LATER, **changes}
    return roll_back(SLOT, registry=world.registry, ledger=world.ledger, **arguments)


def promote_two(world: SmallWorld) -> tuple[LedgerEntry, LedgerEntry]:
    """Make a narrow model champion, then one of all features."""
    first = judge(world, world.train(**NARROW), ApprovalSpec(), **NARROW)
    second = judge(world, world.train(), ApprovalSpec())
    assert (first.outcome, second.outcome) == ("promoted", "promoted"), second.reasons
    return first, second


class TestPending:
    def test_gate_leaves_it_pending_and_the_pointer_where_it_is(self, small: SmallWorld) -> None:
        entry = judge(small, small.train())
        assert (entry.outcome, entry.decided_by) == ("pending", "gate")
        assert small.ledger.champion(SLOT) is None
        assert small.registry.aliases(NAME) == {"challenger": "1"}
        assert "waits for a person's approval until 2026-03-22T12:00 UTC" in entry.reasons[-1]

    def test_no_approval_is_written_before_a_person_acts(self, small: SmallWorld) -> None:
        """Fault of a public system: the tag `approved` was set by the pipeline itself, and then asked for."""
        challenger = small.train()
        for _ in range(3):
            judge(small, challenger)
        expire_overdue(small.ledger, DECIDED)
        repair_aliases(small.registry, small.ledger)
        assert [(e.outcome, e.decided_by) for e in small.ledger.history(SLOT)] == [("pending", "gate")]
        assert "approved" not in str(small.ledger.history(SLOT)).replace("not approved", "")
        tags = small.registry.version(NAME, "1").tags
        assert not any("approv" in f"{name} {value}".lower() for name, value in tags.items())

    def test_what_the_gate_rejects_waits_for_nobody(self, small: SmallWorld) -> None:
        gate = {"gate": {"min_holdout_rows": 50, "min_holdout_positives": 10, "floor": 0.9999}}
        entry = judge_challenger(
            small.train(),
            make_request(**gate),
            lake=small.lake,
            registry=small.registry,
            ledger=small.ledger,
            decided_at_utc=DECIDED,
            approval=MANUAL,
        )
        assert entry.outcome == "rejected"
        assert list_pending(small.ledger, DECIDED) == []

    def test_judging_again_tells_what_the_person_decided(self, small: SmallWorld) -> None:
        challenger = small.train()
        pending = judge(small, challenger)
        rejected = decide(small, pending.decision_id, is_approval=False)
        assert judge(small, challenger) == rejected
        assert len(small.ledger.history(SLOT)) == 2


class TestApproval:
    def test_approved_version_is_champion_with_all_that_binds_it(self, small: SmallWorld) -> None:
        pending = judge(small, small.train())
        entry = decide(small, pending.decision_id[:8], evidence_sha256=pending.evidence_sha256[:10])
        assert small.ledger.champion(SLOT) == entry
        assert (entry.decided_by, entry.decided_at_utc) == ("Bo", LATER)
        assert entry.evidence_sha256 == pending.evidence_sha256
        assert entry.evidence["resolution"]["pending_decision_id"] == pending.decision_id
        assert small.registry.aliases(NAME) == {"champion": "1", "challenger": "1"}
        assert list_pending(small.ledger, LATER)[0].state == "approved"

    def test_it_serves_from_the_first_day_that_was_not_scored(self, small: SmallWorld) -> None:
        pending = judge(small, small.train())
        scored = PartitionId(scores_table(SLOT.use_case, SLOT.model), SLOT.segment, NEXT_DAY)
        with small.lake.write(scored, stable_hash("old")) as writer:
            writer.commit(row_count=0)
        assert decide(small, pending.decision_id).as_of_day == NEXT_DAY
        assert champion_for_day(small.ledger, SLOT, NEXT_DAY) is None

    def test_without_scored_days_it_serves_from_the_end_of_its_data(self, small: SmallWorld) -> None:
        assert decide(small, judge(small, small.train()).decision_id).as_of_day == AS_OF_DAY

    def test_rejection_leaves_no_champion(self, small: SmallWorld) -> None:
        pending = judge(small, small.train())
        entry = decide(small, pending.decision_id, is_approval=False, note="wrong season")
        assert (entry.outcome, entry.reasons[0]) == ("rejected", "rejected by Bo: wrong season")
        assert small.ledger.champion(SLOT) is None

    def test_same_verdict_of_the_same_person_again_changes_nothing(self, small: SmallWorld) -> None:
        pending = judge(small, small.train())
        first = decide(small, pending.decision_id)
        small.registry.aliases_by_name.clear()
        assert decide(small, pending.decision_id, at_utc=LATER + dt.timedelta(hours=1)) == first
        assert len(small.ledger.history(SLOT)) == 2
        assert small.registry.aliases(NAME)["champion"] == "1"

    @pytest.mark.parametrize("changes", [{"by": "Cy"}, {"is_approval": False}, {"note": "other"}])
    def test_what_is_decided_stays_decided(self, small: SmallWorld, changes: dict[str, Any]) -> None:
        pending = judge(small, small.train())
        decide(small, pending.decision_id)
        with pytest.raises(ApprovalError, match="approved by Bo"):
            decide(small, pending.decision_id, **changes)

    @pytest.mark.parametrize("decision_id", ["", "nonsense"])
    def test_unknown_decision(self, small: SmallWorld, decision_id: str) -> None:
        judge(small, small.train())
        with pytest.raises(ApprovalError, match="no pending decisions begin"):
            decide(small, decision_id)

    def test_whole_id_is_never_ambiguous(self, small: SmallWorld) -> None:
        pending = judge(small, small.train())
        longer = replace(pending, decision_id=f"{pending.decision_id}0", version="2")
        small.ledger.record(longer)
        for decision_id in (pending.decision_id, longer.decision_id):
            assert find_pending(small.ledger, decision_id, LATER).entry.decision_id == decision_id
        with pytest.raises(ApprovalError, match="2 pending decisions begin"):
            find_pending(small.ledger, pending.decision_id[:-1], LATER)

    def test_overdue_decision(self, small: SmallWorld) -> None:
        pending = judge(small, small.train())
        with pytest.raises(ApprovalError, match="its time ended"):
            decide(small, pending.decision_id, at_utc=DECIDED + dt.timedelta(days=14))
        assert small.ledger.champion(SLOT) is None

    def test_champion_that_moved_since(self, small: SmallWorld) -> None:
        first, second = judge(small, small.train(**NARROW), **NARROW), judge(small, small.train())
        decide(small, second.decision_id)
        with pytest.raises(StaleChampionError, match="no champion, which is not the champion any more"):
            decide(small, first.decision_id)

    def test_changed_bundle_is_not_approved(self, small: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        challenger = small.train()
        pending = judge(small, challenger)
        monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
        small.damage(challenger)
        with pytest.raises(ModelIntegrityError, match="SHA-256"):
            decide(small, pending.decision_id)
        assert small.ledger.champion(SLOT) is None

    def test_of_two_who_decide_at_once_one_is_told(self, small: SmallWorld) -> None:
        pending = judge(small, small.train())
        record = small.ledger.record

        def record_after_cy(entry: LedgerEntry) -> LedgerEntry:
            small.ledger.record = record  # type: ignore[method-assign]
            decide(small, pending.decision_id, is_approval=False, by="Cy", note="no")
            return record(entry)

        small.ledger.record = record_after_cy  # type: ignore[method-assign]
        with pytest.raises(ApprovalError, match="rejected by Cy meanwhile"):
            decide(small, pending.decision_id)
        assert small.ledger.champion(SLOT) is None

    def test_registry_that_fails_is_said_and_repaired_later(
        self, small: SmallWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pending = judge(small, small.train())

        def fail(*_: object) -> None:
            raise RegistryError("no connection")

        with monkeypatch.context() as patch:
            patch.setattr(small.registry, "project_aliases", fail)
            with pytest.raises(RegistryError, match=r"recorded and in force.*no connection"):
                decide(small, pending.decision_id)
        assert small.ledger.champion(SLOT) is not None
        (repair,) = repair_aliases(small.registry, small.ledger)
        assert repair.text == (
            f"{NAME}: the registry's aliases said challenger 1; they say challenger 1, champion 1 now"
        )
        assert repair_aliases(small.registry, small.ledger) == []


class TestExpiry:
    def test_what_nobody_decided_is_expired_once(self, small: SmallWorld) -> None:
        pending = judge(small, small.train())
        assert expire_overdue(small.ledger, LATER) == []
        late = DECIDED + dt.timedelta(days=14)
        (entry,) = expire_overdue(small.ledger, late)
        assert (entry.outcome, entry.decided_by) == ("expired", "expiry")
        assert entry.decision_id == resolution_id(pending.decision_id)
        assert expire_overdue(small.ledger, late + dt.timedelta(days=1)) == []
        with pytest.raises(ApprovalError, match="expired by expiry"):
            decide(small, pending.decision_id, at_utc=late)


class TestRollback:
    def test_earlier_champion_serves_again_with_identical_scores(self, small: SmallWorld) -> None:
        first = judge(small, small.train(**NARROW), ApprovalSpec(), **NARROW)
        before = self.scores(small)
        second = judge(small, small.train(), ApprovalSpec())
        assert second.outcome == "promoted", second.reasons
        assert self.scores(small) != before
        entry = way_back(small)
        assert (entry.outcome, entry.version, entry.previous_version) == ("rolled_back", "1", "2")
        assert (entry.bundle_sha256, entry.as_of_day) == (first.bundle_sha256, second.as_of_day)
        assert small.ledger.champion(SLOT) == entry
        assert self.scores(small) == before
        assert small.registry.aliases(NAME) == {"champion": "1", "challenger": "2"}

    @staticmethod
    def scores(world: SmallWorld) -> list[Any]:
        import pyarrow.parquet as pq

        world.publish_features(NEXT_DAY)
        outcome = score_day(
            SLOT,
            make_request().corpus,
            NEXT_DAY,
            lake=world.lake,
            engine=world.engine,
            registry=world.registry,
            ledger=world.ledger,
        )
        return list(pq.read_table(world.lake.path(outcome.partition)).to_pylist())

    def test_first_champion_has_no_predecessor(self, small: SmallWorld) -> None:
        judge(small, small.train(), ApprovalSpec())
        with pytest.raises(ApprovalError, match="the first champion"):
            way_back(small)

    def test_slot_without_champion(self, small: SmallWorld) -> None:
        with pytest.raises(ApprovalError, match="no champion to roll back"):
            way_back(small)

    @pytest.mark.parametrize("changes", [{"by": ""}, {"note": "  "}, {"by": "GATE"}])
    def test_who_and_why_are_needed(self, small: SmallWorld, changes: dict[str, str]) -> None:
        promote_two(small)
        with pytest.raises(ApprovalError, match=r"a name and a note|is not a person"):
            way_back(small, **changes)

    def test_going_back_twice_leads_beyond_the_first(self, small: SmallWorld) -> None:
        promote_two(small)
        way_back(small)
        with pytest.raises(ApprovalError, match="version 1 is the first champion"):
            way_back(small)

    def test_expected_champion_is_compared(self, small: SmallWorld) -> None:
        promote_two(small)
        with pytest.raises(StaleChampionError, match="the champion is version 2, not 1"):
            way_back(small, expected_version="1")
        assert way_back(small, expected_version="2").version == "1"

    def test_damaged_predecessor_leaves_the_champion(
        self, small: SmallWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        challenger = small.train(**NARROW)
        judge(small, challenger, ApprovalSpec(), **NARROW)
        second = judge(small, small.train(), ApprovalSpec())
        monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
        small.damage(challenger)
        with pytest.raises(ModelIntegrityError):
            way_back(small)
        assert small.ledger.champion(SLOT) == second

    def test_gate_does_not_overrule_the_person(self, small: SmallWorld) -> None:
        judge(small, small.train(**NARROW), ApprovalSpec(), **NARROW)
        challenger = small.train()
        judge(small, challenger, ApprovalSpec())
        way_back(small)
        entry = judge(small, challenger, ApprovalSpec())
        assert entry.outcome == "rejected"
        assert entry.reasons == ("the version was rolled back by Bo at 2026-03-09 12:00 UTC",)
        champion = small.ledger.champion(SLOT)
        assert champion is not None
        assert champion.version == "1"

    def test_two_who_roll_back_at_once_go_one_step(self, small: SmallWorld) -> None:
        promote_two(small)
        record = small.ledger.record

        def record_twice(entry: LedgerEntry) -> LedgerEntry:
            small.ledger.record = record  # type: ignore[method-assign]
            way_back(small, by="Cy")
            return record(entry)

        small.ledger.record = record_twice  # type: ignore[method-assign]
        assert way_back(small).decided_by == "Cy"
        assert [e.outcome for e in small.ledger.history(SLOT)] == ["promoted", "promoted", "rolled_back"]


def test_every_refusal_is_a_platform_error() -> None:
    assert issubclass(ApprovalError, PlatformError)
