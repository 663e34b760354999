"""What people and Dagster see of a homologated feed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.homologation import output_types
from mlops_assets.domain.feeds.preview import MASK, preview_rows
from mlops_assets.domain.feeds.schema import find_violations, pandera_schema
from tests.unit.domain.feeds.conftest import World, contract, topup_line, topups_csv, usage_table

USAGE, TOPUPS = contract("usage"), contract("topups")


def test_preview_masks_identifiers(world: World) -> None:
    world.deliver(USAGE, usage_table())
    rows = preview_rows(world.engine, world.lake.path(world.land(USAGE).partition), 3)
    assert len(rows) == 3
    assert {row["subscriber_id"] for row in rows} == {MASK}
    assert {row["calls_onnet"] for row in rows} == {2}


def test_preview_masks_what_it_is_told_in_upper_and_lower_case(world: World) -> None:
    world.deliver(USAGE, usage_table())
    path = world.lake.path(world.land(USAGE).partition)
    shown = preview_rows(world.engine, path, 3, ["CALLS_onnet"])
    assert [(row["calls_onnet"], row["sms_onnet"]) for row in shown] == [(MASK, 1)] * 3


@pytest.mark.parametrize("name", ["usage", "topups"])
def test_published_table_meets_its_schema(world: World, name: str) -> None:
    feed = contract(name)
    world.deliver(feed, usage_table() if feed is USAGE else topups_csv())
    outcome = world.land(feed)
    table = pq.read_table(world.lake.path(outcome.partition))
    assert table.column_names == list(output_types(feed.for_geography(["cl"])))
    path = world.lake.path(outcome.partition)
    assert find_violations(feed.for_geography(["cl"]), world.engine, path) == []


def test_violations_name_column_and_rule_but_no_value(world: World) -> None:
    feed = contract("topups").for_geography(["cl"])
    world.deliver(TOPUPS, topups_csv())
    path = world.lake.path(world.land(TOPUPS).partition)
    table = pq.read_table(path)
    spoilt = {
        "topup_id": pa.array(["same"] * table.num_rows),
        "subscriber_id": table["subscriber_id"].cast(pa.string()),
        "amount_usd_cents": pa.array([-42] * table.num_rows),
        "channel": pa.array([None] + ["pigeon"] * (table.num_rows - 1)),
    }
    for name, column in spoilt.items():
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table.append_column("surplus", pa.array([1] * table.num_rows)), path)
    found = find_violations(feed, world.engine, path)
    assert [line.split("(")[0].strip() for line in found] == [
        "amount_usd_cents: greater_than_or_equal_to",
        "channel: isin",
        "channel: not_nullable",
        "subscriber_id: dtype",
        "subscriber_id: greater_than_or_equal_to",
        "topup_id: multiple_fields_uniqueness",
        "topups: column_in_schema",
    ]
    assert not any(value in " ".join(found) for value in ("-42", "pigeon", "same", "569000"))


def merged_feed(**changes: Any) -> FeedContract:
    """Return a feed whose rows are merged by `id`, with a column `a` beside it."""
    column = {"name": "a", "source": "A", "type": "decimal", **changes}
    fields = {
        "name": "one", "description": "d", "owner": "team:x", "file_pattern": "one_{day}.parquet", "key": ["id"],
        "grain": ["id"], "columns": [{"name": "id", "source": "ID", "type": "integer"}, column],
    }  # fmt: skip
    return FeedContract.model_validate(fields)


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({"merge": "count", "minimum": 100}, [150.0]),
        ({"merge": "sum", "minimum": -10}, [-10.0]),
        ({"merge": "max", "maximum": -5}, [-5.0]),
        ({"merge": "max", "unit": "share", "source_unit": "percent", "minimum": 0.57}, [56.99999999999]),
        ({"merge": "count", "type": "text", "allowed": ["x"]}, ["x"]),
    ],
)
def test_limits_hold_for_delivered_values_and_not_for_what_they_add_up_to(
    world: World, changes: dict[str, Any], values: list[Any]
) -> None:
    feed = merged_feed(**changes)
    rows = [{"ID": number // 2, "A": values[0]} for number in range(20)]
    world.deliver(feed, pa.Table.from_pylist(rows))
    outcome = world.land(feed)
    assert outcome.status == "landed", outcome.findings
    assert outcome.counts.quarantined_total == 0
    assert find_violations(feed, world.engine, world.lake.path(outcome.partition)) == []


def test_schema_names_every_column_of_every_feed() -> None:
    for name in (
        "devices",
        "dna",
        "offers_sent",
        "plan_purchases",
        "plans",
        "subscribers",
        "device_telemetry",
    ):
        feed = contract(name).for_geography(["pe"])
        assert list(pandera_schema(feed).columns) == list(output_types(feed))


def test_topup_lines_are_what_the_contract_names() -> None:
    assert topup_line(1).count(",") == len(TOPUPS.columns) - 1
