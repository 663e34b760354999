"""The feed gate: faults of files are held, unusual days of people are not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.delivery_record import read_health, read_history
from mlops_assets.domain.feeds.landing import FeedOutcome
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.feed_gate import FeedHealth, PastDelivery, judge_delivery, past_days
from mlops_assets.domain.quality.feed_profile import FeedProfile, NumberProfile
from mlops_assets.domain.quality.gate_spec import GateSpec
from mlops_assets.domain.quality.spec import FeatureDriftSpec
from mlops_assets.domain.quality.unit_faults import find_unit_fault
from mlops_assets.sandbox.events import ScriptedEvent
from tests.unit.domain.quality.gate_world import FEEDS, FIRST_DAY, NEXT_DAY, QUIET_DAYS, GateWorld

DAY = dt.timedelta(days=1)
HALF = "hash(MSISDN, EVENT_TS) % 2 = 0"


def reasons(outcome: FeedOutcome) -> set[str]:
    assert outcome.health is not None
    return {finding.reason for finding in outcome.health.findings}


# ---------------------------------------------------------------- nothing is wrong


def test_quiet_days_pass_and_say_when_history_is_too_short(quiet_world: GateWorld) -> None:
    for feed in FEEDS:
        for back in range(QUIET_DAYS):
            day = FIRST_DAY + back * DAY
            manifest = quiet_world.lake.manifest(PartitionId(f"feeds/{feed}", "cl", day))
            assert manifest is not None, f"{feed} {day} is not published"
            health = read_health(manifest)
            assert health is not None
            assert health.status == ("unknown" if back < 3 else "healthy"), f"{feed} {day}: {health}"
            assert ("too little history" in health.note) == (back < 3)


EVENTS = {
    "festival": (1, ScriptedEvent(kind="festival", first_day=NEXT_DAY)),
    "behaviour_shift": (3, ScriptedEvent(kind="behaviour_shift", first_day=NEXT_DAY)),
    "base_growth": (8, ScriptedEvent(kind="base_growth", first_day=NEXT_DAY, last_day=NEXT_DAY + 6 * DAY)),
    "price_change": (3, ScriptedEvent(kind="price_change", first_day=NEXT_DAY)),
    "new_plan": (4, ScriptedEvent(kind="new_plan", first_day=NEXT_DAY)),
}


@pytest.mark.parametrize("kind", EVENTS)
def test_what_people_do_is_no_fault_of_the_file(quiet_world: GateWorld, kind: str, tmp_path: Path) -> None:
    days, event = EVENTS[kind]
    world = quiet_world.branch(tmp_path / "world")
    world.advance(days, event)
    for number in range(days):
        for feed, outcome in world.land_all(NEXT_DAY + number * DAY).items():
            assert outcome.status == "landed", f"{feed}, day {number}: {outcome.findings}"
            assert outcome.health is not None
            assert outcome.health.status == "healthy"


def test_a_holiday_among_ordinary_weekdays_passes(quiet_world: GateWorld) -> None:
    """Sunday's profile judged as if it were a Wednesday: less of everything, and no fault."""
    contract = quiet_world.contract("usage")
    history = read_history(quiet_world.lake, "usage", "cl", NEXT_DAY, contract.gate)
    sunday = next(p for p in history if p.day.weekday() == 6)
    others = [p for p in history if p.day != sunday.day]
    assert judge_delivery(contract, NEXT_DAY, sunday.profile, others).status == "healthy"


# ---------------------------------------------------------------- faults of files


@pytest.mark.parametrize("condition", ["true", HALF])
@pytest.mark.parametrize("factor", [1024, 1 / 1024, 1000, 8, 60])
def test_unit_error_is_held_and_the_unit_named(next_day: GateWorld, factor: float, condition: str) -> None:
    next_day.multiply_volumes(NEXT_DAY, factor, condition)
    outcome = next_day.land("usage", NEXT_DAY)
    assert outcome.status == "held"
    assert "unit_factor" in reasons(outcome)
    assert outcome.health is not None
    suspected = outcome.health.suspected_factor or 0.0
    # 1000 and 1024 differ by less than a day's traffic does from another's
    assert suspected == pytest.approx(factor, rel=0.03)
    assert "another unit" in "\n".join(outcome.findings)


