"""What every promotion ledger promises: the same assertions over the real one and the fake."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from mlops_assets.domain.errors import RegistryError, StaleChampionError
from mlops_assets.domain.ports import PromotionLedger
from resources.promotion_ledger import SqlitePromotionLedger
from tests.fakes.promotion_ledger import FakePromotionLedger
from tests.unit.resources.ledger_writer import SLOT, make_entry


@pytest.fixture(params=["sqlite", "fake"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> PromotionLedger:
    return (
        SqlitePromotionLedger(tmp_path / "ledger.db") if request.param == "sqlite" else FakePromotionLedger()
    )


def test_nothing_is_champion_at_first(ledger: PromotionLedger) -> None:
    assert ledger.champion(SLOT) is None
    assert ledger.history(SLOT) == []
    assert ledger.slots() == []


def test_a_promotion_comes_back_as_it_was_given(ledger: PromotionLedger) -> None:
    entry = make_entry("1", None)
    assert ledger.record(entry) == entry
    assert ledger.champion(SLOT) == entry
    assert ledger.history(SLOT) == [entry]
    assert ledger.slots() == [SLOT]


def test_a_rejection_is_kept_and_moves_nothing(ledger: PromotionLedger) -> None:
    first = ledger.record(make_entry("1", None))
    rejection = ledger.record(make_entry("2", "1", outcome="rejected", reasons=("worse",)))
    assert ledger.champion(SLOT) == first
    assert ledger.history(SLOT) == [first, rejection]


def test_a_stale_promotion_is_refused_and_leaves_no_trace(ledger: PromotionLedger) -> None:
    first = ledger.record(make_entry("1", None))
    for previous in (None, "7"):
        with pytest.raises(StaleChampionError):
            ledger.record(make_entry("2", previous))
    assert ledger.history(SLOT) == [first]
    assert ledger.champion(SLOT) == first


def test_a_repeated_decision_is_recorded_once(ledger: PromotionLedger) -> None:
    first = ledger.record(make_entry("1", None))
    second = ledger.record(make_entry("2", "1"))
    later = dataclasses.replace(make_entry("1", None), decided_at_utc=dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
    assert ledger.record(later) == first
    assert ledger.champion(SLOT) == second
    assert ledger.history(SLOT) == [first, second]


def test_an_id_names_one_decision_only(ledger: PromotionLedger) -> None:
    first = ledger.record(make_entry("1", None))
    with pytest.raises(RegistryError):
        ledger.record(make_entry("2", "1", decision_id=first.decision_id))
    assert ledger.history(SLOT) == [first]


def test_many_decisions_are_recorded_together_and_read_together(ledger: PromotionLedger) -> None:
    slots = [dataclasses.replace(SLOT, segment=segment) for segment in ("cl", "cl.arda", "cl.boreal")]
    entries = [make_entry("1", None, slot=slot) for slot in slots]
    rejected = make_entry("2", "1", slot=slots[1], outcome="rejected")
    batch = ledger.record_many([*entries, rejected])
    assert (batch.recorded, batch.stale) == ((*entries, rejected), ())
    other = make_entry("1", None, slot=dataclasses.replace(SLOT, model="another"))
    ledger.record(other)
    assert ledger.histories(SLOT.use_case, SLOT.model) == {
        "cl": [entries[0]],
        "cl.arda": [entries[1], rejected],
        "cl.boreal": [entries[2]],
    }
    assert ledger.histories(SLOT.use_case, "unknown") == {}
    assert ledger.record_many([*entries, rejected]) == batch, "again, nothing new"


def test_a_stale_one_of_many_is_left_out_alone(ledger: PromotionLedger) -> None:
    slots = [dataclasses.replace(SLOT, segment=segment) for segment in ("a", "b", "c")]
    ledger.record(make_entry("1", None, slot=slots[1]))
    entries = [make_entry("2", None, slot=slot) for slot in slots]
    batch = ledger.record_many(entries)
    assert (batch.recorded, batch.stale) == ((entries[0], entries[2]), (entries[1],))
    champion = ledger.champion(slots[1])
    assert champion is not None
    assert champion.version == "1"


def test_what_cannot_be_stored_leaves_all_of_them_out(ledger: PromotionLedger) -> None:
    bad = make_entry("2", None, slot=dataclasses.replace(SLOT, segment="b"), outcome="perhaps")
    with pytest.raises(RegistryError):
        ledger.record_many([make_entry("1", None), bad])
    assert ledger.slots() == []


def test_slots_do_not_disturb_each_other(ledger: PromotionLedger) -> None:
    slots = [dataclasses.replace(SLOT, segment=segment) for segment in ("pe", "cl")]
    for slot in slots:
        ledger.record(make_entry("1", None, slot=slot))
    ledger.record(make_entry("2", "1", slot=slots[0]))
    assert ledger.slots() == sorted(slots, key=lambda slot: slot.segment)
    assert [entry.version for entry in ledger.history(slots[0])] == ["1", "2"]
    assert [entry.version for entry in ledger.history(slots[1])] == ["1"]
    assert ledger.verify() == 3


def test_rolling_back_is_a_promotion_of_the_previous_version(ledger: PromotionLedger) -> None:
    ledger.record(make_entry("1", None))
    ledger.record(make_entry("2", "1"))
    ledger.record(make_entry("1", "2", decision_id="rollback-1", decided_by="ops"))
    champion = ledger.champion(SLOT)
    assert champion is not None
    assert (champion.version, champion.decided_by) == ("1", "ops")
    assert ledger.verify() == 3


def test_other_outcomes_move_no_pointer_and_a_way_back_does(ledger: PromotionLedger) -> None:
    ledger.record(make_entry("1", None))
    ledger.record(make_entry("2", "1", outcome="pending"))
    ledger.record(make_entry("3", "1", outcome="expired"))
    second = ledger.record(make_entry("4", "1"))
    assert ledger.champion(SLOT) == second
    back = ledger.record(make_entry("1", "4", decision_id="back", outcome="rolled_back"))
    assert ledger.champion(SLOT) == back
    with pytest.raises(StaleChampionError):
        ledger.record(make_entry("1", "4", decision_id="again", outcome="rolled_back"))
    assert ledger.verify() == 5
