"""Whether what offers bring is a fall, chance, or no evidence; and what a retraining plan makes of it."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.lake_tables import performance_table
from mlops_assets.domain.learning.retraining import find_last_shift
from mlops_assets.domain.offers.performance import (
    PERFORMANCE_MONITOR,
    PerformanceVerdict,
    WeekFigures,
    judge_performance,
    merge_plans,
    summarise_week,
)
from mlops_assets.domain.offers.performance_record import (
    find_policy_since,
    read_performance_verdicts,
    to_facts,
)
from mlops_assets.domain.offers.performance_spec import PerformanceSpec
from mlops_assets.domain.offers.reconciliation_day import PlanFigures, ReconciledDay
from mlops_assets.domain.ports import LedgerEntry, ModelSlot, PartitionId
from mlops_assets.domain.weeks import ends_week, last_week_end
from resources.lake import LocalLake

SUNDAY = dt.date(2026, 10, 4)
SINCE = SUNDAY - dt.timedelta(days=60)
SPEC, VERSION = PerformanceSpec(), "1"


def plan_figures(
    sent: int,
    accepted: int,
    expected: float,
    *,
    code: str = "data_m",
    usd: float = 2.0,
    told: int | None = None,
) -> PlanFigures:
    """Return a day's figures of a plan whose every sale brings `usd`, as was expected."""
    return PlanFigures(
        plan_code=code, rl_offers=sent, sent_offers=sent, no_offer=0, different_offer=0, accepted=accepted,
        margin_usd_cents=round(accepted * usd * 100), with_expectation=sent if told is None else told,
        expected_accepted=expected, expected_margin_usd_cents=expected * usd * 100,
    )  # fmt: skip


def reconciled(day: dt.date, *plans: PlanFigures) -> ReconciledDay:
    return ReconciledDay(
        geography="cl", day=day, plans=plans, contacts=sum(plan.sent_offers for plan in plans)
    )


def week(accepted: int, *, back: int = 0, sent: int = 1_000, expected: float = 100.0) -> WeekFigures:
    last_day = SUNDAY - dt.timedelta(days=7 * back)
    return summarise_week(last_day, [reconciled(last_day, plan_figures(sent, accepted, expected))])


def judge(*accepted: int, since: dt.date | None = SINCE, spec: PerformanceSpec = SPEC) -> PerformanceVerdict:
    weeks = [week(count, back=len(accepted) - 1 - number) for number, count in enumerate(accepted)]
    return judge_performance(weeks, spec, since, VERSION)


def test_week_sums_its_days_and_no_others() -> None:
    days = [SUNDAY - dt.timedelta(days=back) for back in range(8)]
    found = summarise_week(SUNDAY, [reconciled(day, plan_figures(100, 9, 10.0)) for day in days])
    assert (found.first_day, found.days, found.offers, found.left_out) == (days[6], 7, 700, 0)
    assert (found.acceptances.actual, found.acceptances.expected) == (63.0, 70.0)
    assert found.acceptances.sigma == pytest.approx(math.sqrt(70 * 0.9))
    assert (found.margin_usd.actual, found.margin_usd.expected) == (
        pytest.approx(126.0),
        pytest.approx(140.0),
    )
    assert found.margin_usd.sigma == pytest.approx(2 * math.sqrt(70 * 0.9))
    assert found.plans == (plan_figures(700, 63, 70.0),)


def test_chance_is_that_of_offers_with_chances_of_their_own() -> None:
    """Acceptances drawn offer by offer vary less than the bound, and not much less."""
    random = np.random.default_rng(5)
    chances = random.beta(2, 18, 2_000)
    totals = (random.random((4_000, 2_000)) < chances).sum(axis=1)
    bound = week(0, sent=2_000, expected=float(chances.sum())).acceptances
    assert 0.9 * bound.sigma < totals.std() <= bound.sigma * 1.03
    below = float(np.mean(totals < bound.low(0.99)))
    assert below <= 0.015


def test_offers_without_expectation_are_left_out_and_counted() -> None:
    partly = plan_figures(50, 20, 2.0, code="voice_s", told=10)
    found = summarise_week(SUNDAY, [reconciled(SUNDAY, plan_figures(100, 9, 10.0), partly)])
    assert (found.offers, found.left_out, found.acceptances.actual) == (100, 50, 9.0)
    assert [plan.plan_code for plan in found.plans] == ["data_m", "voice_s"], "a reader sees all of them"


def test_plans_of_several_days_are_summed() -> None:
    assert merge_plans([plan_figures(5, 1, 0.5), plan_figures(7, 2, 0.7)]) == (plan_figures(12, 3, 1.2),)
    assert merge_plans([]) == ()


def test_two_fallen_weeks_are_a_verdict_one_is_not() -> None:
    assert judge(101, 99, 100).kind == "as_expected"
    alone = judge(100, 100, 60)
    assert (alone.kind, alone.is_retraining_due) == ("fall", False)
    both = judge(100, 60, 60)
    assert (both.kind, both.is_retraining_due) == ("performance_fall", True)
    assert both.first_marked_day == SUNDAY - dt.timedelta(days=13)
    assert "60 acceptances of 100 expected (-40%)" in both.reasons[0]
    assert len(both.reasons) == 4, "acceptances and margin of either week"


def test_a_fall_two_weeks_ago_counts_only_if_this_week_falls() -> None:
    assert judge(60, 60, 100).kind == "as_expected"
    assert judge(60, 100, 60).kind == "performance_fall"
    assert judge(60, 100, 100, 60).kind == "fall", "the first week is out of the newest three"


