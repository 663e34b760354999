"""Who serves on a day: the newest promotion whose data end before it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.learning.champions import champion_for_day, find_predecessor, newest_before
from mlops_assets.domain.ports import LedgerEntry, ModelSlot
from tests.fakes.promotion_ledger import FakePromotionLedger

SLOT = ModelSlot("churn", "churn_risk", "cl")
FIRST = dt.date(2026, 3, 1)


def entry(
    version: int,
    as_of_number: int | None,
    outcome: str = "promoted",
    slot: ModelSlot = SLOT,
    previous: int | None = None,
) -> LedgerEntry:
    """Return a decision taken on data that end on a day counted from the first one."""
    return LedgerEntry(
        decision_id=f"{slot.segment}-{version}",
        slot=slot,
        outcome=outcome,
        version=str(version),
        bundle_sha256=f"{version:064d}",
        previous_version=str(previous) if previous else None,
        decided_by="gate",
        decided_at_utc=dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        as_of_day=None if as_of_number is None else FIRST + dt.timedelta(days=as_of_number),
        evidence_sha256="e" * 64,
        reasons=(),
    )


def serving(ledger: FakePromotionLedger, number: int) -> str | None:
    """Return the version that serves on a day counted from the first one."""
    champion = champion_for_day(ledger, SLOT, FIRST + dt.timedelta(days=number))
    return champion.version if champion else None


def test_champion_serves_from_the_day_after_its_data() -> None:
    ledger = FakePromotionLedger()
    assert serving(ledger, 0) is None
    ledger.record(entry(1, 10))
    assert [serving(ledger, n) for n in (9, 10, 11, 500)] == [None, None, "1", "1"]
    ledger.record(entry(2, 20, previous=1))
    assert [serving(ledger, n) for n in (10, 11, 20, 21)] == [None, "1", "1", "2"]


def test_way_back_gives_the_days_of_the_withdrawn_model_to_the_one_before() -> None:
    ledger = FakePromotionLedger()
    first = ledger.record(entry(1, 10))
    ledger.record(entry(2, 20, previous=1))
    ledger.record(
        replace(
            first,
            decision_id="back",
            outcome="rolled_back",
            previous_version="2",
            as_of_day=FIRST + dt.timedelta(days=20),
        )
    )
    assert [serving(ledger, n) for n in (10, 11, 20, 21)] == [None, "1", "1", "1"]


def test_what_is_pending_or_expired_does_not_serve() -> None:
    ledger = FakePromotionLedger()
    ledger.record(entry(1, 1))
    ledger.record(entry(2, 2, outcome="pending", previous=1))
    ledger.record(entry(3, 3, outcome="expired", previous=1))
    assert serving(ledger, 30) == "1"


def test_predecessor_is_who_was_replaced_not_who_came_back() -> None:
    first, second, third = entry(1, 1), entry(2, 2, previous=1), entry(3, 3, previous=2)
    back_to_2 = replace(second, decision_id="a", outcome="rolled_back", previous_version="3")
    back_to_1 = replace(first, decision_id="b", outcome="rolled_back", previous_version="2")
    history = [first, second, third, back_to_2, back_to_1]
    found = [find_predecessor(history[:count]) for count in range(6)]
    assert [one.version if one else None for one in found] == [None, None, "1", "2", "1", None]
    again = replace(third, decision_id="c", previous_version="1")
    assert find_predecessor([*history, again]) == back_to_1


def test_rejections_and_other_slots_do_not_serve() -> None:
    ledger = FakePromotionLedger()
    ledger.record(entry(1, 1))
    ledger.record(entry(2, 2, outcome="rejected", previous=1))
    ledger.record(entry(7, 3, slot=ModelSlot("churn", "churn_risk", "pe")))
    assert serving(ledger, 30) == "1"


def test_model_of_a_snapshot_serves_every_day() -> None:
    ledger = FakePromotionLedger()
    ledger.record(entry(1, None))
    assert serving(ledger, -300) == "1"


def test_return_to_an_older_model_counts_from_its_own_decision() -> None:
    """The order of decisions decides, not the age of the data: a way back is a promotion like another."""
    ledger = FakePromotionLedger()
    ledger.record(entry(1, 10))
    ledger.record(entry(2, 20, previous=1))
    ledger.record(entry(3, 10, previous=2))
    assert [serving(ledger, n) for n in (11, 21)] == ["3", "3"]


DECISIONS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["promoted", "rejected"])), max_size=8)


@given(DECISIONS, st.integers(-5, 40))
def test_decisions_on_later_data_never_change_who_served(
    decisions: list[tuple[int, str]], number: int
) -> None:
    history = [entry(n + 1, as_of, outcome) for n, (as_of, outcome) in enumerate(decisions)]
    day = FIRST + dt.timedelta(days=number)
    known = [e for e in history if e.as_of_day is not None and e.as_of_day < day]
    assert newest_before(history, day) == newest_before(known, day)
    champion = newest_before(history, day)
    assert champion is None or (champion.outcome == "promoted" and champion in known)