def test_yesterdays_content_under_todays_name_is_held(next_day: GateWorld) -> None:
    shifted = "SELECT * REPLACE (EVENT_TS + INTERVAL 1 DAY AS EVENT_TS) FROM delivered"
    next_day.rewrite("usage", NEXT_DAY, shifted, source_day=NEXT_DAY - DAY)
    outcome = next_day.land("usage", NEXT_DAY)
    assert (outcome.status, reasons(outcome)) == ("held", {"copy_of_earlier_day"})
    assert str(NEXT_DAY - DAY) in outcome.findings[0]


def test_yesterdays_snapshot_under_todays_name_is_held(next_day: GateWorld) -> None:
    next_day.rewrite("subscribers", NEXT_DAY, "SELECT * FROM delivered", source_day=NEXT_DAY - DAY)
    assert reasons(next_day.land("subscribers", NEXT_DAY)) == {"copy_of_earlier_day"}


def test_missing_rows_are_held(next_day: GateWorld) -> None:
    next_day.rewrite("usage", NEXT_DAY, "SELECT * FROM delivered WHERE hash(MSISDN) % 10 >= 4")
    outcome = next_day.land("usage", NEXT_DAY)
    assert (outcome.status, reasons(outcome)) == ("held", {"row_count_low"})


def test_a_few_missing_rows_pass(next_day: GateWorld) -> None:
    next_day.rewrite("usage", NEXT_DAY, "SELECT * FROM delivered WHERE hash(MSISDN) % 100 >= 6")
    assert next_day.land("usage", NEXT_DAY).status == "landed"


def test_missing_plan_is_held_and_named(next_day: GateWorld) -> None:
    next_day.rewrite("subscribers", NEXT_DAY, "SELECT * FROM delivered WHERE PLAN_ID <> 'CL-DAT-M'")
    outcome = next_day.land("subscribers", NEXT_DAY)
    assert (outcome.status, reasons(outcome)) == ("held", {"segment_missing"})
    assert "plan_code data_m: 0 rows" in outcome.findings[0]


def test_doubled_file_is_held(next_day: GateWorld) -> None:
    doubled = "SELECT * FROM delivered UNION ALL SELECT * FROM delivered"
    next_day.rewrite("usage", NEXT_DAY, doubled)
    assert reasons(next_day.land("usage", NEXT_DAY)) == {"duplicates"}


def test_emptied_column_is_held(next_day: GateWorld) -> None:
    next_day.rewrite("usage", NEXT_DAY, "SELECT * REPLACE (0 AS CALLS_OFF) FROM delivered")
    outcome = next_day.land("usage", NEXT_DAY)
    assert reasons(outcome) == {"column_emptied"}
    assert "calls_offnet" in outcome.findings[0]


def test_column_that_may_be_empty_passes_empty(next_day: GateWorld) -> None:
    """As discounts may once a policy of ours grants none."""
    contract = next_day.contract("usage")
    (name,) = (column.name for column in contract.columns if column.source == "CALLS_OFF")
    gate = contract.gate.model_copy(update={"emptiable_columns": [name]})
    next_day.rewrite("usage", NEXT_DAY, "SELECT * REPLACE (0 AS CALLS_OFF) FROM delivered")
    outcome = next_day.land("usage", NEXT_DAY, contract.model_copy(update={"gate": gate}))
    assert outcome.status == "landed"


def test_usage_without_sessions_is_held_whatever_the_factor(next_day: GateWorld) -> None:
    """A factor that is no unit's: nobody has twenty times the traffic in the same number of records."""
    next_day.multiply_volumes(NEXT_DAY, 20)
    assert "usage_without_sessions" in reasons(next_day.land("usage", NEXT_DAY))


def test_no_finding_names_a_subscriber(next_day: GateWorld) -> None:
    next_day.multiply_volumes(NEXT_DAY, 1024)
    outcome = next_day.land("usage", NEXT_DAY)
    assert "569" not in "\n".join(outcome.findings)


