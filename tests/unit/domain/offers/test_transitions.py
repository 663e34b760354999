"""Person-weeks of the decision log: actions, outcomes, chances, next states, and what is left out."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.contact_chances import estimate_contact_chances, weekly_chances
from mlops_assets.domain.offers.decision_data import OfferStates, StateLayout
from mlops_assets.domain.offers.offer_weeks import WeekOutcomes
from mlops_assets.domain.offers.state_scores import NotReady, OfferSetting
from mlops_assets.domain.offers.transitions import (
    DecisionLog,
    TransitionsPlan,
    build_transitions,
    plan_transitions,
)
from mlops_assets.domain.ports import PartitionId
from tests.unit.domain.features.feed_world import GEOGRAPHY
from tests.unit.domain.offers.loop_world import LAST, PLANS, LoopWorld, make_setting

START = LAST - dt.timedelta(days=21)
Rows = Sequence[Mapping[str, Any]]
FIVE = {"plan_code": "data_m", "propensity": 0.01, "is_accepted": False, "discount_usd_cents": 0}


def person(number: int, **more: Any) -> dict[str, Any]:
    row = {"subscriber_id": number, "status": "active", "balance_main_acc": 1.0, "tenure_days": 90}
    return {**row, **more}


def day(number: int) -> dt.date:
    """Return a day of the weeks: 1 is the first one after the oldest as-of day."""
    return START + dt.timedelta(days=number)


@pytest.fixture(scope="module")
def quiet_weeks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lake of four people in whose weeks nothing happens, with a week of history; to be copied."""
    world = LoopWorld(tmp_path_factory.mktemp("quiet"))
    for number in range(-6, 22):
        is_as_of = number >= 0 and number % 7 == 0
        world.live(day(number), [person(one) for one in range(1, 5)] if is_as_of else ())
    return world.lake.root


@pytest.fixture
def weeks(quiet_weeks: Path, loop: LoopWorld) -> LoopWorld:
    """Return a copy of the quiet weeks, with champions."""
    shutil.copytree(quiet_weeks, loop.lake.root)
    loop.crown_all(make_setting())
    return loop


def live_weeks(
    world: LoopWorld, days: Mapping[int, Mapping[str, Any]], people: Mapping[int, Rows] | None = None
) -> None:
    """Let something happen: `days` by number, `people` by as-of week 0 to 3."""
    for number, happened in days.items():
        world.live(day(number), **happened)
    for week, rows in (people or {}).items():
        world.publish("etl/subscriber_features", day(7 * week), rows)


def read(world: LoopWorld, setting: OfferSetting) -> DecisionLog:
    plan = plan_transitions(setting, LAST, **world.ports)
    assert isinstance(plan, TransitionsPlan), plan
    return build_transitions(setting, plan, lake=world.lake, engine=world.engine)


def find(log: DecisionLog, number: int, week: int) -> int:
    moves = log.transitions
    (row,) = np.flatnonzero((moves.states.customers == number) & (moves.weeks == week))
    return int(row)


def test_a_week_holds_its_first_contact_and_what_came_of_it(weeks: LoopWorld) -> None:
    setting = make_setting()
    bought = {"subscriber_id": 1, "plan_code": "data_m", "price_usd_cents": 450}
    voice = {"subscriber_id": 1, "plan_code": "voice_s", "price_usd_cents": 300}
    days = {
        2: {
            "contacts": [{**FIVE, "subscriber_id": 1, "discount_usd_cents": 51, "is_accepted": True}],
            "purchases": [bought, {**voice, "subscriber_id": 2}],
        },
        4: {"purchases": [voice], "contacts": [{**FIVE, "subscriber_id": 1, "plan_code": "booster_1gb"}]},
        9: {"contacts": [{**FIVE, "subscriber_id": 3, "plan_code": "booster_1gb"}], "churned": [4]},
    }
    live_weeks(weeks, days, {2: [person(1), person(2), person(3)]})
    log = read(weeks, setting)
    moves = log.transitions
    assert [choice.name for choice in moves.choices] == ["no_offer", "data_m", "data_m -10%", "booster_1gb"]
    assert moves.choices[2].net_margin_usd == pytest.approx(3.0 - 0.5)
    first = find(log, 1, 0)
    assert (moves.actions[first], moves.is_accepted[first]) == (2, True), "51 cents of 5 USD are 10 %"
    assert moves.margin_usd[first] == pytest.approx(3.0 - 0.5 + 2.0)
    plans = [plan.plan_code for plan in moves.plans]
    assert plans[moves.organic_plan[first] - 1] == "voice_s", "what was bought by offer is not organic"
    other = find(log, 2, 0)
    assert (moves.actions[other], moves.margin_usd[other]) == (0, pytest.approx(2.0))
    assert log.counts.further_contacts == 1
    assert moves.actions[find(log, 3, 1)] == 3
    gone = find(log, 4, 1)
    assert moves.is_churned[gone]
    assert moves.is_churned.sum() == 1
    assert log.counts.used == moves.rows == 11
    later = moves.states.layout.history_slice("offers")
    assert moves.next_values[first, later].tolist() == [2, 0, 0, 0]
    assert moves.states.weeks_of("offers")[find(log, 1, 1)].tolist() == [2, 0, 0, 0]


