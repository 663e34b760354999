"""Offer catalogues in YAML, their rules, and who is eligible for what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.features.subscriber_features import SUBSCRIBER_FEATURES
from mlops_assets.domain.features.table import empty_arrow
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.offers.catalogue_spec import OfferCatalogueSpec
from mlops_assets.domain.offers.eligibility import (
    EligibilityPlan,
    eligible,
    plan_eligibility,
    unbound_views,
)
from mlops_assets.domain.offers.eligibility_check import check_rule
from mlops_assets.domain.offers.eligibility_syntax import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_LIST,
    Between,
    Junction,
    Rule,
    RuleSyntaxError,
    parse_rule,
)
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.table_sql import compile_sql
from tests.unit.domain.features.feed_world import GEOGRAPHY, FeedWorld, day_number
from tests.unit.domain.offers.eligible_offers import read_eligible

KNOWN_DAY, OFFER_DAY = day_number(40), day_number(41)
PLANS = [
    {"plan_code": "data_m", "price_usd_cents": 525, "margin_usd_cents": 320, "validity_days": 15},
    {"plan_code": "booster_1gb", "price_usd_cents": 105, "margin_usd_cents": 70, "validity_days": 3},
]
PLAN_COLUMNS = {
    "plan_code": "text",
    "price_usd_cents": "integer",
    "margin_usd_cents": "integer",
    "validity_days": "integer",
}
YAML = """
plans:
  - plan_code: data_m
    discounts: [0, 0.1]
    eligible: "status = 'active' and days_to_expiry between 0 and 7"
  - plan_code: booster_1gb
    eligible: "data_trend_ratio > 1.5 or is_4g_capable = 0"
  - plan_code: withdrawn