# ---------------------------------------------------------------- on profiles alone

NULLABLE = FeedContract.model_validate(
    {
        "name": "readings",
        "description": "x",
        "owner": "team:x",
        "file_pattern": "readings_{day}.parquet",
        "key": ["reading_id"],
        "columns": [
            {"name": "reading_id", "source": "ID", "type": "text"},
            {"name": "score", "source": "SCORE", "type": "decimal", "nullable": True},
        ],
    }
)
TODAY = dt.date(2026, 9, 1)


def readings(null_count: int, zero_count: int, row_count: int = 1000, **more: object) -> FeedProfile:
    positive = row_count - null_count - zero_count
    score = NumberProfile(
        null_count=null_count,
        zero_count=zero_count,
        positive_count=positive,
        total=0.5 * positive + 0.001 * zero_count,
    )
    fields = {"row_count": row_count, "entity_count": row_count, "record_count": row_count, **more}
    return FeedProfile.model_validate({**fields, "numbers": {"score": score}})


def past(count: int = 5, **more: object) -> list[PastDelivery]:
    days = past_days(TODAY, 28)[:count]
    return [PastDelivery(day, readings(80 + n, 10, **more)) for n, day in enumerate(days)]


def judge(profile: FeedProfile, history: list[PastDelivery], **gate: object) -> FeedHealth:
    contract = NULLABLE.model_copy(update={"gate": GateSpec.model_validate(gate)})
    return judge_delivery(contract, TODAY, profile, history)


def test_nulls_turned_to_zero_are_broken() -> None:
    health = judge(readings(0, 90), past())
    assert [f.reason for f in health.findings] == ["nulls_as_zeros"]
    assert "score" in health.findings[0].text


def test_nulls_turned_to_zero_where_zero_is_refused_show_in_quarantine() -> None:
    assert judge(readings(0, 10, row_count=920, quarantined_share=0.08), past()).status == "broken"


@pytest.mark.parametrize(("nulls", "zeros"), [(80, 12), (0, 10), (160, 10), (80, 60)])
def test_other_moves_of_nulls_and_zeros_pass(nulls: int, zeros: int) -> None:
    """A column that is filled better than before is good news."""
    assert judge(readings(nulls, zeros), past()).status == "healthy"


def test_short_history_passes_and_says_so() -> None:
    health = judge(readings(0, 90), past(2))
    assert health.status == "unknown"
    assert "2 of 3" in health.note
    assert judge(readings(0, 90), past(2), history_deliveries_min=2).status == "broken"


def test_a_copy_is_recognised_with_one_earlier_day() -> None:
    assert judge(readings(80, 10), past(1)).status == "broken"
    assert judge(readings(80, 10), past(1), may_repeat=True).status == "unknown"


def test_the_gate_can_be_switched_off() -> None:
    assert judge(readings(0, 90), past(), is_enabled=False).status == "unknown"


def test_same_weekdays_come_first() -> None:
    """Fewer rows than on other days of the week, but as many as on this one."""
    history = [
        PastDelivery(p.day, readings(80 + n, 10, 300 if p.day.weekday() == TODAY.weekday() else 1000))
        for n, p in enumerate(past(10))
    ]
    assert judge(readings(70, 10, 310), history).status == "healthy"
    assert judge(readings(70, 10, 1000), history).status == "broken"


def test_what_was_released_is_the_new_normal() -> None:
    history = past(10)
    smaller = readings(40, 5, 500)
    assert judge(smaller, history).status == "broken"
    yesterday = PastDelivery(TODAY - DAY, readings(41, 5, 505), is_released=True)
    health = judge(smaller, [yesterday, *history[1:]])
    assert health.status == "healthy"
    assert str(yesterday.day) in health.note
    assert judge(readings(1, 1, 100), [yesterday, *history[1:]]).status == "broken"


def test_later_days_and_other_versions_are_no_history() -> None:
    later = [PastDelivery(TODAY + n * DAY, readings(80 + n, 10)) for n in range(5)]
    old = [PastDelivery(p.day, p.profile.model_copy(update={"version": 0})) for p in past()]
    assert judge(readings(0, 90), [*later, *old]).status == "unknown"