def test_rules_of_the_as_of_day_are_the_mask(weeks: LoopWorld) -> None:
    setting = make_setting()
    people = {week: [person(1), person(2, status="prospect"), person(3, tenure_days=5)] for week in range(4)}
    live_weeks(weeks, {}, people)
    moves = read(weeks, setting).transitions
    allowed = {int(one): moves.eligible[moves.states.customers == one].tolist() for one in (1, 2, 3)}
    assert allowed[1] == [[True, True, True, True]] * 3
    assert allowed[2] == [[True, False, False, True]] * 3
    assert allowed[3] == [[True, True, True, False]] * 3


def test_a_withdrawn_plan_was_nobodys_that_week(weeks: LoopWorld) -> None:
    setting = make_setting()
    live_weeks(weeks, {7: {"plans": PLANS[1:]}})
    moves = read(weeks, setting).transitions
    by_week = [moves.eligible[moves.weeks == week].any(axis=0).tolist() for week in range(3)]
    assert by_week == [[True] * 4, [True, False, False, True], [True] * 4]


@pytest.mark.parametrize(
    "contact", [{"plan_code": "unheard_of"}, {"plan_code": None}, {"discount_usd_cents": 125}]
)
def test_unknown_offers_are_left_out_and_counted(weeks: LoopWorld, contact: Mapping[str, Any]) -> None:
    setting = make_setting()
    live_weeks(weeks, {3: {"contacts": [{**FIVE, "subscriber_id": 2, **contact}]}})
    log = read(weeks, setting)
    assert (log.counts.other_offer, log.counts.used) == (1, 11)


def test_a_contact_that_is_logged_twice_is_one_decision(weeks: LoopWorld) -> None:
    setting = make_setting()
    contact = {**FIVE, "subscriber_id": 2, "offer_id": "o1"}
    live_weeks(weeks, {3: {"contacts": [contact, contact]}, 4: {"contacts": [contact]}})
    log = read(weeks, setting)
    assert (log.counts.used, log.counts.contacted, log.counts.further_contacts) == (12, 1, 2)


def test_who_is_gone_without_leaving_is_counted(weeks: LoopWorld) -> None:
    setting = make_setting()
    live_weeks(weeks, {}, {3: [person(1), person(2), person(3)]})
    log = read(weeks, setting)
    assert (log.counts.gone, log.counts.used) == (1, 11)


@pytest.mark.parametrize(
    "table", ["feeds/offers_sent", "feeds/plan_purchases", "etl/churn_events", "feeds/plans"]
)
def test_a_week_with_a_missing_day_is_left_out_and_named(weeks: LoopWorld, table: str) -> None:
    setting = make_setting()
    weeks.withdraw(table, day(10))
    plan = plan_transitions(setting, LAST, **weeks.ports)
    assert isinstance(plan, TransitionsPlan)
    assert plan.as_of_days == (day(0), day(14))
    assert plan.left_out == {day(7): f"{table}[cl {day(10)}] not published"}
    moves = build_transitions(setting, plan, lake=weeks.lake, engine=weeks.engine).transitions
    assert set(moves.weeks.tolist()) == {0, 2}


def test_too_little_history_is_no_history(weeks: LoopWorld) -> None:
    setting = make_setting()
    for number in (-6, 10):
        weeks.withdraw("feeds/offers_sent", day(number))
    found = plan_transitions(setting, LAST, **weeks.ports)
    assert isinstance(found, NotReady)
    assert found.status == "no_history"
    assert "6 of 7 days of history" in found.detail


def test_a_start_later_than_four_weeks_may_be_asked_for(weeks: LoopWorld) -> None:
    setting = make_setting()
    later = setting.corpus.model_copy(update={"min_history_days": 40})
    weeks.publish("etl/subscriber_features", day(-33), [person(1)])
    plan = plan_transitions(replace(setting, corpus=later), LAST, **weeks.ports)
    assert isinstance(plan, TransitionsPlan), plan
    assert plan.left_out == {START: "33 of 40 days since the first one"}


def test_an_input_model_without_champion_is_named(loop: LoopWorld) -> None:
    found = plan_transitions(make_setting(), LAST, **loop.ports)
    assert found == NotReady(
        "no_champion",
        f"cl: no champion of {'personalized_offer/topup, churn/risk'} before {LAST + dt.timedelta(1)}",
    )