contact_policy: {contacts_max: 2, window_days: 14, cool_down_days: 3, quiet_weekdays: [sunday]}
budget: {discount_usd_per_day: 500, contacts_per_day: 20000}
fairness: [{by: region, contact_ratio_max: 1.5}]
"""


def load(text: str = YAML, **changes: Any) -> OfferCatalogueSpec:
    return OfferCatalogueSpec.model_validate({**yaml.safe_load(text), **changes})


def publish(
    world: FeedWorld,
    people: Iterable[Mapping[str, Any]],
    contacts: Mapping[int, Iterable[int]] | None = None,
    plans: list[dict[str, Any]] = PLANS,
) -> None:
    """Publish snapshot and catalogue of KNOWN_DAY; `contacts`: days before the offer to people contacted."""
    rows = pa.Table.from_pylist(
        [{name: row.get(name) for name in SUBSCRIBER_FEATURES.columns} for row in people],
        schema=empty_arrow(SUBSCRIBER_FEATURES.column_types).schema,
    )
    partition = PartitionId(SUBSCRIBER_FEATURES.name, GEOGRAPHY, KNOWN_DAY)
    with world.lake.write(partition, stable_hash([str(rows.to_pydict())])) as writer:
        pq.write_table(rows, writer.file("data"))
        writer.commit(row_count=rows.num_rows)
    world.deliver("plans", KNOWN_DAY, plans, PLAN_COLUMNS)
    for back, ids in ({1: ()} | dict(contacts or {})).items():
        sent = [{"subscriber_id": one} for one in ids]
        day = OFFER_DAY - dt.timedelta(days=back)
        world.deliver("offers_sent", day, sent, {"subscriber_id": "integer"})


def offers(
    world: FeedWorld, spec: OfferCatalogueSpec, *, day: dt.date = OFFER_DAY
) -> dict[int, list[tuple[str, float]]]:
    plan = plan_eligibility(spec, GEOGRAPHY, OFFER_DAY, lake=world.lake)
    plan = EligibilityPlan(day, plan.views, plan.missing_days)
    found: dict[int, list[tuple[str, float]]] = {}
    for row in read_eligible(spec, plan, world):
        found.setdefault(row["subscriber_id"], []).append((row["plan_code"], row["discount_share"]))
    return {person: sorted(actions) for person, actions in found.items()}


NO_OFFER = ("no_offer", 0.0)
ACTIVE = {"status": "active", "days_to_expiry": 3, "data_trend_ratio": 1.0, "is_4g_capable": True}


def test_rules_decide_who_gets_what(world: FeedWorld) -> None:
    people = [
        {**ACTIVE, "subscriber_id": 1},
        {**ACTIVE, "subscriber_id": 2, "days_to_expiry": 8},
        {**ACTIVE, "subscriber_id": 3, "days_to_expiry": 8, "data_trend_ratio": 2.0},
        {**ACTIVE, "subscriber_id": 4, "is_4g_capable": False},
    ]
    publish(world, people)
    booster, data = ("booster_1gb", 0.0), [("data_m", 0.0), ("data_m", 0.1)]
    expected = {1: [*data, NO_OFFER], 2: [NO_OFFER], 3: [booster, NO_OFFER], 4: [booster, *data, NO_OFFER]}
    assert offers(world, load()) == expected


def test_prices_are_those_of_the_catalogue_of_the_day(world: FeedWorld) -> None:
    publish(world, [{**ACTIVE, "subscriber_id": 1}])
    spec = load()
    plan = plan_eligibility(spec, GEOGRAPHY, OFFER_DAY, lake=world.lake)
    rows = {(row["plan_code"], row["discount_share"]): row for row in read_eligible(spec, plan, world)}
    cheap = rows["data_m", 0.1]
    assert (cheap["price_usd_cents"], cheap["discount_usd_cents"], cheap["margin_usd_cents"]) == (
        525,
        53,
        267,
    )
    assert cheap["validity_days"] == 15
    none = rows[NO_OFFER]
    assert (none["price_usd_cents"], none["margin_usd_cents"], none["validity_days"]) == (0, 0, None)


def test_a_withdrawn_plan_is_nobodys(world: FeedWorld) -> None:
    publish(world, [{**ACTIVE, "subscriber_id": 1}], plans=PLANS[1:])
    assert offers(world, load()) == {1: [NO_OFFER]}


@pytest.mark.parametrize("spec", [OfferCatalogueSpec(), load(plans=[])])
def test_an_empty_catalogue_leaves_no_offer(world: FeedWorld, spec: OfferCatalogueSpec) -> None:
    publish(world, [{**ACTIVE, "subscriber_id": 1}, {**ACTIVE, "subscriber_id": 2}])
    assert offers(world, spec) == {1: [NO_OFFER], 2: [NO_OFFER]}


def test_nothing_sold_leaves_no_offer(world: FeedWorld) -> None:
    publish(world, [{**ACTIVE, "subscriber_id": 1}], plans=[])
    assert offers(world, load()) == {1: [NO_OFFER]}


def test_a_prospect_without_history_gets_what_no_unknown_column_forbids(world: FeedWorld) -> None:
    publish(world, [{"subscriber_id": 1, "status": "prospect"}])
    assert offers(world, load()) == {1: [NO_OFFER]}
    free = load(plans=[{"plan_code": "data_m", "eligible": "status = 'prospect' or tenure_days > 30"}])
    assert offers(world, free) == {1: [("data_m", 0.0), NO_OFFER]}
    negated = load(plans=[{"plan_code": "data_m", "eligible": "not tenure_days > 30"}])
    assert offers(world, negated) == {1: [NO_OFFER]}, "not unknown is unknown"


def test_the_common_rule_binds_every_plan(world: FeedWorld) -> None:
    publish(world, [{**ACTIVE, "subscriber_id": 1, "region": "north"}, {**ACTIVE, "subscriber_id": 2}])
    spec = load(eligible="region not in ('south')")
    assert offers(world, spec) == {1: [("data_m", 0.0), ("data_m", 0.1), NO_OFFER], 2: [NO_OFFER]}


def test_contact_policy(world: FeedWorld) -> None:
    contacts = {2: [1], 3: [2, 5], 13: [3, 5], 14: [4], 10: [4]}
    publish(world, [{**ACTIVE, "subscriber_id": one} for one in range(1, 6)], contacts)
    may = {person for person, actions in offers(world, load()).items() if actions != [NO_OFFER]}
    # 1: two days after a contact; 5: two contacts within fourteen days; 4: its older one is out of the window
    assert may == {2, 3, 4}


def test_no_window_holds_more_contacts_than_the_cap(world: FeedWorld) -> None:
    """Contact whenever it is allowed, for twelve days; then look at every window."""
    spec = load(contact_policy={"contacts_max": 2, "window_days": 5, "cool_down_days": 2})
    contacted: list[int] = []
    for today in range(12):
        history = {back: [1] if today - back in contacted else [] for back in range(1, 5)}
        publish(world, [{**ACTIVE, "subscriber_id": 1}], history)
        if offers(world, spec)[1] != [NO_OFFER]:
            contacted.append(today)
    assert max(sum(start <= day < start + 5 for day in contacted) for start in range(12)) == 2
    assert min(later - earlier for earlier, later in pairwise(contacted)) == 2


def test_nobody_is_contacted_on_a_quiet_day(world: FeedWorld) -> None:
    publish(world, [{**ACTIVE, "subscriber_id": 1}])
    sunday = OFFER_DAY + dt.timedelta(days=6 - OFFER_DAY.weekday())
    assert offers(world, load(), day=sunday) == {1: [NO_OFFER]}
    spec = load(contact_policy={"quiet_days": [OFFER_DAY.isoformat()]})
    assert offers(world, spec) == {1: [NO_OFFER]}


def test_missing_contact_logs_are_named_and_missing_features_refused(world: FeedWorld) -> None:
    publish(world, [{**ACTIVE, "subscriber_id": 1}], {3: [1]})
    plan = plan_eligibility(load(), GEOGRAPHY, OFFER_DAY, lake=world.lake)
    expected = [OFFER_DAY - dt.timedelta(days=back) for back in range(13, 0, -1) if back not in (1, 3)]
    assert list(plan.missing_days) == expected
    world.withdraw("feeds/plans", KNOWN_DAY)
    with pytest.raises(TableInputError, match="feeds/plans"):
        plan_eligibility(load(), GEOGRAPHY, OFFER_DAY, lake=world.lake)


@pytest.mark.parametrize("dialect", ["duckdb", "bigquery"])
def test_it_compiles_for_every_engine(dialect: str) -> None:
    assert "no_offer" in compile_sql(eligible(load(), unbound_views(load())), dialect)


# ---------------------------------------------------------------- the catalogue's own checks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plans": [{"plan_code": "no_offer"}]}, "reserved word"),
        ({"plans": [{"plan_code": "a"}, {"plan_code": "a"}]}, "listed twice: a"),
        ({"plans": [{"plan_code": "a", "discounts": [0.1, 0.1]}]}, "a discount twice"),
        ({"plans": [{"plan_code": "a", "discounts": [1.0]}]}, "less than 1"),
        ({"plans": [{"plan_code": "a", "eligible": "price > 1"}]}, "no column `price`"),
        ({"eligible": "n_offers >"}, "character 11"),
        ({"contact_policy": {"contacts_max": 0}}, "greater than or equal to 1"),
        ({"budget": {"discount_usd_per_day": -1}}, "greater than or equal to 0"),
        ({"fairness": [{"by": "age_years", "contact_ratio_max": 2}]}, "not a text or boolean"),
        ({"surprise": 1}, "Extra inputs"),
    ],
)
def test_a_catalogue_that_cannot_be_meant_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        load(**changes)


# ---------------------------------------------------------------- the rules' grammar


def test_and_binds_stronger_than_or() -> None:
    rule = parse_rule("n_offers = 1 or n_offers = 2 and not n_boosters between 1 and 3")
    assert isinstance(rule, Junction)
    assert not rule.is_all
    inner = rule.parts[1]
    assert isinstance(inner, Junction)
    assert inner.is_all
    grouped = parse_rule("(n_offers = 1 OR n_offers = 2) AND n_boosters not between 1 and 3")
    assert isinstance(grouped, Junction)
    assert grouped.is_all
    last = grouped.parts[1]
    assert isinstance(last, Between)
    assert last.is_negated


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 1, "a column"),
        ("n_offers", 9, "a comparison, in, or between"),
        ("n_offers == 1", 11, "a number or a 'string'"),
        ("n_offers = 1 +", 14, "has no meaning"),
        ("n_offers = 1e9", 12, "has no meaning"),
        ("n_offers = 1 2", 14, "and, or, or the end"),
        ("status = 'active", 10, "has no meaning"),
        ('status = "active"', 10, "has no meaning"),
        ("n_offers.__class__ = 1", 9, "has no meaning"),
        ("__import__('os')", 11, "a comparison"),
        ("(n_offers = 1", 14, "expected: )"),
        ("n_offers not = 1", 14, "in or between"),
        ("n_offers in ()", 14, "a number or"),
        ("n_offers between 1 or 2", 20, "and, with the upper end"),
        ("and = 1", 1, "a column"),
        ("n_offer = 1", 1, "such as n_offers"),
        ("subscriber_id = 1", 1, "no column `subscriber_id`"),
        ("status = 1", 1, "text and cannot be compared with 1"),
        ("n_offers = 'one'", 1, "number and cannot be compared with 'one'"),
        ("status < 'b'", 1, "no order"),
        ("is_4g_capable = 2", 1, "1 for true or 0"),
        ("n_offers = status", 1, "cannot be compared with `status`"),
        ("n_offers = 1 and n_offers between 5 and 2", 18, "which is nowhere"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_position(text: str, position: int, message: str) -> None:
    with pytest.raises(RuleSyntaxError) as caught:
        check_rule(text)
    assert message in str(caught.value)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "text",
    [
        "n_offers = 1" + " " * MAX_LENGTH,
        "(" * (MAX_DEPTH + 1) + "n_offers = 1" + ")" * (MAX_DEPTH + 1),
        "not " * (MAX_DEPTH + 1) + "n_offers = 1",
        " or ".join(["n_offers=1"] * (MAX_CONDITIONS + 1)),
        f"n_offers in ({','.join('1' * (MAX_LIST + 1))})",
    ],
)
def test_limits_hold(text: str) -> None:
    with pytest.raises(RuleSyntaxError):
        check_rule(text)


_WORDS = st.sampled_from(
    [
        *("n_offers", "status", "is_4g_capable", "and", "or", "not", "in", "between"),
        *("(", ")", ",", "=", "<", "!=", "1", "-0.5", "'a'", "''''"),
        *("__import__", "os.system", "'; DROP TABLE x; --'", "{{7*7}}", "lambda:0", "\0"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(_WORDS, max_size=14).map(" ".join)))
def test_any_text_is_a_rule_or_our_error(text: str) -> None:
    """Nothing else ever comes out, and an accepted rule holds nothing but documented columns and literals."""
    found = outcome_of(text)
    if isinstance(found, int):
        assert 1 <= found <= len(text) + 1
        return
    spec = OfferCatalogueSpec(eligible=text)
    assert compile_sql(eligible(spec, unbound_views(spec)), "duckdb")


def outcome_of(text: str) -> Rule | int:
    """Return the rule, or the position of our error; any other exception ends the test."""
    try:
        return check_rule(text)
    except RuleSyntaxError as error:
        return error.position


@pytest.mark.parametrize("value", ["it's", "'; DROP TABLE plans; --", "a\\' or 1=1", "%", "ñ"])
def test_strings_stay_strings(world: FeedWorld, value: str) -> None:
    publish(
        world,
        [{**ACTIVE, "subscriber_id": 1, "region": value}, {**ACTIVE, "subscriber_id": 2, "region": "x"}],
    )
    quoted = value.replace("'", "''")
    spec = load(plans=[{"plan_code": "data_m", "eligible": f"region = '{quoted}'"}])
    assert offers(world, spec) == {1: [("data_m", 0.0), NO_OFFER], 2: [NO_OFFER]}
