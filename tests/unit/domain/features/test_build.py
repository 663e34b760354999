"""Building, reusing and refusing partitions; states carried forward."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.table import BuildPlan, BuildSite, MissingInput
from mlops_assets.domain.ports import PartitionId
from tests.unit.domain.features.feed_world import FeedWorld, day_number, deliver_day, random_dna

PROFILE, FEATURES = FEATURE_TABLES["etl/profile"], FEATURE_TABLES["etl/subscriber_features"]
SUBSCRIBER_TABLES = [name for name in FEATURE_TABLES if "device" not in name]


def test_a_day_is_built_once(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    deliver_day(world, day_number(0))
    first = world.build_all(day_number(0), SUBSCRIBER_TABLES)
    assert {outcome.status for outcome in first.values()} == {"built"}
    second = world.build_all(day_number(0), SUBSCRIBER_TABLES)
    assert {outcome.status for outcome in second.values()} == {"reused"}
    assert [o.manifest for o in second.values()] == [o.manifest for o in first.values()]
    features = first["etl/subscriber_features"].manifest
    assert features is not None
    tables = ("profile", "usage_30d", "topups_30d", "purchases_30d", "offers_30d")
    names = ["feeds/subscribers", "feeds/plans", *(f"etl/{table}" for table in tables)]
    assert set(features.inputs) == {f"{name}[cl {day_number(0)}]" for name in names}


@pytest.mark.parametrize("damage", ["gone", "shorter", "manifest"])
def test_a_damaged_partition_is_built_again(tmp_path: Path, damage: str) -> None:
    world = FeedWorld(tmp_path)
    deliver_day(world, day_number(0))
    table = FEATURE_TABLES["etl/churn_events"]
    built = world.build(table, day_number(0))
    rows = world.rows(table.name, day_number(0))
    path = world.lake.path(built.partition)
    if damage == "gone":
        path.unlink()
    elif damage == "shorter":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.with_name("manifest.json").write_bytes(b"{")
    assert world.build(table, day_number(0)).status == "built"
    assert world.rows(table.name, day_number(0)) == rows
    assert world.build(table, day_number(0)).status == "reused"


def test_a_corrected_feed_makes_what_hangs_on_it_stale(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    deliver_day(world, day_number(0))
    world.build_all(day_number(0), SUBSCRIBER_TABLES)
    world.deliver("topups", day_number(0), [{"subscriber_id": 1, "amount_usd_cents": 777, "channel": "app"}])
    again = world.build_all(day_number(0), SUBSCRIBER_TABLES)
    assert [name for name, outcome in again.items() if outcome.status == "built"] == [
        "etl/topups_30d",
        "etl/subscriber_features",
    ]


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    outcome = world.build(FEATURE_TABLES["etl/usage_30d"], day_number(0))
    assert outcome.status == "missing_input"
    assert outcome.manifest is None
    assert f"feeds/usage[cl {day_number(0)}]" in outcome.detail
    plan = FEATURES.recipe.plan(FEATURES, BuildSite(world.lake, "cl", day_number(0)))
    assert isinstance(plan, MissingInput)
    assert plan.partition == PartitionId("feeds/subscribers", "cl", day_number(0))


def test_a_withdrawn_input_leaves_the_old_partition_and_says_so(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    deliver_day(world, day_number(0))
    built = world.build(FEATURE_TABLES["etl/usage_30d"], day_number(0))
    world.withdraw("feeds/usage", day_number(0))
    outcome = world.build(FEATURE_TABLES["etl/usage_30d"], day_number(0))
    assert outcome.status == "missing_input"
    assert outcome.manifest == built.manifest
    assert "stale" in outcome.detail


def test_an_optional_input_may_be_absent_and_come_later(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    deliver_day(world, day_number(0))
    world.withdraw("feeds/dna", day_number(0))
    outcomes = world.build_all(day_number(0), SUBSCRIBER_TABLES)
    assert [name for name, o in outcomes.items() if o.status != "built"] == ["etl/profile"]
    assert outcomes["etl/profile"].status == "missing_input"
    before = world.rows("etl/subscriber_features", day_number(0))
    world.deliver("dna", day_number(0), random_dna(1))
    world.build(PROFILE, day_number(0))
    assert world.build(FEATURES, day_number(0)).status == "built"
    after = world.rows("etl/subscriber_features", day_number(0))
    assert {row["region"] for row in before.values()} == {None}
    assert None not in {row["region"] for row in after.values()}


def test_an_unreadable_input_leaves_the_old_partition(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    deliver_day(world, day_number(0))
    table = FEATURE_TABLES["etl/churn_events"]
    built = world.build(table, day_number(0))
    before = world.rows(table.name, day_number(0))
    partition = PartitionId("feeds/subscribers", "cl", day_number(0))
    manifest = world.deliver("subscribers", day_number(0), [{"subscriber_id": 1, "status": "churned"}])
    path = world.lake.path(partition)
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(EngineError):
        world.build(table, day_number(0))
    assert manifest.row_count == 1
    assert world.lake.manifest(PartitionId(table.name, "cl", day_number(0))) == built.manifest
    assert world.rows(table.name, day_number(0)) == before


def test_dna_is_carried_over_missing_days_on_any_path(tmp_path: Path) -> None:
    daily, late = FeedWorld(tmp_path / "daily"), FeedWorld(tmp_path / "late")
    deltas = {0: random_dna(0), 1: random_dna(1, share=0.3), 3: random_dna(3, share=0.3), 4: []}
    for number, rows in deltas.items():
        daily.deliver("dna", day_number(number), rows)
        late.deliver("dna", day_number(number), rows)
    for number in range(6):
        outcome = daily.build(PROFILE, day_number(number))
        assert outcome.manifest is not None
        assert outcome.manifest.facts["deltas_read"] == (1 if number in deltas else 0)
    once = late.build(PROFILE, day_number(5))
    assert once.manifest is not None
    assert outcome.manifest is not None
    assert once.manifest.build_key == outcome.manifest.build_key
    rows = daily.rows("etl/profile", day_number(5))
    assert rows == late.rows("etl/profile", day_number(5))
    expected = {
        row["subscriber_id"]: {
            **row,
            "video_affinity": float(np.float32(row["video_affinity"])),  # the profile is stored compactly
            "dna_changed_day": day_number(number),
        }
        for number, delta in deltas.items()
        for row in delta
    }
    assert rows == expected


def test_a_corrected_delta_is_not_carried_on(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    for number in range(3):
        world.deliver("dna", day_number(number), random_dna(number, share=1.0 if number == 0 else 0.3))
        world.build(PROFILE, day_number(number))
    world.deliver("dna", day_number(0), [{"subscriber_id": 99, "region": "west"}])
    outcome = world.build(PROFILE, day_number(2))
    assert outcome.status == "built"
    assert outcome.manifest is not None
    assert outcome.manifest.facts["deltas_read"] == 3
    assert 99 in world.rows("etl/profile", day_number(2))


def test_plan_is_made_without_reading_data(tmp_path: Path) -> None:
    world = FeedWorld(tmp_path)
    deliver_day(world, day_number(0))
    plan = PROFILE.recipe.plan(PROFILE, BuildSite(world.lake, "cl", day_number(0)))
    assert isinstance(plan, BuildPlan)
    assert world.lake.manifest(PartitionId("etl/profile", "cl", day_number(0))) is None