@given(count=st.integers(0, 60), usual=st.integers(0, 60))
def test_small_counts_are_chance(count: int, usual: int) -> None:
    """With a handful of rows, hardly any number of rows is a reason to hold a file."""
    history = [PastDelivery(p.day, readings(0, 0, usual)) for p in past()]
    health = judge(readings(0, 0, count), history)
    if abs(count - usual) <= 4 * (count + usual) ** 0.5:
        assert health.status != "broken" or {f.reason for f in health.findings} == {"copy_of_earlier_day"}


# ---------------------------------------------------------------- the separating statistic


def shape(values: np.ndarray) -> NumberProfile:
    buckets, counts = np.unique(np.floor(4 * np.log(values)).astype(int), return_counts=True)
    dense = np.zeros(buckets.max() - buckets.min() + 1, dtype=int)
    dense[buckets - buckets.min()] = counts
    return NumberProfile(
        positive_count=len(values), first_bucket=int(buckets.min()), bucket_counts=tuple(dense.tolist())
    )


FACTORS = [8.0, 60.0, 1000.0, 1024.0]


@given(
    seed=st.integers(0, 1000),
    factor=st.sampled_from([8.0, 60.0, 1024.0, 1 / 8, 1 / 60, 1 / 1024]),
    share=st.sampled_from([0.3, 0.5, 0.8, 1.0]),
    spread=st.floats(0.4, 1.3),
)
def test_rigid_moves_are_units(seed: int, factor: float, share: float, spread: float) -> None:
    random = np.random.default_rng(seed)
    usual = [{"a": shape(np.exp(random.normal(10, spread, 3000)))} for _ in range(3)]
    values = np.exp(random.normal(10, spread, 3000))
    values[random.random(3000) < share] *= factor
    fault = find_unit_fault({"a": shape(values)}, usual, FACTORS, 0.1)
    assert fault is not None
    assert fault.factor == pytest.approx(factor, rel=0.03)
    assert fault.share == pytest.approx(share, abs=0.15)


@given(
    seed=st.integers(0, 1000),
    growth=st.floats(0.4, 2.8),
    share=st.floats(0.2, 1.0),
    unequal=st.floats(0.0, 0.5),
    spread=st.floats(0.6, 1.3),
)
def test_unequal_moves_near_one_are_behaviour(
    seed: int, growth: float, share: float, unequal: float, spread: float
) -> None:
    random = np.random.default_rng(seed)
    usual = [{"a": shape(np.exp(random.normal(10, spread, 3000)))} for _ in range(3)]
    moved = random.random(3000) < share
    factors = np.where(moved, growth * np.exp(random.normal(0, unequal, 3000)), 1.0)
    values = np.exp(random.normal(10, spread, 3000)) * factors
    assert find_unit_fault({"a": shape(values)}, usual, FACTORS, 0.1) is None


def test_without_factors_no_unit_is_suspected() -> None:
    """`unit_factors: []` switches the rule off, and does not fail the delivery."""
    random = np.random.default_rng(1)
    usual = [{"a": shape(np.exp(random.normal(10, 1, 3000)))} for _ in range(3)]
    moved = {"a": shape(1024.0 * np.exp(random.normal(10, 1, 3000)))}
    assert find_unit_fault(moved, usual, [1024.0], 0.1) is not None
    assert find_unit_fault(moved, usual, [], 0.1) is None


def test_no_gate_asks_for_more_history_than_it_looks_at() -> None:
    """It would pass everything unjudged."""
    most = GateSpec(history_days=28, history_deliveries_min=10)
    assert len(past_days(FIRST_DAY, most.history_days)) == most.history_deliveries_min
    with pytest.raises(ValidationError, match="`history_deliveries_min` is more than the 10 deliveries"):
        GateSpec(history_days=28, history_deliveries_min=11)
    with pytest.raises(ValidationError, match="`min_history_days` is more than `history_days`"):
        FeatureDriftSpec(history_days=14, min_history_days=15)
