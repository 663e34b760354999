"""When a slot's first model can be trained, and what it waits for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mlops_assets.domain.learning.readiness import TrainingPlan, plan_first_training
from mlops_assets.domain.learning.spec import CorpusSpec
from mlops_assets.domain.ports import LedgerEntry
from tests.unit.domain.learning.samples import make_spec
from tests.unit.domain.learning.small_world import SLOT, make_request

FIRST = dt.date(2026, 3, 1)
REQUEST = make_request()
CORPUS = REQUEST.corpus.model_copy(update={"min_history_days": 3})
# 3 days of history, 2 + 2 days between the parts, 2 days for the newest labels.
READY = FIRST + dt.timedelta(days=9)
DECISION = LedgerEntry(
    decision_id="d1",
    slot=SLOT,
    outcome="rejected",
    version="1",
    bundle_sha256="a" * 64,
    previous_version=None,
    decided_by="gate",
    decided_at_utc=dt.datetime(2026, 3, 10, tzinfo=dt.UTC),
    as_of_day=READY,
    evidence_sha256="e" * 64,
    reasons=("too few positives",),
)


def days_until(last: dt.date, *lost: dt.date) -> list[dt.date]:
    """Return the days from the first one on, without those that were lost."""
    span = (last - FIRST).days + 1
    return [day for n in range(span) if (day := FIRST + dt.timedelta(days=n)) not in lost]


def plan(
    days: Sequence[dt.date], *decisions: LedgerEntry, label_days: Sequence[dt.date] | None = None
) -> TrainingPlan:
    """Plan the slot's first training."""
    labels = days if label_days is None else label_days
    return plan_first_training(SLOT, CORPUS, REQUEST.model, days, labels, decisions)


def test_training_is_due_from_the_first_day_with_complete_labels() -> None:
    early = plan(days_until(READY - dt.timedelta(days=1)))
    assert (early.is_due, early.as_of_day) == (False, None)
    assert early.reason == f"trainable from {READY}, data until {READY - dt.timedelta(days=1)}"
    due = plan(days_until(READY))
    assert (due.is_due, due.as_of_day) == (True, READY)
    assert str(READY) in due.reason


def test_late_training_uses_the_newest_day() -> None:
    newest = READY + dt.timedelta(days=5)
    due = plan(days_until(newest))
    assert (due.is_due, due.as_of_day) == (True, newest)
    assert due.run_key == f"first/churn.churn_risk.cl/{newest}"


def test_champion_is_not_trained_again() -> None:
    promoted = replace(DECISION, outcome="promoted")
    later = replace(DECISION, decision_id="d2")
    assert plan(days_until(READY + dt.timedelta(days=30)), promoted, later) == TrainingPlan(
        SLOT, False, "has a champion"
    )


def test_rejection_waits_for_one_more_as_of_day() -> None:
    step = CORPUS.split.as_of_every_days if CORPUS.split.kind == "time" else 0
    again = READY + dt.timedelta(days=step)
    assert not plan(days_until(again - dt.timedelta(days=1)), DECISION).is_due
    due = plan(days_until(again), DECISION)
    assert (due.is_due, due.as_of_day) == (True, again)


def test_without_any_day_there_is_nothing_to_wait_for_yet() -> None:
    assert plan([]) == TrainingPlan(SLOT, False, "no day of data yet")


def test_days_that_were_lost_delay_the_training() -> None:
    """The only usable train as-of day is gone, or its labels are; one more step brings another."""
    oldest = FIRST + dt.timedelta(days=3)
    without_features = plan(days_until(READY, oldest), label_days=days_until(READY))
    without_labels = plan(days_until(READY), label_days=days_until(READY, oldest + dt.timedelta(days=1)))
    for waiting in (without_features, without_labels):
        assert not waiting.is_due
        assert "lost" in waiting.reason
    later = READY + dt.timedelta(days=2)
    assert plan(days_until(later, oldest), label_days=days_until(later)).is_due


@pytest.mark.parametrize(
    ("decisions", "is_due", "says"),
    [((), True, "no champion yet"), ((DECISION,), False, "waits for a new snapshot")],
)
def test_snapshot_is_trained_once(decisions: tuple[LedgerEntry, ...], *, is_due: bool, says: str) -> None:
    corpus = CorpusSpec.model_validate(
        {"table": "feeds/telco", "entity_key": "customer_id", "split": {"kind": "hash"}}
    )
    planned = plan_first_training(SLOT, corpus, make_spec(), [], [], decisions)
    assert (planned.is_due, planned.as_of_day) == (is_due, None)
    assert says in planned.reason
    assert planned.run_key == "first/churn.churn_risk.cl/snapshot"


def test_what_waits_for_a_person_is_not_trained_again_until_it_is_decided() -> None:
    pending = replace(DECISION, outcome="pending")
    late = READY + dt.timedelta(days=60)
    waiting = plan(days_until(late), pending)
    assert (waiting.is_due, waiting.reason) == (False, "version 1 waits for approval")
    expired = replace(pending, decision_id="d2", outcome="expired")
    assert plan(days_until(late), pending, expired).is_due