def test_what_chance_or_tolerance_explains_is_no_fall() -> None:
    assert judge(80, 80, 80).kind == "as_expected", "100 with a sigma of 9.5: 80 is within 2.33 sigma"
    assert judge(76, 76, 76).kind == "performance_fall"
    sure = [week(9_300, back=back, sent=100_000, expected=10_000.0) for back in (2, 1, 0)]
    assert judge_performance(sure, SPEC, SINCE, VERSION).kind == "as_expected", (
        "certain, and too little to act on"
    )
    assert (
        judge_performance(sure, PerformanceSpec(min_fall_share=0.05), SINCE, VERSION).kind
        == "performance_fall"
    )


def test_margin_may_fall_though_acceptances_do_not() -> None:
    cheap = plan_figures(1_000, 130, 100.0, usd=1.0).model_copy(update={"margin_usd_cents": 5_000})
    weeks = [summarise_week(day, [reconciled(day, cheap)]) for day in (SUNDAY - dt.timedelta(days=7), SUNDAY)]
    verdict = judge_performance(weeks, SPEC, SINCE, VERSION)
    assert verdict.kind == "performance_fall"
    assert all("USD margin" in reason for reason in verdict.reasons)


def test_weeks_of_an_earlier_policy_do_not_count() -> None:
    since = SUNDAY - dt.timedelta(days=6)
    assert judge(60, 60, 60, since=since).kind == "fall"
    later = judge(60, 60, 60, since=since + dt.timedelta(days=1))
    assert (later.kind, later.reasons) == (
        "no_evidence",
        (f"the present policy decides since {since + dt.timedelta(days=1)}",),
    )
    assert judge(60, 60, since=None).reasons == ("no policy is champion",)


def test_weeks_in_which_another_policy_proposed_do_not_count() -> None:
    """A policy that was approved late, or to which somebody went back, is not judged by the offers of another."""
    other = replace(week(60, back=1), model_versions=("2",))
    both = replace(week(60), model_versions=(VERSION, "2"))
    own = replace(week(60), model_versions=(VERSION,))
    assert judge_performance([other, own], SPEC, SINCE, VERSION).kind == "fall"
    assert (
        judge_performance([replace(other, model_versions=()), own], SPEC, SINCE, VERSION).kind
        == "performance_fall"
    )
    verdict = judge_performance([own, both], SPEC, SINCE, VERSION)
    assert (verdict.kind, verdict.week) == ("no_evidence", both)
    assert "not only version 1 proposed, but 2, too" in verdict.reasons[0]


def test_few_offers_are_no_evidence() -> None:
    thin = [week(0, back=back, sent=200, expected=20.0) for back in (1, 0)]
    verdict = judge_performance(thin, SPEC, SINCE, VERSION)
    assert verdict.kind == "no_evidence"
    assert "200 offers sent with 20 acceptances expected on 1 reconciled days" in verdict.reasons[0]
    assert judge_performance([week(60, back=1), thin[1]], SPEC, SINCE, VERSION).kind == "no_evidence"
    empty = summarise_week(SUNDAY, [])
    assert judge_performance([empty], SPEC, SINCE, VERSION).kind == "no_evidence"


def test_settings_that_can_never_hold_are_refused() -> None:
    with pytest.raises(ValidationError, match="more than `weeks`"):
        PerformanceSpec(weeks=2, fallen_weeks=3)


def test_weeks_end_on_sundays() -> None:
    assert ends_week(SUNDAY)
    assert not ends_week(SUNDAY + dt.timedelta(days=1))
    ends = {last_week_end(SUNDAY + dt.timedelta(days=n)) for n in range(7)}
    assert ends == {SUNDAY}


def test_a_policy_decides_from_the_second_day_after_its_data() -> None:
    slot = ModelSlot("personalized_offer", "offer_agent", "cl")

    def entry(outcome: str, as_of: dt.date) -> LedgerEntry:
        return LedgerEntry(
            str(as_of), slot, outcome, "1", "a" * 64, None, "gate", dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
            as_of, "e" * 64, (),
        )  # fmt: skip

    early, late = SUNDAY - dt.timedelta(days=30), SUNDAY - dt.timedelta(days=9)
    history = [entry("promoted", early), entry("rejected", late), entry("promoted", SUNDAY)]
    assert find_policy_since(history, SUNDAY) == (early + dt.timedelta(days=2), "1")
    assert find_policy_since(history, SUNDAY + dt.timedelta(days=7)) == (SUNDAY + dt.timedelta(days=2), "1")
    assert find_policy_since([], SUNDAY) == (None, "")


def test_verdicts_reach_the_retraining_plan(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    for accepted, back in (((100, 100), 2), ((100, 60), 1), ((60, 60), 0)):
        verdict = judge(*accepted)
        day = SUNDAY - dt.timedelta(days=7 * back)
        partition = PartitionId(performance_table("personalized_offer"), "cl", day)
        with lake.write(partition, stable_hash([accepted, back])) as writer:
            writer.commit(row_count=0, facts=to_facts(verdict))
    verdicts = read_performance_verdicts(lake, "personalized_offer", "cl", 2)
    assert [one.kind for one in verdicts] == ["fall", "performance_fall"]
    assert all(one.is_evidence for one in verdicts)
    shift = find_last_shift(PERFORMANCE_MONITOR, verdicts)
    assert shift is not None
    assert (shift.detected_day, shift.start_day) == (SUNDAY, SUNDAY - dt.timedelta(days=13))
    assert shift.what == "fall of what offers bring"
    assert "acceptances of 100 expected" in shift.reasons[0]
