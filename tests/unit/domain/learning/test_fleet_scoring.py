"""Daily scores of a fleet: the group's champion where there is one, the pooled one everywhere else."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import RegistryError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.fleet_scoring import FleetDay, score_fleet_day
from mlops_assets.domain.learning.scoring import ScoreOutcome
from mlops_assets.domain.ports import PartitionId, RegisteredVersion
from resources.duckdb_engine import DuckDbEngine
from tests.unit.domain.learning.fleet_world import (
    DECIDED,
    FEATURES,
    SLOT,
    FleetWorld,
    by_heat,
    make_request,
    make_rows,
)

DAY = DECIDED.date() + dt.timedelta(days=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetWorld:
    """Arda and boreal are alike, delta has a champion of its own."""
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    made = FleetWorld(tmp_path)
    made.train_with_cold_delta(devices=30)
    return made


def publish_day(world: FleetWorld, groups: list[str | None], **columns: Any) -> None:
    """Publish a device per group, all of the same heat; columns replace a feature's values."""
    rows = pa.table(
        {
            "device_id": [f"d{number}" for number in range(len(groups))],
            "heat": pa.array([2.0] * len(groups)),
            "load": pa.array([0.0] * len(groups)),
            "age": pa.array([0.0] * len(groups)),
            "firmware": pa.array(["f1"] * len(groups)),
            "device_group": pa.array(groups, pa.string()),
        }
        | columns
    )
    partition = PartitionId("etl/device_features", "cl", DAY)
    with world.lake.write(
        partition, stable_hash([groups, {k: str(v) for k, v in columns.items()}])
    ) as writer:
        pq.write_table(rows, writer.file("data"))
        writer.commit(row_count=len(groups))


def score(
    world: FleetWorld, engine: DuckDbEngine, **changes: Any
) -> tuple[ScoreOutcome, list[dict[str, Any]]]:
    request = make_request()
    fleet = FleetDay(SLOT, request.corpus, request.model.model_copy(update=changes), DAY)
    outcome = score_fleet_day(
        fleet, lake=world.lake, engine=engine, registry=world.registry, ledger=world.ledger
    )
    path = world.lake.path(outcome.partition) if outcome.manifest else None
    return outcome, pq.read_table(path).to_pylist() if path else []


def test_each_row_is_scored_by_its_groups_champion(world: FleetWorld, engine: DuckDbEngine) -> None:
    publish_day(world, ["arda", "delta", "a new group", None])
    outcome, rows = score(world, engine)
    assert outcome.status == "scored"
    by_key = {row["device_id"]: row for row in rows}
    makers = [by_key[f"d{number}"]["model_segment"] for number in range(4)]
    assert makers == ["cl", "cl.delta", "cl", "cl"]
    assert by_key["d0"]["score"] > 0.8, "heat is dangerous"
    assert by_key["d1"]["score"] < 0.5, "to delta it is not"
    assert by_key["d3"]["device_group"] is None
    assert outcome.manifest is not None
    assert outcome.manifest.facts["groups_with_own_model"] == 1
    assert score(world, engine)[0].status == "reused"


def test_a_device_that_moved_is_scored_by_its_group_of_the_day(
    world: FleetWorld, engine: DuckDbEngine
) -> None:
    publish_day(world, ["arda"])
    before = score(world, engine)[1][0]
    publish_day(world, ["delta"])
    after = score(world, engine)[1][0]
    assert (before["model_segment"], after["model_segment"]) == ("cl", "cl.delta")
    assert before["score"] > after["score"]


@pytest.mark.parametrize(
    "changes",
    [
        {"firmware": pa.array(["never seen", "f2"])},
        {name: pa.array([None, None], pa.float64()) for name in FEATURES[:3]},
    ],
    ids=["new firmware", "all values missing"],
)
def test_values_that_training_never_met_are_scored(
    world: FleetWorld, engine: DuckDbEngine, changes: dict[str, pa.Array]
) -> None:
    publish_day(world, ["arda", "delta"], **changes)
    _, rows = score(world, engine)
    assert all(0.0 < row["score"] < 1.0 for row in rows)


def test_a_group_model_that_is_damaged_leaves_its_rows_to_the_pooled_one(
    world: FleetWorld, engine: DuckDbEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_day(world, ["arda", "delta"])
    for run in world.registry.runs.values():
        if run.logged_tags.get("group") == "delta":
            run.files = {name: content + b" " for name, content in run.files.items()}
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    outcome, rows = score(world, engine)
    assert {row["model_segment"] for row in rows} == {"cl"}
    assert "not loadable: cl.delta" in outcome.detail
    assert score(world, engine)[0].status == "reused"


def test_a_group_model_that_can_be_loaded_again_scores_the_day_anew(
    world: FleetWorld, engine: DuckDbEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_day(world, ["arda", "delta"])
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    download = world.registry.download

    def download_pooled(version: RegisteredVersion, target: Path) -> Path:
        if version.name != SLOT.registered_name:
            raise RegistryError("the registry does not answer", where=version.name)
        return download(version, target)

    with monkeypatch.context() as away:
        away.setattr(world.registry, "download", download_pooled)
        before = score(world, engine)[0].manifest
    outcome, rows = score(world, engine)
    assert before is not None
    assert outcome.manifest is not None
    assert (before.facts["groups_failed"], outcome.manifest.facts["groups_failed"]) == (["cl.delta"], [])
    assert {row["model_segment"] for row in rows} == {"cl", "cl.delta"}
    assert before.build_key != outcome.manifest.build_key, "alerts and matches are made anew as well"


def test_alerts_of_the_day_are_ranked(world: FleetWorld, engine: DuckDbEngine) -> None:
    heat = pa.array([0.0, 3.0, 2.0, -3.0, 2.5])
    publish_day(world, ["arda"] * 5, heat=heat)
    alerts = {"missed_event_usd": 100, "false_alarm_usd": 100, "capacity_per_day": 2}
    spec = make_request().model.model_validate(
        make_request().model.model_dump(mode="json") | {"alerts": alerts, "calibrate": True}
    )
    _, rows = score(world, engine, alerts=spec.alerts)
    ranked = {row["device_id"]: row["alert_rank"] for row in rows}
    assert ranked == {"d0": None, "d1": 1, "d2": None, "d3": None, "d4": 2}
    assert [row["is_alert"] for row in sorted(rows, key=lambda row: str(row["device_id"]))] == [
        False, True, False, False, True,
    ]  # fmt: skip


def test_without_champion_or_features_nothing_is_scored(tmp_path: Path, engine: DuckDbEngine) -> None:
    empty = FleetWorld(tmp_path)
    assert score(empty, engine)[0].status == "no_champion"
    empty.publish([make_rows("arda", by_heat), make_rows("boreal", by_heat, seed=1)])
    empty.train_pooled()
    assert score(empty, engine)[0].status == "missing_input"


def test_a_day_without_devices_has_no_rows(world: FleetWorld, engine: DuckDbEngine) -> None:
    publish_day(world, [])
    outcome, rows = score(world, engine)
    assert (outcome.status, rows) == ("scored", [])
    assert np.dtype("float64") == np.dtype(
        pq.read_table(world.lake.path(outcome.partition))["score"].type.to_pandas_dtype()
    )