def test_the_sample_is_always_the_same_people(weeks: LoopWorld) -> None:
    setting = make_setting()
    people = {week: [person(one) for one in range(1, 600)] for week in range(4)}
    live_weeks(weeks, {}, people)
    first, again = read(weeks, setting), read(weeks, setting)
    assert len(np.unique(first.transitions.states.customers)) == 500
    np.testing.assert_array_equal(first.transitions.states.customers, again.transitions.states.customers)
    np.testing.assert_array_equal(first.transitions.propensities, again.transitions.propensities)


def propose(world: LoopWorld, on: dt.date, rows: Rows) -> None:
    """Publish what the platform proposed for a day."""
    content = pa.Table.from_pylist([dict(row) for row in rows])
    partition = PartitionId("offers/personalized_offer/proposals", GEOGRAPHY, on)
    with world.lake.write(partition, stable_hash([str(partition)])) as writer:
        pq.write_table(content, writer.file("data"))
        writer.commit(row_count=len(rows))


def test_chances_of_our_own_proposals_are_exact(weeks: LoopWorld) -> None:
    setting = make_setting()
    sent = [{**FIVE, "subscriber_id": one, "propensity": 0.72} for one in (1, 2)]
    live_weeks(weeks, {5: {"contacts": sent}})
    for number in range(1, 8):
        rows = [
            {
                "subscriber_id": 1,
                "plan_code": "data_m" if number == 5 else "no_offer",
                "no_offer_propensity": 0.2,
            },
            {"subscriber_id": 2, "plan_code": "no_offer", "no_offer_propensity": 0.9},
            {"subscriber_id": 3, "plan_code": "no_offer", "no_offer_propensity": 0.9},
            {
                "subscriber_id": 4,
                "plan_code": "data_m" if number == 2 else "no_offer",
                "no_offer_propensity": 0.9,
            },
        ]
        propose(weeks, day(number), rows)
    log = read(weeks, setting)
    chance = log.transitions.propensities
    assert chance[find(log, 1, 0)] == pytest.approx((1 - 0.2**7) * 0.72 / 0.8)
    assert np.isnan(chance[find(log, 2, 0)]), "contacted though we proposed nothing"
    assert chance[find(log, 3, 0)] == pytest.approx(0.9**7)
    assert np.isnan(chance[find(log, 4, 0)]), "our proposal was not sent"
    assert (log.counts.overridden, log.counts.unknown_chance) == (2, 2)


def outcomes(rows: int, **columns: Any) -> WeekOutcomes:
    blank: dict[str, Any] = {
        "offered_plan": np.full(rows, None, dtype=object),
        "discount_share": np.full(rows, np.nan),
        "propensity": np.full(rows, np.nan),
        "is_accepted": np.zeros(rows, dtype=bool),
        "contacts": np.zeros(rows, dtype=np.int64),
        "margin_usd": np.zeros(rows),
        "organic_plan": np.full(rows, None, dtype=object),
        "unpriced": np.zeros(rows, dtype=np.int64),
        "is_churned": np.zeros(rows, dtype=bool),
        "own_days": np.zeros(rows, dtype=np.int64),
        "own_no_contact": np.full(rows, np.nan),
        "own_on_day": np.full(rows, np.nan),
        "is_overridden": np.zeros(rows, dtype=bool),
    }
    return WeekOutcomes(**blank | columns)


def states_with(levels: np.ndarray[Any, Any]) -> OfferStates:
    layout = StateLayout(("level",))
    values = np.zeros((len(levels), len(layout.columns)), dtype=np.float32)
    values[:, 0] = levels
    return OfferStates(layout, values, np.arange(len(levels)))


def test_the_chance_of_a_contact_is_estimated_by_state() -> None:
    random = np.random.default_rng(3)
    levels = random.integers(0, 2, 6000).astype(np.float32)
    daily = np.where(levels > 0, 0.05, 0.01)
    weekly = 1 - (1 - daily) ** 7
    is_contacted = random.random(6000) < weekly
    logged = np.where(is_contacted, daily * 0.25, np.nan)  # one of four offers
    found = weekly_chances(
        outcomes(6000, contacts=is_contacted.astype(np.int64), propensity=logged), states_with(levels)
    )
    expected = np.where(is_contacted, weekly * 0.25, 1 - weekly)
    np.testing.assert_allclose(found, expected, rtol=0.15)


def test_a_chance_of_zero_or_none_is_not_known() -> None:
    contacts, logged = np.array([1, 1, 1, 0]), np.array([0.0, np.nan, 0.1, np.nan])
    found = weekly_chances(outcomes(4, contacts=contacts, propensity=logged), states_with(np.zeros(4)))
    assert np.isnan(found).tolist() == [True, True, False, False]


def test_a_log_without_contacts_gives_a_share_not_an_error() -> None:
    found = estimate_contact_chances(states_with(np.zeros(99)), np.zeros(99, dtype=bool))
    np.testing.assert_allclose(found, 0.005)
