"""The drift verdict: what persists is a shift, and neither broken feeds nor short events are."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.quality.drift_evidence import (
    DayEvidence,
    FeedEvidence,
    FeedStatus,
    MovedFeature,
    SeriesDeviation,
    choose_ranges_day,
    measure_deviation,
    measure_deviations,
)
from mlops_assets.domain.quality.drift_verdict import DriftVerdict, continue_shift, decide_drift
from mlops_assets.domain.quality.spec import DriftSpec

PLANS = ("prepaid_base", "data_s", "data_m", "data_l", "combo_m", "voice_s")
FIRST = dt.date(2026, 3, 2)
SPEC = DriftSpec()
Scores = Mapping[str, float]


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def scores(value: float, plans: Sequence[str] = PLANS) -> Scores:
    return dict.fromkeys(plans, value)


def ordinary(seed: int, plans: Sequence[str] = PLANS) -> Scores:
    """Return small deviations that differ between series and days, all inside the range."""
    chance = np.random.default_rng(seed + 1_000)
    return {plan: float(np.clip(chance.normal(0.0, 0.4), -0.95, 0.95)) for plan in plans}


def evidence(number: int, found: Scores, status: FeedStatus = "healthy", **more: Any) -> DayEvidence:
    series = {name: SeriesDeviation(score=score, log_move=score / 8) for name, score in found.items()}
    feeds = (
        FeedEvidence(feed="subscribers", status="healthy"),
        FeedEvidence(feed="usage", status=status, findings=("volumes x 1024",) if status == "broken" else ()),
    )
    return DayEvidence(day=day(number), segment="cl", feeds=feeds, series=series, **more)


def past(days: int = 30, **more: Any) -> list[DayEvidence]:
    return [evidence(number, ordinary(number), **more) for number in range(-days, 0)]


def judge(
    days: Sequence[DayEvidence], spec: DriftSpec = SPEC, since_day: dt.date | None = None
) -> DriftVerdict:
    return decide_drift(days, day=days[-1].day, segment="cl", spec=spec, since_day=since_day)


def kinds(days: Sequence[DayEvidence], spec: DriftSpec = SPEC) -> list[str]:
    """Return the verdict of each day from number 0 on, in the order of days."""
    return [judge([*past(), *days[: upto + 1]], spec).kind for upto in range(len(days))]


def test_ordinary_days_are_healthy() -> None:
    verdict = judge([*past(), evidence(0, ordinary(0))])
    assert verdict.kind == "healthy"
    assert not verdict.is_retraining_due
    assert "0 of 6 series outside their range" in verdict.reasons[0]


def test_lasting_shift_is_found_on_its_third_day() -> None:
    shifted = [evidence(number, scores(2.6)) for number in range(4)]
    assert kinds(shifted) == ["one_off_event", "one_off_event", "behaviour_shift", "behaviour_shift"]


def test_shift_says_when_where_and_how_much() -> None:
    verdict = judge([*past(), *(evidence(number, scores(2.6)) for number in range(3))])
    text = " ".join(verdict.reasons)
    assert verdict.is_retraining_due
    assert "6 of 6 series outside their range (100%, threshold 20%)" in text
    assert "moved by +38%" in text
    assert f"{day(0)}, {day(1)}, {day(2)}" in text
    assert verdict.figures.marked_days == (day(0), day(1), day(2))


def test_one_ordinary_day_between_does_not_hide_a_shift() -> None:
    days = [evidence(0, scores(2.6)), evidence(1, scores(2.6)), evidence(2, ordinary(2))]
    assert kinds([*days, evidence(3, scores(2.6))])[-1] == "behaviour_shift"


def test_the_longest_rule_can_be_fulfilled() -> None:
    """Older evidence than three weeks does not count, so that no rule may ask for more days."""
    with pytest.raises(ValidationError, match="less than or equal to 21"):
        DriftSpec(days=22, of_days=22)
    shifted = [evidence(number, scores(2.6)) for number in range(21)]
    found = [judge([*past(), *shifted[:upto]], DriftSpec(days=21, of_days=21)).kind for upto in (20, 21)]
    assert found == ["one_off_event", "behaviour_shift"]


@pytest.mark.parametrize("length", [1, 2])
def test_festival_and_the_days_after_never_retrain(length: int) -> None:
    """People have used up their allowances: everything is below forecast for days after a festival."""
    festival = [evidence(number, scores(6.0)) for number in range(length)]
    after = [evidence(length + number, scores(-1.4)) for number in range(6)]
    calm = [evidence(length + 6 + number, ordinary(number)) for number in range(4)]
    found = kinds([*festival, *after, *calm])
    assert found[:length] == ["one_off_event"] * length
    assert set(found[length:]) == {"healthy"}


def test_fall_is_found_without_an_event_and_once_the_echo_has_died_away() -> None:
    fallen = [evidence(number, scores(-1.4)) for number in range(1, 14)]
    assert kinds(fallen)[2] == "behaviour_shift"
    after_event = kinds([evidence(0, scores(6.0)), *fallen])
    assert after_event.index("behaviour_shift") == 13  # the third day after the tenth


def test_rise_after_an_event_is_no_echo() -> None:
    shifted = [evidence(number, scores(1.6)) for number in range(2, 6)]
    found = kinds([evidence(0, scores(6.0)), evidence(1, ordinary(1)), *shifted])
    assert found.index("behaviour_shift") == 3  # with the event itself, three marked days of four


@pytest.mark.parametrize("status", ["broken", "missing", "unknown"])
def test_days_without_sound_feeds_are_skipped(status: FeedStatus) -> None:
    """They neither add to a shift nor break it off, whatever their values look like."""
    days = [
        evidence(0, scores(2.6)),
        evidence(1, scores(50.0), status),
        evidence(2, scores(2.6)),
        evidence(3, ordinary(3), status),
        evidence(4, scores(2.6)),
    ]
    found = kinds(days)
    skipped = "broken_feed" if status == "broken" else "no_evidence"
    assert found == ["one_off_event", skipped, "one_off_event", skipped, "behaviour_shift"]
    verdict = judge([*past(), *days])
    assert verdict.figures.skipped_days == (day(1), day(3))


def test_broken_feed_is_named_with_its_finding() -> None:
    verdict = judge([*past(), evidence(0, scores(50.0), "broken")])
    assert verdict.kind == "broken_feed"
    assert verdict.reasons == (
        "feed usage is broken and not used: the day is no evidence of drift",
        "volumes x 1024",
    )


@given(st.lists(st.sampled_from(["broken", "missing", "unknown"]), min_size=1, max_size=12))
def test_unsound_feeds_never_retrain(statuses: list[FeedStatus]) -> None:
    days = [evidence(number, scores(50.0), status) for number, status in enumerate(statuses)]
    verdict = judge([*past(10), *days])
    assert not verdict.is_retraining_due
    assert verdict.kind in {"broken_feed", "no_evidence"}


def test_absent_evidence_says_so() -> None:
    without_series = evidence(0, {})
    assert judge([*past(), without_series]).kind == "no_evidence"
    assert "no series has a range" in judge([*past(), without_series]).reasons[0]
    verdict = decide_drift(past(), day=day(0), segment="cl", spec=SPEC)
    assert verdict.kind == "no_evidence"
    assert "nothing is known" in verdict.reasons[0]
    unknown_feeds = evidence(0, scores(2.6)).model_copy(update={"feeds": ()})
    assert judge([*past(), unknown_feeds]).kind == "no_evidence"


def test_old_days_are_no_evidence_of_now() -> None:
    """Two marked days, then a month of broken feeds, then a marked day: that is no persistence."""
    broken = [evidence(number, scores(2.6), "broken") for number in range(2, 32)]
    marked = [evidence(number, scores(2.6)) for number in (0, 1, 32)]
    days = sorted([*past(), *marked, *broken], key=lambda one: one.day)
    assert judge(days).kind == "one_off_event"


def test_literal_rule_needs_one_day_and_a_sound_feed() -> None:
    literal = DriftSpec(days=1, of_days=1)
    two_of_six = {**ordinary(0), "data_s": 1.1, "voice_s": -1.1}
    verdict = judge([*past(), evidence(0, two_of_six)], literal)
    assert verdict.kind == "behaviour_shift"
    assert "asks for nothing else" in verdict.reasons[1]
    assert judge([*past(), evidence(0, two_of_six, "broken")], literal).kind == "broken_feed"
    assert judge([*past(), evidence(0, {**ordinary(0), "data_s": 1.1})], literal).kind == "healthy"


def test_few_series_a_little_outside_are_chance() -> None:
    """Two plans of six are more than 20 %, and stay outside for days: no retraining, and no event either."""
    days = [evidence(number, {**ordinary(number), "data_s": 1.2, "voice_s": 1.3}) for number in range(6)]
    found = [judge([*past(), *days[: upto + 1]]) for upto in range(6)]
    assert {verdict.kind for verdict in found} == {"healthy"}
    assert "within what chance explains" in found[-1].reasons[1]


def test_second_witness_decides_a_doubtful_case() -> None:
    """Half the plans a little outside prove nothing alone; with most people outside their ranges they do."""
    doubtful = {
        "prepaid_base": 0.1,
        "data_s": 1.2,
        "data_m": 1.2,
        "data_l": 1.2,
        "combo_m": -0.1,
        "voice_s": 0.1,
    }
    quiet = past(subscribers_outside_share=0.05)
    alone = [evidence(number, doubtful, subscribers_outside_share=0.05) for number in range(4)]
    with_people = [evidence(number, doubtful, subscribers_outside_share=0.15) for number in range(4)]
    moved = (MovedFeature(name="data_kb_30d", distance=0.4, threshold=0.1),)
    with_feature = [evidence(number, doubtful, moved_features=moved) for number in range(4)]
    assert judge([*quiet, *alone]).kind != "behaviour_shift"
    people = judge([*quiet, *with_people])
    assert people.kind == "behaviour_shift"
    assert "15.0% of subscribers left their own ranges, 5.0% is usual" in people.reasons
    feature = judge([*quiet, *with_feature])
    assert feature.kind == "behaviour_shift"
    assert "features moved as well: data_kb_30d" in feature.reasons


def test_witness_alone_is_not_enough() -> None:
    moved = (MovedFeature(name="data_kb_30d", distance=0.4, threshold=0.1),)
    days = [
        evidence(number, ordinary(number), subscribers_outside_share=0.5, moved_features=moved)
        for number in range(6)
    ]
    assert kinds(days) == ["healthy"] * 6


def test_restless_history_raises_the_bar() -> None:
    """Where the typical series is often outside, the same level proves less."""
    restless = [evidence(number, scores(1.2 if number % 3 else -1.2)) for number in range(-40, 0)]
    shifted = [evidence(number, scores(2.6)) for number in range(3)]
    assert judge([*restless, *shifted]).kind == "one_off_event"
    assert judge([*past(40), *shifted]).kind == "behaviour_shift"


def test_small_shift_of_everything_is_found_by_its_length() -> None:
    """A little inside and outside the ends of the ranges, on one side, for over a week."""
    spread = {
        "data_s": 1.2,
        "data_m": 1.1,
        "data_l": 0.85,
        "combo_m": 0.85,
        "voice_s": 0.7,
        "prepaid_base": 0.8,
    }
    restless = [evidence(number, scores(0.25 if number % 3 else -0.25)) for number in range(-40, 0)]
    days = [evidence(number, spread) for number in range(12)]
    found = [judge([*restless, *days[: upto + 1]]) for upto in range(12)]
    assert [verdict.kind for verdict in found].index("behaviour_shift") == 7
    assert found[-1].figures.common_level < found[-1].figures.common_limit


def test_large_panel_finds_a_fifth_that_moved_in_both_directions() -> None:
    plans = [f"plan_{number}" for number in range(60)]
    up, down = scores(1.8, plans[:10]), scores(-1.8, plans[10:20])
    history = [evidence(number, ordinary(number, plans)) for number in range(-30, 0)]
    days = [evidence(number, {**ordinary(number, plans), **up, **down}) for number in range(3)]
    verdict = judge([*history, *days])
    assert verdict.kind == "behaviour_shift"
    assert len(verdict.figures.persistent_series) == 20
    assert ", 12 more)" in verdict.reasons[1]


def test_window_restarts_after_a_retraining() -> None:
    """The ranges still come from before the shift; what the retraining has seen does not count again."""
    shifted = [evidence(number, scores(2.6 - 0.05 * number)) for number in range(30)]
    later = [judge([*past(), *shifted[: upto + 1]], since_day=day(3)).kind for upto in range(3, 30)]
    assert set(later) == {"healthy"}
    assert judge([*past(), *shifted[:3]], since_day=day(3)).kind == "no_evidence"
    further = [evidence(3 + number, scores(5.4)) for number in range(3)]
    assert judge([*past(), *shifted[:3], *further], since_day=day(3)).kind == "behaviour_shift"


def test_verdict_after_a_retraining_says_what_is_accepted() -> None:
    shifted = [evidence(number, scores(2.6)) for number in range(5)]
    verdict = judge([*past(), *shifted], since_day=day(3))
    assert verdict.kind == "healthy"
    assert "what the last retraining has seen is accepted and not counted again" in verdict.reasons


def test_many_findings_are_summed_up() -> None:
    findings = tuple(f"column {number} is wrong" for number in range(7))
    feeds = (FeedEvidence(feed="usage", status="broken", findings=findings),)
    one = evidence(0, scores(0.1)).model_copy(update={"feeds": feeds})
    assert judge([*past(), one]).reasons[1:] == (*findings[:2], "usage: 5 more findings")


def test_accepted_level_is_forgotten_when_the_ranges_have_caught_up() -> None:
    shifted = [evidence(number, scores(2.6)) for number in range(3)]
    settled = [evidence(number, ordinary(number)) for number in range(3, 80)]
    again = [evidence(number, scores(2.6)) for number in range(80, 83)]
    assert judge([*shifted, *settled, *again], since_day=day(3)).kind == "behaviour_shift"
    soon = [*shifted, *settled[:20], *(evidence(number, scores(2.6)) for number in range(23, 26))]
    assert judge(soon, since_day=day(3)).kind == "healthy"


def test_later_days_are_not_looked_at() -> None:
    days = [*past(), evidence(0, ordinary(0)), *(evidence(number, scores(4.0)) for number in range(1, 5))]
    assert decide_drift(days, day=day(0), segment="cl", spec=SPEC).kind == "healthy"


def test_order_of_evidence_does_not_matter() -> None:
    days = [*past(), *(evidence(number, scores(2.6)) for number in range(3))]
    assert decide_drift(days[::-1], day=day(2), segment="cl", spec=SPEC) == judge(days)


@pytest.mark.parametrize(
    "wrong", [[evidence(0, scores(0.1)).model_copy(update={"segment": "pe"})], [evidence(-1, scores(0.1))]]
)
def test_mixed_evidence_is_refused(wrong: list[DayEvidence]) -> None:
    with pytest.raises(PlatformError, match="mixed evidence"):
        judge([*past(), *wrong])


_SCORES = st.dictionaries(st.sampled_from(PLANS), st.floats(-8, 8), max_size=6)
_STATUSES = st.sampled_from(["healthy", "healthy", "healthy", "broken", "missing", "unknown"])


@given(st.lists(st.tuples(_SCORES, _STATUSES), min_size=1, max_size=12), st.integers(1, 4), st.integers(0, 4))
def test_verdict_is_sound_whatever_the_evidence(
    found: list[tuple[Scores, FeedStatus]], days: int, more: int
) -> None:
    """A shift rests on enough marked, usable days; every verdict has a reason and survives JSON."""
    spec = DriftSpec(days=days, of_days=days + more)
    history = [evidence(number, *one) for number, one in enumerate(found)]
    verdict = judge(history, spec)
    usable = {one.day for one in history if one.is_usable}
    assert verdict.reasons
    assert all(verdict.reasons)
    assert verdict.is_retraining_due == (verdict.kind == "behaviour_shift")
    assert set(verdict.figures.window_days) <= usable
    if verdict.is_retraining_due:
        assert history[-1].is_usable
        assert len(verdict.figures.marked_days) >= days
    assert DriftVerdict.from_facts(json.loads(json.dumps(verdict.to_facts()))) == verdict


@given(st.lists(_SCORES, min_size=3, max_size=8), st.floats(-0.99, 0.99))
def test_series_inside_their_ranges_never_retrain(found: list[Scores], factor: float) -> None:
    """Scores scaled to lie inside the range mark no day."""
    inside = [{name: score / 8 * factor for name, score in one.items()} for one in found]
    assert not judge([evidence(number, one) for number, one in enumerate(inside)]).is_retraining_due


def test_evidence_survives_json() -> None:
    moved = (MovedFeature(name="data_kb_30d", distance=0.4, threshold=0.1),)
    one = evidence(0, ordinary(0), "broken", subscribers_outside_share=0.2, moved_features=moved)
    assert DayEvidence.from_facts(json.loads(json.dumps(one.to_facts()))) == one


def test_contradicting_verdict_is_refused() -> None:
    with pytest.raises(ValidationError, match="does not go with"):
        DriftVerdict(kind="broken_feed", day=FIRST, segment="cl", reasons=("x",), is_retraining_due=True)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1e-3, 1e6))
def test_score_is_beyond_one_exactly_outside_the_range(value: float, low: float, width: float) -> None:
    high = low + width
    score = measure_deviation(value, low, high).score
    if abs(value - low) > 1e-6 * high and abs(value - high) > 1e-6 * high:
        assert (abs(score) > 1.0) == (not low <= value <= high)


def test_score_is_that_of_the_kernel() -> None:
    """A range made on ln(y / m + 0.1) gives back nearly the score it was made with."""
    deviation = measure_deviation(value_mb=1.1814, low_mb=0.8953, high_mb=1.1155)  # mid 1, q * halfwidth 0.1
    assert deviation.score == pytest.approx(1.53, abs=0.03)


@pytest.mark.parametrize(
    ("made", "chosen"),
    [
        (range(-40, 0), -14),
        (range(-11, 0), -11),
        (range(-6, 0), None),
        ([-31, -3], None),
        ([-20, -9], -20),
        ([-9, -8, 3], -9),
        ([], None),
    ],
)
def test_ranges_do_not_know_what_they_judge(made: Sequence[int], chosen: int | None) -> None:
    expected = None if chosen is None else day(chosen)
    assert choose_ranges_day([day(number) for number in made], day(0)) == expected


def test_rows_without_range_or_value_are_left_out() -> None:
    good = {"series": "data_s", "value_mb": 12.0, "low_mb": 8.0, "high_mb": 10.0}
    rows = [
        good,
        {**good, "series": "no_value", "value_mb": None},
        {**good, "series": "no_range", "low_mb": float("nan")},
        {**good, "series": "constant", "low_mb": 10.0},
        {**good, "series": "negative", "value_mb": -1.0},
    ]
    assert list(measure_deviations(rows)) == ["data_s"]
    assert measure_deviations(rows)["data_s"].is_outside


def test_impossible_value_is_refused() -> None:
    with pytest.raises(PlatformError, match="cannot be compared"):
        measure_deviation(-1.0, 0.0, 10.0)
    with pytest.raises(PlatformError, match="cannot be compared"):
        measure_deviation(1.0, 10.0, 10.0)


def test_a_recognised_shift_lasts_while_the_rule_holds() -> None:
    """Its own days enter the history, and make the next ones look like chance."""
    days = [*past(), *(evidence(number, scores(2.0)) for number in range(4))]
    shift = judge(days)
    assert shift.kind == "behaviour_shift"
    doubted = shift.model_copy(update={"kind": "one_off_event", "is_retraining_due": False})
    continued = continue_shift(doubted, shift, SPEC)
    assert (continued.kind, continued.is_retraining_due) == ("behaviour_shift", True)
    assert "goes on" in continued.reasons[0]
    assert continue_shift(doubted, None, SPEC) == doubted
    assert continue_shift(doubted, doubted, SPEC) == doubted, "it was not recognised yet"
    over = doubted.model_copy(
        update={
            "figures": doubted.figures.model_copy(update={"marked_days": doubted.figures.marked_days[:2]})
        }
    )
    assert continue_shift(over, shift, SPEC) == over, "the rule does not hold any more"
    broken = doubted.model_copy(update={"kind": "broken_feed"})
    assert continue_shift(broken, shift, SPEC) == broken, "a broken feed is no evidence, whatever was before"
