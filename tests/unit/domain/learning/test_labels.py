"""Labels by filters, sums, days until the first event, and answers of those who were asked: against plain Python."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.table import empty_arrow
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.corpus import CorpusRequest, build_corpus
from mlops_assets.domain.learning.label_text import describe_label
from mlops_assets.domain.learning.spec import ColumnLabel, CorpusSpec, EventLabel, ModelSpec
from mlops_assets.domain.ports import PartitionId
from tests.unit.domain.features.feed_world import FeedWorld, day_number

PEOPLE = range(1, 31)
LAST, HORIZON = 20, 5
AS_OFS = (5, 10, 15)
CORPUS = {
    "table": "etl/subscriber_features",
    "entity_key": "subscriber_id",
    "min_history_days": 3,
    "split": {"kind": "time", "as_of_every_days": 5, "train_as_ofs": 1},
}
Rows = list[dict[str, int]]


def purchases(number: int) -> Rows:
    """Return one row for each of some people: boosters and plans bought, and what was paid."""
    chance = random.Random(number)  # noqa: S311 - test data
    return [
        {
            "subscriber_id": person,
            "n_plans": chance.randint(0, 2),
            "n_boosters": chance.randint(0, 2),
            "purchase_usd_cents": chance.randint(1, 900),
        }
        for person in PEOPLE
        if chance.random() < 0.2
    ]


def publish(world: FeedWorld, table: str, number: int, rows: Rows) -> None:
    schema = empty_arrow(FEATURE_TABLES[table].column_types).schema
    partition = PartitionId(table, "cl", day_number(number))
    with world.lake.write(partition, stable_hash([number, rows])) as writer:
        filled = [{name: row.get(name) for name in schema.names} for row in rows]
        pq.write_table(pa.Table.from_pylist(filled, schema=schema), writer.file("data"))
        writer.commit(row_count=len(rows))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> FeedWorld:
    """Thirty people on three as-of days, and their purchases."""
    world = FeedWorld(tmp_path_factory.mktemp("labels"))
    for number in AS_OFS:
        rows = [{"subscriber_id": person, "n_topups": person % 4} for person in PEOPLE]
        publish(world, "etl/subscriber_features", number, rows)
    for number in range(AS_OFS[0] + 1, LAST + 1):
        publish(world, "etl/purchases_daily", number, purchases(number))
    return world


def label_by_row(world: FeedWorld, name: str, **label: Any) -> dict[tuple[int, int], float]:
    """Return the labels of a corpus by as-of day (counted from the first) and person."""
    event = {"kind": "event", "table": "etl/purchases_daily", "horizon_days": HORIZON, **label}
    is_number = EventLabel.model_validate(event).is_number
    model = {
        "task": "regression" if is_number else "binary",
        "label": event,
        "features": ["n_topups"],
        "algorithms": {"dummy": {}},
        "metric": "mae" if is_number else "roc_auc",
    }
    wanted = CorpusRequest(
        "offers", name, CorpusSpec.model_validate(CORPUS), ModelSpec.model_validate(model), "cl"
    )
    outcome = build_corpus(
        wanted, as_of_day=day_number(LAST), first_day=day_number(0), lake=world.lake, engine=world.engine
    )
    rows = pq.read_table(world.lake.path(outcome.partition)).to_pylist()
    numbers = {day_number(number): number for number in AS_OFS}
    return {(numbers[row["as_of_day"]], row["subscriber_id"]): row["label"] for row in rows}


def in_window(number: int, person: int) -> list[tuple[int, dict[str, int]]]:
    """Return days ahead and row of everything that a person bought within the horizon."""
    return [
        (ahead, row)
        for ahead in range(1, HORIZON + 1)
        for row in purchases(number + ahead)
        if row["subscriber_id"] == person
    ]


KEYS = [(number, person) for number in AS_OFS for person in PEOPLE]


def test_only_rows_with_one_of_the_values_count(world: FeedWorld) -> None:
    found = label_by_row(world, "where", where={"n_plans": ["1", "2"], "n_boosters": ["0"]})
    expected = {
        key: int(any(row["n_plans"] > 0 and row["n_boosters"] == 0 for _, row in in_window(*key)))
        for key in KEYS
    }
    assert found == expected
    assert 0 < sum(expected.values()) < len(KEYS)


def test_values_are_summed_and_nothing_is_zero(world: FeedWorld) -> None:
    found = label_by_row(world, "sum", value="purchase_usd_cents", where={"n_plans": ["2"]})
    expected = {
        key: sum(row["purchase_usd_cents"] for _, row in in_window(*key) if row["n_plans"] == 2)
        for key in KEYS
    }
    assert found == expected
    assert 0 in expected.values()


def test_days_until_the_first_row_end_at_the_horizon(world: FeedWorld) -> None:
    found = label_by_row(world, "days", days_until_first=True, where={"n_boosters": ["1", "2"]})
    expected = {
        key: min((ahead for ahead, row in in_window(*key) if row["n_boosters"]), default=HORIZON)
        for key in KEYS
    }
    assert found == expected
    assert {1, HORIZON} <= set(expected.values())


def test_only_those_asked_have_a_label_and_only_what_was_asked_counts(world: FeedWorld) -> None:
    """A person whose only plan came with too few boosters was not asked; an answer elsewhere is none."""
    found = label_by_row(world, "given", given={"at_least": {"n_boosters": 1}}, where={"n_plans": ["1", "2"]})
    asked = {key: [row for _, row in in_window(*key) if row["n_boosters"] >= 1] for key in KEYS}
    expected = {key: int(any(row["n_plans"] for row in rows)) for key, rows in asked.items() if rows}
    assert found == expected
    assert len(expected) < len(KEYS)
    assert 0 < sum(expected.values()) < len(expected)
    others = {key for key in expected if not expected[key] and any(r["n_plans"] for _, r in in_window(*key))}
    assert others, "nobody answered beside the question; the world does not test it"


def test_any_row_is_enough_where_no_condition_is_given(world: FeedWorld) -> None:
    found = label_by_row(world, "given_any", given={}, where={"n_plans": ["2"]})
    assert set(found) == {key for key in KEYS if in_window(*key)}


def test_values_and_days_of_those_asked(world: FeedWorld) -> None:
    given = {"one_of": {"n_boosters": ["2"]}}
    asked = {key: [(a, r) for a, r in in_window(*key) if r["n_boosters"] == 2] for key in KEYS}
    paid = {key: sum(row["purchase_usd_cents"] for _, row in rows) for key, rows in asked.items() if rows}
    assert label_by_row(world, "given_sum", given=given, value="purchase_usd_cents") == paid
    days = {
        key: min((a for a, row in rows if row["n_plans"] == 0), default=HORIZON)
        for key, rows in asked.items()
        if rows
    }
    found = label_by_row(world, "given_days", given=given, days_until_first=True, where={"n_plans": ["0"]})
    assert found == days


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ({}, "a row in feeds/offers_sent within 7 days"),
        (
            {"value": "discount_usd_cents"},
            "sum of discount_usd_cents over the rows in feeds/offers_sent within 7 days",
        ),
        (
            {"days_until_first": True, "where": {"channel": ["sms", "push"]}},
            "days until the first row (7 without any) in feeds/offers_sent with channel one of sms, push within 7 days",
        ),
        ({"given": {}}, "a row in feeds/offers_sent within 7 days, among those with a row there"),
        (
            {
                "where": {"is_accepted": ["true"]},
                "given": {"one_of": {"channel": ["sms"]}, "at_least": {"discount_usd_cents": 1}},
            },
            (
                "a row in feeds/offers_sent with is_accepted one of true within 7 days, among those with a row there "
                "with channel one of sms; discount_usd_cents at least 1"
            ),
        ),
    ],
)
def test_label_in_words(label: dict[str, Any], text: str) -> None:
    event = {"table": "feeds/offers_sent", "horizon_days": 7, **label}
    assert describe_label(EventLabel.model_validate(event)) == text


def test_column_label_in_words() -> None:
    assert describe_label(ColumnLabel(column="churn")) == "column churn"


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ({"value": "price_usd_cents", "days_until_first": True}, "a model has one"),
        ({"where": {"plan_code": []}}, "`where` names no value of plan_code"),
        ({"given": {"one_of": {"plan_code": []}}}, "`one_of` names no value of plan_code"),
    ],
)
def test_label_that_asks_nothing_or_two_things_is_refused(label: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        EventLabel.model_validate({"table": "feeds/plan_purchases", "horizon_days": 7, **label})
