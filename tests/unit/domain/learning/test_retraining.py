"""When drift makes a slot due: shifts, answers, cooldown, missing evidence, replays."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from mlops_assets.domain.learning.retraining import (
    DayVerdict,
    SlotHistory,
    find_last_shift,
    find_since_day,
    plan_retraining,
)
from mlops_assets.domain.learning.spec import (
    AlgorithmSpec,
    CorpusSpec,
    EventLabel,
    ModelSpec,
    RetrainingSpec,
    TimeSplit,
)
from mlops_assets.domain.ports import LedgerEntry, ModelSlot

FIRST = dt.date(2026, 6, 1)
SLOT = ModelSlot("churn", "churn_risk", "cl")
POLICY = RetrainingSpec(monitors=["plan_usage"], cooldown_days=7, max_attempts=3)
CORPUS = CorpusSpec(table="etl/subscriber_features", entity_key="subscriber_id", split=TimeSplit())
MODEL = ModelSpec(
    task="binary",
    label=EventLabel(table="etl/churn_events", horizon_days=7),
    features=["avg_freq"],
    algorithms={"dummy": AlgorithmSpec()},
    metric="roc_auc",
)
SHIFT = 40  # first marked day; it is recognised two days later


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def verdict(number: int, *, is_shift: bool = False, is_evidence: bool = True) -> DayVerdict:
    marked = day(max(SHIFT, number - 3)) if is_shift else None
    return DayVerdict(day(number), is_shift, is_evidence, marked, reasons=("moved",) if is_shift else ())


def decision(
    as_of: int, outcome: str = "promoted", holdout: int | None = None, previous: str | None = "1"
) -> LedgerEntry:
    first = day(as_of - 7 if holdout is None else holdout).isoformat()
    return LedgerEntry(
        decision_id=f"d{as_of}{outcome}", slot=SLOT, outcome=outcome, version=str(as_of), bundle_sha256="0" * 64,
        previous_version=previous, decided_by="gate", decided_at_utc=dt.datetime(2026, 7, 1, tzinfo=dt.UTC),
        as_of_day=day(as_of), evidence_sha256="0" * 64, reasons=(),
        evidence={"figures": {"holdout_first_day": first}},
    )  # fmt: skip


FIRST_CHAMPION = decision(30, previous=None)


def history(until: int, *decisions: LedgerEntry, shift_days: range | None = None) -> SlotHistory:
    moved = range(SHIFT + 2, until + 1) if shift_days is None else shift_days
    verdicts = [verdict(number, is_shift=number in moved) for number in range(20, until + 1)]
    days = [day(number) for number in range(until + 1)]
    return SlotHistory(days, {"plan_usage": verdicts}, (FIRST_CHAMPION, *decisions))


def plan(known: SlotHistory, policy: RetrainingSpec = POLICY) -> tuple[bool, str, dt.date | None]:
    found = plan_retraining(SLOT, policy, CORPUS, MODEL, known)
    return found.is_due, found.reason, found.as_of_day


def test_without_shift_or_champion_nothing_is_due() -> None:
    assert plan(history(60, shift_days=range(0)))[:2] == (False, "no behaviour shift")
    none = replace(history(60), decisions=())
    assert plan(none)[:2] == (False, "no champion yet")
    assert plan(history(60), POLICY.model_copy(update={"monitors": []}))[0] is False


def test_the_first_attempt_waits_for_labels_of_rows_after_the_shift() -> None:
    is_due, reason, _ = plan(history(SHIFT + 6))
    assert not is_due
    assert f"attempt 1 of 3 on the first sound day from {day(SHIFT + 7)}" in reason
    assert plan(history(SHIFT + 7)) == (
        True,
        f"behaviour shift since {day(SHIFT)}, recognised on {day(SHIFT + 2)} by plan_usage (attempt 1 of 3)",
        day(SHIFT + 7),
    )


def test_a_later_tick_asks_for_the_same_run() -> None:
    """A sensor that was down, or a replay, trains on the same window, and the run key dedupes it."""
    keys = {
        plan_retraining(SLOT, POLICY, CORPUS, MODEL, history(until)).run_key
        for until in (SHIFT + 7, SHIFT + 9, SHIFT + 20)
    }
    assert keys == {f"drift/churn.churn_risk.cl/plan_usage-{day(SHIFT + 2)}/{day(SHIFT + 7)}"}


def test_a_promotion_on_rows_from_before_the_shift_does_not_answer_it() -> None:
    early = decision(SHIFT + 3)  # its holdout begins four days before the shift
    assert plan(history(SHIFT + 9, early))[0] is False, "cooldown"
    assert plan(history(SHIFT + 10, early)) == (
        True,
        f"behaviour shift since {day(SHIFT)}, recognised on {day(SHIFT + 2)} by plan_usage (attempt 2 of 3)",
        day(SHIFT + 10),
    )


def test_a_promotion_on_rows_from_after_the_shift_answers_it_for_good() -> None:
    answered = decision(SHIFT + 7)
    is_due, reason, _ = plan(history(SHIFT + 30, answered))
    assert (is_due, reason) == (False, f"the shift of {day(SHIFT + 2)} is answered")


def test_rejections_are_repeated_after_the_cooldown_until_the_attempts_are_used_up() -> None:
    one = decision(SHIFT + 7, "rejected")
    assert plan(history(SHIFT + 13, one))[0] is False
    assert plan(history(SHIFT + 14, one))[2] == day(SHIFT + 14)
    more = (one, decision(SHIFT + 14, "rejected"), decision(SHIFT + 21, "rejected"))
    is_due, reason, _ = plan(history(SHIFT + 40, *more))
    assert not is_due
    assert "3 attempts brought no better model" in reason


def test_a_way_back_to_an_earlier_model_is_no_attempt() -> None:
    tried = decision(SHIFT + 7, holdout=SHIFT - 1)
    withdrawn = replace(decision(SHIFT + 7, "rolled_back"), version=FIRST_CHAMPION.version)
    is_due, reason, as_of_day = plan(history(SHIFT + 20, tried, withdrawn))
    assert (is_due, as_of_day) == (True, day(SHIFT + 14))
    assert "attempt 2 of 3" in reason


def test_a_challenger_that_waits_for_approval_is_not_overtaken() -> None:
    is_due, reason, _ = plan(history(SHIFT + 30, decision(SHIFT + 7, "pending")))
    assert not is_due
    assert "waits for approval" in reason
    withdrawn = decision(SHIFT + 8, "rolled_back")  # of the champion that the challenger was compared with
    assert plan(history(SHIFT + 30, decision(SHIFT + 7, "pending"), withdrawn))[0]


def test_an_attempt_never_rests_on_a_day_without_evidence() -> None:
    known = history(SHIFT + 9)
    broken = {day(SHIFT + 7), day(SHIFT + 8)}
    verdicts = [
        replace(one, is_shift=False, is_evidence=False) if one.day in broken else one
        for one in known.verdicts["plan_usage"]
    ]
    assert plan(replace(known, verdicts={"plan_usage": verdicts}))[2] == day(SHIFT + 9)
    unseen = [one for one in verdicts if one.day < day(SHIFT + 7)]
    assert plan(replace(known, verdicts={"plan_usage": unseen}))[0] is False


def test_verdicts_that_follow_each_other_are_one_shift_and_a_later_one_is_another() -> None:
    days = [*range(42, 50), *range(55, 58)]
    first = find_last_shift("m", [verdict(number, is_shift=True) for number in days])
    assert first is not None
    assert (first.start_day, first.detected_day) == (day(40), day(42))
    days = [*range(42, 50), *range(70, 72)]
    second = find_last_shift("m", [verdict(number, is_shift=True) for number in days])
    assert second is not None
    assert second.detected_day == day(70)


def test_evidence_that_counts_anew_makes_another_shift() -> None:
    old = [verdict(number, is_shift=True) for number in range(42, 48)]
    new = [replace(verdict(number, is_shift=True), since_day=day(49)) for number in range(53, 55)]
    found = find_last_shift("m", [*old, *new])
    assert found is not None
    assert found.detected_day == day(53)


@pytest.mark.parametrize(
    ("histories", "expected"),
    [
        ([], None),
        ([[FIRST_CHAMPION]], None),
        ([[FIRST_CHAMPION, decision(50)]], 51),
        ([[FIRST_CHAMPION, decision(50), decision(54, "rejected")]], 51),
        ([[FIRST_CHAMPION, decision(50)], [FIRST_CHAMPION, decision(52)]], 51),
        ([[FIRST_CHAMPION, decision(50)], [FIRST_CHAMPION]], None),
        ([[FIRST_CHAMPION, decision(60)]], None),
    ],
)
def test_evidence_counts_anew_once_every_model_was_retrained(
    histories: list[list[LedgerEntry]], expected: int | None
) -> None:
    assert find_since_day(histories, day(60)) == (day(expected) if expected else None)
