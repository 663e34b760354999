"""States of people: what they hold, for whom, and what rules and contact policy allow."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.learning.dataset import dataset_from_arrow
from mlops_assets.domain.learning.lake_tables import scores_table
from mlops_assets.domain.offers.decision_data import DecisionDataError, OfferStates
from mlops_assets.domain.offers.eligibility import plan_eligibility
from mlops_assets.domain.offers.offer_states import (
    PeopleOfDay,
    StatesPlan,
    plan_states,
    stream_people,
)
from mlops_assets.domain.offers.offer_tables import proposals_table
from mlops_assets.domain.offers.state_scores import NotReady, OfferSetting, StateScorers, find_scorers
from mlops_assets.domain.ports import PartitionId
from tests.unit.domain.features.feed_world import GEOGRAPHY
from tests.unit.domain.offers.eligible_offers import read_eligible
from tests.unit.domain.offers.loop_world import LAST, OFFERS, LoopWorld, make_setting

ANN = {
    "subscriber_id": 7,
    "status": "active",
    "balance_main_acc": 2.5,
    "tenure_days": 100,
    "days_to_expiry": 4,
}
NEW = {"subscriber_id": 8, "status": "prospect"}


def days_before(days: int) -> dt.date:
    return LAST - dt.timedelta(days=days)


def scorers_of(world: LoopWorld, setting: OfferSetting) -> StateScorers:
    found = find_scorers(setting, LAST, registry=world.registry, ledger=world.ledger)
    assert isinstance(found, StateScorers)
    return found


def states_of(world: LoopWorld, setting: OfferSetting) -> OfferStates:
    (found,) = people_of(world, setting)
    return found.states


def people_of(world: LoopWorld, setting: OfferSetting, chunks: int = 1) -> list[PeopleOfDay]:
    plan = plan_states(setting, LAST, lake=world.lake)
    assert isinstance(plan, StatesPlan)
    scorers = scorers_of(world, setting)
    return list(stream_people(setting, plan, scorers, lake=world.lake, engine=world.engine, chunks=chunks))


def row(states: OfferStates, person: int) -> dict[str, float]:
    (place,) = np.flatnonzero(states.customers == person)
    return dict(zip(states.layout.columns, states.values[place].tolist(), strict=True))


def test_a_state_holds_scores_features_clocks_and_history(loop: LoopWorld) -> None:
    setting = make_setting()
    topup, _ = loop.crown_all(setting)
    for back in (0, 5, 6, 7, 13):
        contacts: list[dict[str, Any]] = []
        purchases: list[dict[str, Any]] = []
        if back in (5, 6, 13):
            contacts = [{"subscriber_id": 7, "plan_code": "data_m", "is_accepted": back == 6}]
        if back in (6, 7):
            purchases = [
                {"subscriber_id": 7, "plan_code": plan, "price_usd_cents": 1}
                for plan in ("data_m", "booster_1gb")
            ]
        loop.live(days_before(back), [ANN, NEW] if back == 0 else (), contacts=contacts, purchases=purchases)
    states = states_of(loop, setting)
    found = row(states, 7)
    expected = topup.predict(
        dataset_from_arrow(pa.Table.from_pylist([ANN]), topup.features, categorical=topup.categorical)
    )
    assert found["topup"] == pytest.approx(expected[0], rel=1e-6)
    assert (found["balance_main_acc"], found["tenure_days"], found["days_to_expiry"]) == (2.5, 100, 4)
    assert found["days_since_offer"] == 5
    assert states.weeks_of("offers")[0].tolist() == [2, 1, 0, 0]
    assert states.weeks_of("ignored")[0].tolist() == [1, 1, 0, 0]
    assert states.weeks_of("plans_bought")[0].tolist() == [1, 1, 0, 0]
    assert states.weeks_of("boosters_bought")[0].tolist() == [1, 1, 0, 0]


def test_a_prospect_without_history_has_a_state(loop: LoopWorld) -> None:
    setting = make_setting()
    loop.crown_all(setting)
    loop.live(LAST, [ANN, NEW])
    found = row(states_of(loop, setting), 8)
    assert (found["days_to_expiry"], found["tenure_days"], found["days_since_offer"]) == (-60, 0, 60)
    assert np.isnan(found["balance_main_acc"])
    assert np.isfinite(found["topup"]), "the model takes prospects"
    assert np.isnan(found["risk"]), "the churn model is not made for prospects"
    assert {found[name] for name in found if "_week_" in name} == {0.0}


def test_days_without_a_log_are_named_and_count_as_empty(loop: LoopWorld) -> None:
    setting = make_setting()
    loop.crown_all(setting)
    loop.live(LAST, [ANN])
    plan = plan_states(setting, LAST, lake=loop.lake)
    assert isinstance(plan, StatesPlan)
    assert plan.missing_days["feeds/offers_sent"] == tuple(days_before(back) for back in range(59, 0, -1))
    assert plan.history_days == 1


def test_a_day_whose_log_is_held_counts_by_what_was_proposed(loop: LoopWorld) -> None:
    setting = make_setting()
    loop.crown_all(setting)
    proposed = pa.table(
        {"subscriber_id": [7, 8], "plan_code": ["data_m", "no_offer"], "stratum": ["policy"] * 2}
    )
    for back in (0, 2, 3):
        with loop.lake.write(
            PartitionId(proposals_table(setting.use_case), GEOGRAPHY, days_before(back)), f"{back:012x}"
        ) as writer:
            pq.write_table(proposed, writer.file("data"))
            writer.commit(row_count=2)
    loop.live(days_before(2))  # its log is in and says that nobody was contacted
    loop.live(LAST, [ANN, NEW])
    states = states_of(loop, setting)
    assert row(states, 7)["days_since_offer"] == 3
    assert row(states, 7)["ignored_week_1"] == 1
    assert row(states, 8)["days_since_offer"] == 60
    (people,) = people_of(loop, setting)
    assert people.may_contact.tolist() == [False, True]


def test_a_model_without_champion_is_named(loop: LoopWorld) -> None:
    setting = make_setting()
    loop.crown(setting.scores[0].slot)
    found = find_scorers(setting, LAST, registry=loop.registry, ledger=loop.ledger)
    assert found == NotReady("no_champion", f"cl: no champion of churn/risk before {LAST}")


def test_a_champion_of_later_data_does_not_score_the_day(loop: LoopWorld) -> None:
    setting = make_setting()
    loop.crown_all(setting)
    loop.crown(setting.scores[0].slot, version="2", as_of_day=LAST)
    scorers = scorers_of(loop, setting)
    assert [one.version for one in scorers.champions] == ["1", "1"]


@pytest.mark.parametrize("other", ["", "champion", "features"])
def test_published_scores_are_read_if_they_are_of_the_same_champion_and_features(
    loop: LoopWorld, other: str
) -> None:
    setting = make_setting()
    loop.crown_all(setting)
    loop.live(LAST, [ANN, NEW])
    again = states_of(loop, setting)
    slot, champion = setting.scores[1].slot, scorers_of(loop, setting).champions[1]
    features = PartitionId("etl/subscriber_features", GEOGRAPHY, LAST)
    manifest = loop.lake.manifest(features)
    assert manifest is not None
    key = "ab" * 32 if other == "features" else manifest.build_key
    sha256 = "cd" * 32 if other == "champion" else champion.bundle_sha256
    partition = PartitionId(scores_table(slot.use_case, slot.model), GEOGRAPHY, LAST)
    with loop.lake.write(partition, "ef" * 32) as writer:
        pq.write_table(pa.table({"subscriber_id": [7], "score": [0.125]}), writer.file("data"))
        writer.commit(row_count=1, inputs={str(features): key}, facts={"bundle_sha256": sha256})
    found = states_of(loop, setting)
    expected = row(again, 7)["risk"] if other else 0.125
    assert row(found, 7)["risk"] == pytest.approx(expected)
    assert row(found, 7)["topup"] == row(again, 7)["topup"]
    assert np.isnan(row(found, 8)["risk"])


def test_a_missing_snapshot_is_named(loop: LoopWorld) -> None:
    found = plan_states(make_setting(), LAST, lake=loop.lake)
    assert found == NotReady("missing_input", f"etl/subscriber_features[cl {LAST}] is not published")


def test_chunks_together_are_the_whole(loop: LoopWorld) -> None:
    setting = make_setting()
    loop.crown_all(setting)
    loop.live(LAST, [{**ANN, "subscriber_id": one, "balance_main_acc": one / 7} for one in range(1, 30)])
    (whole,) = people_of(loop, setting)
    parts = people_of(loop, setting, chunks=4)
    order = np.argsort(np.concatenate([part.states.customers for part in parts]))
    values = np.concatenate([part.states.values for part in parts])[order]
    np.testing.assert_array_equal(values, whole.states.values)
    assert len(parts) == 4
    assert all(part.states.rows for part in parts)


@pytest.mark.parametrize("back", [1, 6, 7, 27, 28])
def test_rules_and_contact_policy_agree_with_the_eligible_offers(loop: LoopWorld, back: int) -> None:
    setting = make_setting(
        plans=[*OFFERS["catalogue"]["plans"], {"plan_code": "voice_s", "eligible": "days_to_expiry < 0"}]
    )
    loop.crown_all(setting)
    offer_day = LAST + dt.timedelta(days=1)
    people = [
        {**ANN, "subscriber_id": 1},
        {**ANN, "subscriber_id": 2, "tenure_days": 3},
        {**ANN, "subscriber_id": 3, "days_to_expiry": -1},
        {**NEW, "subscriber_id": 4},
    ]
    for day in {0, back - 1}:
        sent = [{"subscriber_id": 1}, {"subscriber_id": 3}] if day + 1 == back else []
        loop.live(days_before(day), people if day == 0 else (), contacts=sent)
    (found,) = people_of(loop, setting)
    plan = plan_eligibility(setting.spec.catalogue, GEOGRAPHY, offer_day, lake=loop.lake)
    expected = {
        (one["subscriber_id"], one["plan_code"])
        for one in read_eligible(setting.spec.catalogue, plan, loop)
        if one["plan_code"] != "no_offer"
    }
    codes = [plan.plan_code for plan in setting.spec.catalogue.plans]
    allowed = found.rules & found.may_contact[:, None]
    mine = {
        (int(found.states.customers[person]), codes[plan]) for person, plan in np.argwhere(allowed).tolist()
    }
    assert mine == expected
    assert (1, "data_m") in mine or back < 28


def test_a_text_is_no_part_of_a_state(loop: LoopWorld) -> None:
    setting = make_setting({"state": {"features": ["region"], "scores": ["topup", "churn/risk"]}})
    loop.crown_all(setting)
    loop.live(LAST, [ANN])
    with pytest.raises(DecisionDataError, match="region"):
        states_of(loop, setting)


def test_a_name_used_twice_is_refused() -> None:
    setting = make_setting({"state": {"features": ["tenure_days"], "scores": ["topup", "churn/risk"]}})
    with pytest.raises(DecisionDataError, match="tenure_days is in a state twice"):
        _ = setting.layout
