"""Proposals of a day: who is offered what, with which chances and reasons, and when nothing may be changed any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import ModelIntegrityError
from mlops_assets.domain.offers.daily_offers import OfferPorts, ProposalOutcome, propose_day
from mlops_assets.domain.offers.decision_data import NO_OFFER_CHOICE, OfferAction, OfferStates
from mlops_assets.domain.offers.policies import build_constant_policy
from mlops_assets.domain.offers.serving_policy import LoadedPolicy
from mlops_assets.domain.offers.state_design import build_design, design_columns
from mlops_assets.domain.offers.state_scores import OfferSetting
from mlops_assets.domain.ports import LedgerEntry, Manifest
from tests.unit.domain.offers.loop_world import LAST, OFFERS, PLANS, LoopWorld, make_setting

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFER_DAY = LAST + dt.timedelta(days=1)
ALL_POLICY = {"control_share": 0.01, "random_share": 0.0, "epsilon": 1e-6}
CHOICES = (
    NO_OFFER_CHOICE,
    OfferAction("data_m", "data", 5.0, 3.0, 15, 1.0),
    OfferAction("data_m", "data", 5.0, 3.0, 15, 1.0, 0.1),
    OfferAction("booster_1gb", "booster", 1.0, 0.7, 3, 1.0),
)


@dataclass(frozen=True)
class PoorPeople:
    """A policy that wants to offer the cheap plan to those with a low balance, and the booster to those who expire."""

    choices: tuple[OfferAction, ...] = CHOICES

    def advantages(self, states: OfferStates, threads: int = 1) -> NDArray[np.float64]:
        assert threads == 1
        worth = np.full((states.rows, len(self.choices)), -1.0)
        worth[:, 0] = 0.0
        worth[:, 2] = 2.0 - states.column("balance_main_acc")
        worth[:, 3] = 0.1 - 0.02 * states.column("days_to_expiry")
        return worth

    def explain(
        self, states: OfferStates, actions: NDArray[np.int64]
    ) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        names = design_columns(states.layout)
        added = np.zeros(build_design(states).shape)
        added[actions == 2, names.index("balance_main_acc")] = 0.5
        added[actions == 3, names.index("days_to_expiry")] = 0.2
        added[:, names.index("tenure_days")] = 0.1
        added[:, names.index("contact_memory")] = -0.3
        return names, added


@dataclass(frozen=True)
class HalfAccept:
    choices: tuple[OfferAction, ...] = CHOICES

    def acceptance(self, states: OfferStates, actions: NDArray[np.int64]) -> NDArray[np.float64]:
        assert states.rows == len(actions)
        return np.where(actions == 2, 0.5, 0.1)


def load(_: LedgerEntry) -> LoadedPolicy:
    return LoadedPolicy(PoorPeople(), HalfAccept())


def person(number: int, **more: Any) -> dict[str, Any]:
    row = {
        "subscriber_id": number,
        "status": "active",
        "balance_main_acc": 5.0,
        "tenure_days": 90 + number % 7,
        "days_to_expiry": 20,
    }
    return {**row, **more}


def setting_of(exploration: Mapping[str, Any] | None = None, **catalogue: Any) -> OfferSetting:
    return make_setting({"exploration": exploration or ALL_POLICY}, **catalogue)


def prepare(
    world: LoopWorld,
    setting: OfferSetting,
    people: Sequence[Mapping[str, Any]],
    plans: Sequence[Mapping[str, Any]] = PLANS,
) -> None:
    world.crown_all(setting)
    world.crown(setting.slot, version="9")
    world.live(LAST, people, plans=plans)


def propose(world: LoopWorld, setting: OfferSetting, **more: Any) -> ProposalOutcome:
    ports = OfferPorts(world.lake, world.engine, world.registry, world.ledger)
    return propose_day(setting, LAST, ports, more.pop("load_policy", load), **more)


def rows_of(world: LoopWorld, outcome: ProposalOutcome) -> dict[int, dict[str, Any]]:
    rows = pq.read_table(world.lake.path(outcome.partition)).to_pylist()
    assert len({row["subscriber_id"] for row in rows}) == len(rows), "one proposal a person"
    for row in rows:
        assert sum(row["propensities"]) == pytest.approx(1.0, abs=1e-6)
    return {row["subscriber_id"]: row for row in rows}


def facts_of(outcome: ProposalOutcome) -> Mapping[str, Any]:
    assert isinstance(outcome.manifest, Manifest)
    return outcome.manifest.facts


def in_policy(rows: Mapping[int, Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    return {number: row for number, row in rows.items() if row["stratum"] == "policy"}


def test_the_policy_decides_and_says_why(loop: LoopWorld) -> None:
    setting = setting_of()
    people = [person(n) for n in range(1, 20)]
    people += [person(21, balance_main_acc=1.0), person(22, days_to_expiry=2), person(23, days_to_expiry=-3)]
    people += [{"subscriber_id": 24, "status": "prospect"}]
    prepare(loop, setting, people)
    outcome = propose(loop, setting)
    assert (outcome.status, outcome.partition.day) == ("built", OFFER_DAY)
    rows = rows_of(loop, outcome)
    assert len(rows) == 23
    poor = rows[21]
    assert (poor["plan_code"], poor["discount_share"], poor["discount_usd_cents"]) == ("data_m", 0.1, 50)
    assert poor["reasons"] == "low_balance new_customer", "what took away is no reason"
    assert poor["expected_acceptance"] == 0.5
    assert poor["expected_margin_usd_cents"] == pytest.approx(125.0)
    assert poor["advantage_usd"] == pytest.approx(1.0)
    assert poor["model_version"] == "1"
    assert poor["propensity"] == pytest.approx(1.0, abs=1e-5)
    assert poor["no_offer_propensity"] == pytest.approx(1e-6 / 4, rel=1e-3)
    assert rows[22]["plan_code"] == "booster_1gb"
    assert rows[22]["reasons"].startswith("plan_expires_soon")
    assert rows[23]["reasons"].startswith("plan_expired")
    assert (rows[24]["plan_code"], rows[24]["reasons"]) == ("no_offer", "not_eligible")
    assert rows[1]["reasons"] == "no_gain"
    assert rows[1]["expected_acceptance"] is None
    assert facts_of(outcome)["offers"] == 3
    assert facts_of(outcome)["choices"] == ["no_offer", "data_m", "data_m -10%", "booster_1gb"]


def test_chunks_do_not_matter(loop: LoopWorld) -> None:
    exploration = {"control_share": 0.2, "random_share": 0.3, "random_contact_share": 0.5, "epsilon": 0.3}
    setting = setting_of(exploration)
    prepare(loop, setting, [person(n, balance_main_acc=n % 4) for n in range(1, 90)])
    whole = rows_of(loop, propose(loop, setting, chunks=1))
    loop.lake.remove(propose(loop, setting).partition)
    assert rows_of(loop, propose(loop, setting, chunks=5)) == whole


def test_without_a_champion_nothing_is_proposed_and_old_proposals_are_withdrawn(loop: LoopWorld) -> None:
    setting = setting_of()
    prepare(loop, setting, [person(1)])
    outcome = propose(loop, setting)
    loop.ledger.entries = [entry for entry in loop.ledger.entries if entry.slot != setting.slot]
    gone = propose(loop, setting)
    assert (gone.status, gone.manifest) == ("no_champion", None)
    assert "withdrawn" in gone.detail
    assert loop.lake.manifest(outcome.partition) is None
    again = propose(loop, setting)
    assert again.detail == "no policy is champion of personalized_offer.offer_agent.cl"


def test_an_input_model_without_champion_is_named(loop: LoopWorld) -> None:
    setting = setting_of()
    loop.crown(setting.slot)
    loop.live(LAST, [person(1)])
    outcome = propose(loop, setting)
    assert outcome.status == "no_champion"
    assert "churn/risk" in outcome.detail


@pytest.mark.parametrize("table", ["etl/subscriber_features", "feeds/plans"])
def test_a_missing_input_is_named_and_old_proposals_stay(loop: LoopWorld, table: str) -> None:
    setting = setting_of()
    prepare(loop, setting, [person(1)])
    built = propose(loop, setting)
    loop.withdraw(table, LAST)
    outcome = propose(loop, setting)
    assert outcome.status == "missing_input"
    assert f"{table}[cl {LAST}]" in outcome.detail
    assert outcome.manifest == built.manifest


def test_the_same_is_not_made_twice(loop: LoopWorld) -> None:
    setting = setting_of()
    prepare(loop, setting, [person(1)])
    first, again = propose(loop, setting), propose(loop, setting)
    assert (first.status, again.status) == ("built", "reused")
    assert first.manifest == again.manifest
    loop.publish("etl/purchases_daily", LAST, [{"subscriber_id": 1, "n_plans": 1, "n_boosters": 0}])
    assert propose(loop, setting).status == "built", "another history is another day"


def test_what_the_campaign_has_used_is_history(loop: LoopWorld) -> None:
    setting = setting_of()
    prepare(loop, setting, [person(1)])
    late = propose(loop, setting, is_used=True)
    assert (late.status, late.manifest) == ("too_late", None)
    built = propose(loop, setting)
    loop.live(LAST, [person(1), person(2)])
    kept = propose(loop, setting, is_used=True)
    assert (kept.status, kept.manifest) == ("kept", built.manifest)


def test_a_plan_withdrawn_today_is_not_proposed(loop: LoopWorld) -> None:
    setting = setting_of()
    prepare(loop, setting, [person(n, balance_main_acc=1.0) for n in range(1, 30)], plans=PLANS[1:])
    rows = rows_of(loop, propose(loop, setting))
    assert {row["plan_code"] for row in rows.values()} == {"no_offer"}
    assert {row["propensities"][1] for row in rows.values()} == {0.0}


@pytest.mark.parametrize("plans", [[], [{"plan_code": "gone"}]])
def test_an_empty_catalogue_leaves_everybody_alone(loop: LoopWorld, plans: list[dict[str, Any]]) -> None:
    setting = setting_of(plans=plans)
    prepare(loop, setting, [person(n, balance_main_acc=1.0) for n in range(1, 30)])
    rows = rows_of(loop, propose(loop, setting))
    assert {(row["plan_code"], row["reasons"]) for row in rows.values()} == {("no_offer", "not_eligible")}
    assert {row["propensity"] for row in rows.values()} == {1.0}


def test_a_quiet_day_is_quiet_for_everybody(loop: LoopWorld) -> None:
    setting = setting_of(contact_policy={"quiet_days": [str(OFFER_DAY)]})
    prepare(loop, setting, [person(n, balance_main_acc=1.0) for n in range(1, 30)])
    rows = rows_of(loop, propose(loop, setting))
    assert {(row["plan_code"], row["reasons"]) for row in rows.values()} == {("no_offer", "quiet_day")}


def test_the_contact_policy_holds_for_chance_too(loop: LoopWorld) -> None:
    setting = setting_of({"random_share": 0.5, "random_contact_share": 1.0, "epsilon": 0.5})
    prepare(loop, setting, [])
    loop.live(
        LAST,
        [person(n, balance_main_acc=1.0) for n in range(1, 60)],
        contacts=[{"subscriber_id": n} for n in range(1, 30)],
    )
    rows = rows_of(loop, propose(loop, setting))
    assert {(rows[n]["plan_code"], rows[n]["propensity"], rows[n]["reasons"]) for n in range(1, 30)} == {
        ("no_offer", 1.0, "contact_cap")
    }
    assert any(rows[n]["plan_code"] != "no_offer" for n in range(30, 60))


@pytest.mark.parametrize("limit", [0, 4, 25, 60])
@pytest.mark.parametrize("epsilon", [0.01, 0.4])
def test_no_limit_is_exceeded_by_policy_and_chance_together(
    loop: LoopWorld, limit: int, epsilon: float
) -> None:
    exploration = {"random_share": 0.3, "random_contact_share": 0.5, "epsilon": epsilon}
    budget = {"contacts_per_day": limit, "discount_usd_per_day": limit / 4}
    setting = setting_of(exploration, budget=budget)
    prepare(loop, setting, [person(n, balance_main_acc=n / 300) for n in range(1, 301)])
    outcome = propose(loop, setting)
    rows = rows_of(loop, outcome)
    offers = [row for row in rows.values() if row["plan_code"] != "no_offer"]
    assert len(offers) <= limit
    assert sum(row["discount_usd_cents"] for row in offers) <= 100 * limit / 4
    facts = facts_of(outcome)
    assert facts["used"]["contacts"] == len(offers)
    if limit == 0:
        assert {row["propensity"] for row in rows.values()} == {1.0}
        assert {row["reasons"] for row in in_policy(rows).values()} == {"budget"}
    else:
        assert offers
        assert facts["taken_back"] <= 1


def test_the_budget_goes_to_those_who_are_worth_most(loop: LoopWorld) -> None:
    setting = setting_of(budget={"contacts_per_day": 10})
    prepare(loop, setting, [person(n, balance_main_acc=n / 100) for n in range(1, 101)])
    rows = in_policy(rows_of(loop, propose(loop, setting)))
    offered = [n for n, row in sorted(rows.items()) if row["plan_code"] != "no_offer"]
    assert offered == sorted(rows)[:10]
    assert {rows[n]["reasons"] for n in sorted(rows)[10:]} == {"budget"}


def test_strata_explore_as_they_should(loop: LoopWorld) -> None:
    exploration = {"control_share": 0.2, "random_share": 0.4, "random_contact_share": 0.5, "epsilon": 0.2}
    setting = setting_of(exploration)
    prepare(loop, setting, [person(n, balance_main_acc=1.0) for n in range(1, 1001)])
    rows = rows_of(loop, propose(loop, setting)).values()
    control = [row for row in rows if row["stratum"] == "control"]
    assert {(row["plan_code"], row["propensity"], row["reasons"]) for row in control} == {
        ("no_offer", 1.0, "control_group")
    }
    drawn = [row for row in rows if row["stratum"] == "random"]
    assert {row["no_offer_propensity"] for row in drawn} == {0.5}
    assert sum(row["plan_code"] != "no_offer" for row in drawn) / len(drawn) == pytest.approx(0.5, abs=0.08)
    assert {row["reasons"] for row in drawn} == {"random_draw"}
    own = [row for row in rows if row["stratum"] == "policy"]
    followed = [row for row in own if (row["plan_code"], row["discount_share"]) == ("data_m", 0.1)]
    assert {round(row["propensity"], 6) for row in followed} == {0.85}
    assert len(followed) / len(own) == pytest.approx(0.85, abs=0.05)
    assert {row["propensities"][1] for row in own} == {np.float32(0.05)}


def test_an_offer_that_the_policy_has_not_learned_is_made_by_chance_alone(loop: LoopWorld) -> None:
    plans = [*OFFERS["catalogue"]["plans"], {"plan_code": "voice_s"}]
    setting = setting_of({"random_share": 0.5, "random_contact_share": 1.0, "epsilon": 0.01}, plans=plans)
    prepare(loop, setting, [person(n) for n in range(1, 400)])
    outcome = propose(loop, setting)
    voice = [row for row in rows_of(loop, outcome).values() if row["plan_code"] == "voice_s"]
    assert {row["reasons"] for row in voice} == {"random_draw"}
    assert {row["advantage_usd"] for row in voice} == {None}
    assert facts_of(outcome)["unknown_choices"] == ["voice_s"]


def test_a_constant_policy_offers_the_same_to_all(loop: LoopWorld) -> None:
    setting = setting_of()
    prepare(loop, setting, [person(n) for n in range(1, 30)])
    columns = setting.layout.columns
    policy = build_constant_policy("best_single", CHOICES, columns, [0.0, 0.5, 0.2, 0.1])
    outcome = propose(loop, setting, load_policy=lambda _: LoadedPolicy(policy))
    rows = in_policy(rows_of(loop, outcome)).values()
    assert {(row["plan_code"], row["discount_share"], row["reasons"]) for row in rows} == {
        ("data_m", 0.0, "best_for_all")
    }
    assert {row["expected_acceptance"] for row in rows} == {None}


def test_a_damaged_champion_leaves_the_old_proposals(loop: LoopWorld) -> None:
    setting = setting_of()
    prepare(loop, setting, [person(1)])
    built = propose(loop, setting)
    loop.live(LAST, [person(1), person(2)])

    def refuse(entry: LedgerEntry) -> LoadedPolicy:
        raise ModelIntegrityError("a file is changed", where=entry.version)

    with pytest.raises(ModelIntegrityError):
        propose(loop, setting, load_policy=refuse)
    assert loop.lake.manifest(built.partition) == built.manifest


def test_an_empty_population_is_an_empty_day(loop: LoopWorld) -> None:
    setting = setting_of()
    prepare(loop, setting, [])
    loop.publish("etl/subscriber_features", LAST, [])
    outcome = propose(loop, setting)
    assert outcome.status == "built"
    assert rows_of(loop, outcome) == {}
