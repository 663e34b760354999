"""Offers proposed beside offers sent: every outcome, sums that close, bad input."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.features.compile import compile_statements
from mlops_assets.domain.features.table import empty_arrow
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.reconciliation import PROPOSAL_COLUMNS, reconciliation_table
from mlops_assets.domain.offers.reconciliation_day import (
    UNEXPLAINED_ROWS_MAX,
    ReconciledDay,
    ReconciliationError,
    mismatch_share,
    read_day,
    summarise_day,
)
from mlops_assets.domain.ports import PartitionId
from tests.unit.domain.features.feed_world import GEOGRAPHY, FeedWorld, day_number

DAY = day_number(0)
TABLE = reconciliation_table("offers/personalized_offer/proposals")
COLUMNS = {source.table: dict(source.columns) for source in TABLE.inputs}
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
PLANS = ("data_s", "data_m", "booster_1gb")


def propose(person: int, plan: str | None = "data_s", **changes: Any) -> dict[str, Any]:
    return {
        "subscriber_id": person,
        "plan_code": plan,
        "discount_usd_cents": 0,
        "model_version": "7",
        "expected_acceptance": 0.25,
        "expected_margin_usd_cents": 30.0,
        **changes,
    }


def contact(person: int, plan: str | None = "data_s", **changes: Any) -> dict[str, Any]:
    return {
        "offer_id": f"o{person}",
        "subscriber_id": person,
        "event_time_utc": NOON.replace(tzinfo=None),
        "plan_code": plan,
        "discount_usd_cents": 0,
        "is_accepted": False,
        **changes,
    }


def publish(
    world: FeedWorld, proposals: Sequence[Any] | None, contacts: Sequence[Any] | None, day: dt.date = DAY
) -> None:
    plans = [{"plan_code": plan, "margin_usd_cents": 100 * n} for n, plan in enumerate(PLANS, start=1)]
    world.deliver("plans", day, plans, COLUMNS["feeds/plans"])
    if contacts is not None:
        world.deliver("offers_sent", day, contacts, COLUMNS["feeds/offers_sent"])
    if proposals is not None:
        _publish_proposals(world, proposals, day)


def _publish_proposals(world: FeedWorld, proposals: Sequence[Any], day: dt.date) -> None:
    partition = PartitionId("offers/personalized_offer/proposals", GEOGRAPHY, day)
    rows = pa.Table.from_pylist(list(proposals), schema=empty_arrow(PROPOSAL_COLUMNS).schema)
    with world.lake.write(partition, stable_hash([str(partition), list(proposals)])) as writer:
        pq.write_table(rows, writer.file("data"))
        writer.commit(row_count=len(proposals))


def reconcile(world: FeedWorld, proposals: Sequence[Any], contacts: Sequence[Any]) -> ReconciledDay:
    publish(world, proposals, contacts)
    assert world.build(TABLE, DAY).status == "built"
    found = read_day(TABLE, GEOGRAPHY, DAY, lake=world.lake, engine=world.engine)
    assert found is not None
    return found


def figures(day: ReconciledDay) -> tuple[int, int, int, int]:
    return day.rl_offers, day.sent_offers, day.no_offer, day.different_offer


def test_every_outcome_is_counted_once(world: FeedWorld) -> None:
    day = reconcile(
        world,
        [propose(1), propose(2), propose(3, "data_m"), propose(4, "no_offer"), propose(5, "no_offer")],
        [contact(1, is_accepted=True), contact(3, "data_s"), contact(4), contact(9, "booster_1gb")],
    )
    assert figures(day) == (3, 1, 1, 1)
    assert (day.declined, day.contacts, day.unproposed) == (2, 4, 2)
    assert {(one.kind, one.proposed_plan, one.sent_plan, one.rows) for one in day.unexplained} == {
        ("different_offer", "data_m", "data_s", 1),
        ("unproposed", "no_offer", "data_s", 1),
        ("unproposed", "none", "booster_1gb", 1),
    }
    assert day.model_versions == ("7",)
    by_plan = {one.plan_code: one for one in day.plans}
    assert by_plan["data_s"].rl_offers == 2
    assert by_plan["data_m"].different_offer == 1


def test_money_is_that_of_offers_sent_as_proposed(world: FeedWorld) -> None:
    day = reconcile(
        world,
        [propose(1, discount_usd_cents=20), propose(2), propose(3), propose(4, expected_acceptance=None)],
        [
            contact(1, is_accepted=True, discount_usd_cents=20),
            contact(2, is_accepted=True, discount_usd_cents=35),
            contact(3, "data_m", is_accepted=True),
            contact(4, is_accepted=None),
        ],
    )
    (plan,) = day.plans
    assert (plan.sent_offers, plan.accepted, plan.margin_usd_cents) == (3, 2, 80 + 65)
    assert plan.other_discount == 1
    assert (plan.with_expectation, plan.expected_accepted) == (2, 0.5)
    assert plan.expected_margin_usd_cents == pytest.approx(60.0)


def test_of_several_contacts_the_proposed_one_counts(world: FeedWorld) -> None:
    early = NOON.replace(tzinfo=None) - dt.timedelta(hours=3)
    day = reconcile(
        world,
        [propose(1), propose(2)],
        [
            contact(1, "data_m", offer_id="a", event_time_utc=early),
            contact(1, offer_id="b"),
            contact(2, "data_m", offer_id="c"),
            contact(2, "booster_1gb", offer_id="d", event_time_utc=early),
            contact(8, offer_id="e"),
            contact(8, offer_id="f"),
        ],
    )
    assert figures(day) == (2, 1, 0, 1)
    assert (day.unproposed, day.duplicate_contacts) == (1, 3)
    different = [one.sent_plan for one in day.unexplained if one.kind == "different_offer"]
    assert different == ["booster_1gb"], "the earliest of those that were not proposed"


def test_a_person_proposed_twice_counts_once(world: FeedWorld) -> None:
    day = reconcile(world, [propose(1, "data_s"), propose(1, "data_m"), propose(2)], [contact(1, "data_m")])
    assert figures(day) == (2, 1, 1, 0)  # data_m is the first by its code
    assert day.duplicate_proposals == 1


def test_unknown_plans_are_shown_as_unknown_and_compared_by_their_code(world: FeedWorld) -> None:
    day = reconcile(
        world,
        [propose(1, "gone"), propose(2, "gone"), propose(3, None), propose(4)],
        [contact(1, "gone"), contact(2, "never"), contact(3, None), contact(4, "never")],
    )
    by_plan = {one.plan_code: one for one in day.plans}
    assert set(by_plan) == {"unknown", "data_s"}
    assert (by_plan["unknown"].sent_offers, by_plan["unknown"].different_offer) == (1, 2)
    assert by_plan["unknown"].margin_usd_cents == 0
    assert by_plan["data_s"].different_offer == 1


@pytest.mark.parametrize(
    ("proposals", "contacts", "missing"),
    [(None, [], "proposals"), ([], None, "offers_sent")],
)
def test_a_missing_day_is_not_reconciled(
    world: FeedWorld, proposals: Sequence[Any] | None, contacts: Sequence[Any] | None, missing: str
) -> None:
    publish(world, proposals, contacts)
    outcome = world.build(TABLE, DAY)
    assert outcome.status == "missing_input"
    assert missing in outcome.detail
    assert read_day(TABLE, GEOGRAPHY, DAY, lake=world.lake, engine=world.engine) is None


def test_an_empty_day_is_reconciled_and_has_no_ratio(world: FeedWorld) -> None:
    day = reconcile(world, [], [])
    assert figures(day) == (0, 0, 0, 0)
    assert mismatch_share(0, 0, 0) is None


def test_nothing_published_names_a_person(world: FeedWorld) -> None:
    day = reconcile(world, [propose(987654321)], [contact(987654321, "data_m"), contact(123456789)])
    rows = pq.read_table(world.lake.path(PartitionId(TABLE.name, GEOGRAPHY, DAY))).to_pylist()
    for number in ("987654321", "123456789"):
        assert number not in str(rows)
        assert number not in day.model_dump_json()


@pytest.mark.parametrize("seed", range(6))
def test_counts_agree_with_plain_python(world: FeedWorld, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - test data
    codes = [*PLANS, "gone", "no_offer", None]
    proposals = [
        propose(chance.randint(1, 30), chance.choice(codes), model_version=chance.choice("78"))
        for _ in range(30)
    ]
    contacts = [
        contact(
            chance.randint(1, 40),
            chance.choice([*PLANS, "never", None]),
            offer_id=f"o{number}",
            event_time_utc=(NOON + dt.timedelta(minutes=chance.randint(0, 9))).replace(tzinfo=None),
        )
        for number in range(30)
    ]
    day = reconcile(world, proposals, contacts)
    expected = _plain_counts(proposals, contacts)
    assert figures(day) == tuple(expected[name] for name in ("rl", "sent", "none", "different"))
    assert day.unproposed == expected["unproposed"]
    assert day.duplicate_contacts == expected["duplicate_contact"]
    assert day.duplicate_proposals == expected["duplicate_proposal"]


def _plain_counts(proposals: Sequence[Any], contacts: Sequence[Any]) -> Counter[str]:
    counts: Counter[str] = Counter()
    offered: dict[int, str] = {}
    for row in sorted(proposals, key=lambda one: (one["plan_code"] or "", one["model_version"])):
        counts["duplicate_proposal"] += row["subscriber_id"] in offered
        offered.setdefault(row["subscriber_id"], row["plan_code"] or "")
    sent: dict[int, list[str]] = defaultdict(list)
    for row in contacts:
        sent[row["subscriber_id"]].append(row["plan_code"] or "")
    for person, plans in sent.items():
        counts["duplicate_contact"] += len(plans) - 1
        counts["unproposed"] += offered.get(person, "no_offer") == "no_offer"
    for person, plan in offered.items():
        if plan != "no_offer":
            counts["rl"] += 1
            same = plan != "" and plan in sent[person]
            counts["sent" if same else "different" if sent[person] else "none"] += 1
    return counts


def row(kind: str, offers: int, proposed: str = "data_s", sent: str = "none") -> dict[str, Any]:
    names = ("other_discount", "accepted", "margin_usd_cents", "with_expectation")
    sums = dict.fromkeys((*names, "expected_accepted", "expected_margin_usd_cents"), 0)
    keys = {"kind": kind, "proposed_plan": proposed, "sent_plan": sent, "model_version": "7"}
    return {**keys, "offers": offers, **sums}


@pytest.mark.parametrize(
    "rows",
    [
        [row("proposed", 3), row("no_offer", 2)],
        [row("proposed", 2), row("no_offer", 2), row("contact", 1, "none", "data_s")],
    ],
)
def test_counts_that_do_not_close_are_refused(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(ReconciliationError, match="do not add up"):
        summarise_day(rows, GEOGRAPHY, DAY)


def test_the_list_of_unexplained_rows_is_bounded() -> None:
    many = [row("unproposed", 2, "none", f"plan_{n}") for n in range(UNEXPLAINED_ROWS_MAX + 5)]
    day = summarise_day([*many, row("contact", 2 * len(many), "none", "x")], GEOGRAPHY, DAY)
    assert len(day.unexplained) == UNEXPLAINED_ROWS_MAX
    assert day.unexplained_more == 10


@pytest.mark.parametrize("dialect", ["duckdb", "bigquery"])
def test_it_is_one_statement_in_every_dialect(dialect: str) -> None:
    (sql,) = compile_statements(TABLE, dialect).values()
    assert sql == compile_statements(TABLE, dialect)["build"]
    assert ";" not in sql
