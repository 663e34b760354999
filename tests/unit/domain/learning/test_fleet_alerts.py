"""The day's alerts: order, expected saving, reasons against the usual values of the group."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.dataset import CategoryColumn, Dataset, dataset_from_arrow
from mlops_assets.domain.learning.fleet_alerts import (
    AlertOutcome,
    AlertStores,
    expected_saving_usd,
    publish_alerts,
    read_alerts,
)
from mlops_assets.domain.learning.fleet_reasons import explain_scores, usual_values
from mlops_assets.domain.learning.fleet_scoring import FleetDay, score_fleet_day
from mlops_assets.domain.learning.spec import AlertSpec, ModelSpec
from mlops_assets.domain.ports import PartitionId
from resources.duckdb_engine import DuckDbEngine
from tests.unit.domain.learning.fleet_world import (
    DECIDED,
    SLOT,
    FleetWorld,
    make_request,
)

DAY = DECIDED.date() + dt.timedelta(days=1)
ALERTS = {"missed_event_usd": 200, "false_alarm_usd": 200, "capacity_per_day": 3}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetWorld:
    """Arda and boreal fail with heat by the pooled champion, delta with cold by its own."""
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    made = FleetWorld(tmp_path)
    made.train_with_cold_delta(devices=30)
    return made


def spec_with_alerts(**changes: Any) -> ModelSpec:
    document = make_request().model.model_dump(mode="json")
    return ModelSpec.model_validate(document | {"alerts": ALERTS | changes, "calibrate": True})


def fleet_day(**changes: Any) -> FleetDay:
    return FleetDay(SLOT, make_request().corpus, spec_with_alerts(**changes), DAY)


def publish(world: FleetWorld, heat: Sequence[tuple[str, float]], engine: DuckDbEngine) -> AlertOutcome:
    """Publish and score a day of devices with group and heat, and make its alerts."""
    rows = pa.table(
        {
            "device_id": [f"d{number}" for number in range(len(heat))],
            "heat": pa.array([one for _, one in heat]),
            "load": pa.array([0.0] * len(heat)),
            "age": pa.array([0.0] * len(heat)),
            "firmware": ["f1"] * len(heat),
            "device_group": [group for group, _ in heat],
        }
    )
    partition = PartitionId("etl/device_features", "cl", DAY)
    with world.lake.write(partition, stable_hash([*heat])) as writer:
        pq.write_table(rows, writer.file("data"))
        writer.commit(row_count=len(heat))
    stores = AlertStores(world.lake, engine, world.registry, world.ledger)
    score_fleet_day(fleet_day(), lake=world.lake, engine=engine, registry=world.registry, ledger=world.ledger)
    return publish_alerts(fleet_day(), stores)


CALM = [("arda", -1.0)] * 5 + [("delta", 0.0)] * 5


def test_alerts_come_by_expected_saving_with_the_value_that_raised_them(
    world: FleetWorld, engine: DuckDbEngine
) -> None:
    outcome = publish(world, [*CALM, ("arda", 1.0), ("delta", -4.0), ("arda", 3.0), ("delta", -3.0)], engine)
    rows = read_alerts(world.lake, outcome.partition)
    assert [row["alert_rank"] for row in rows] == [1, 2, 3], "the team's capacity"
    savings = [row["saving_usd"] for row in rows]
    assert savings == sorted(savings, reverse=True)
    assert savings[-1] > 0
    assert rows[0]["device_id"] == "d12"
    assert {row["device_id"] for row in rows} == {"d10", "d11", "d12"}
    assert {row["device_id"]: row["model_segment"] for row in rows}["d11"] == "cl.delta"
    for row in rows:
        assert [one["feature"] for one in row["reasons"]] == ["heat"], "nothing else differs"
    reason = rows[0]["reasons"][0]
    assert (reason["value"], reason["usual"]) == ("3", "-1")
    assert 0.3 < reason["score_drop"] <= rows[0]["score"]
    assert outcome.manifest is not None
    assert outcome.manifest.facts["worth"] == 4, "one more was worth it, beyond the capacity"


def test_a_day_is_published_once_and_again_if_costs_change(world: FleetWorld, engine: DuckDbEngine) -> None:
    assert publish(world, [*CALM, ("arda", 3.0)], engine).status == "built"
    stores = AlertStores(world.lake, engine, world.registry, world.ledger)
    assert publish_alerts(fleet_day(), stores).status == "reused"
    assert publish_alerts(fleet_day(false_alarm_usd=10), stores).status == "built"


def test_without_scores_there_is_no_list(world: FleetWorld, engine: DuckDbEngine) -> None:
    stores = AlertStores(world.lake, engine, world.registry, world.ledger)
    outcome = publish_alerts(fleet_day(), stores)
    assert outcome.status == "missing_input"
    assert "scores/network_event/failure[cl 2026-03-14]" in outcome.detail
    assert world.lake.manifest(outcome.partition) is None


def test_a_calm_day_has_an_empty_list(world: FleetWorld, engine: DuckDbEngine) -> None:
    outcome = publish(world, CALM, engine)
    assert outcome.manifest is not None
    assert (outcome.manifest.row_count, outcome.manifest.facts["scored"]) == (0, 10)
    assert read_alerts(world.lake, outcome.partition) == []


@pytest.mark.parametrize("regions", [["south", "north", "west"], ["north", "west", "south"]])
def test_of_equally_common_words_the_first_is_usual(regions: list[str]) -> None:
    """Whatever the order in which rows are read: reasons must not depend on it."""
    column = CategoryColumn(np.array([0, 1, 1, 0, 2], dtype=np.int32), tuple(regions))
    peers = Dataset(
        ("region",), np.zeros((5, 0), np.float32), {"region": column}, y=np.zeros(5), keys=np.arange(5)
    )
    usual = usual_values(peers).codes["region"]
    assert column.vocabulary[usual] == "north"


def test_a_model_that_cannot_be_loaded_leaves_its_alerts_without_reason(
    world: FleetWorld, engine: DuckDbEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(world, [*CALM, ("arda", 3.0), ("delta", -4.0)], engine)
    runs = [run for run in world.registry.runs.values() if run.logged_tags.get("group") == "delta"]
    intact = {run.run_id: run.files for run in runs}
    for run in runs:
        run.files = {name: content + b" " for name, content in run.files.items()}
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    world.lake.remove(PartitionId("alerts/network_event/failure", "cl", DAY))
    stores = AlertStores(world.lake, engine, world.registry, world.ledger)
    outcome = publish_alerts(fleet_day(), stores)
    reasons = {row["device_id"]: row["reasons"] for row in read_alerts(world.lake, outcome.partition)}
    assert reasons["d11"] == []
    assert reasons["d10"] != []
    assert outcome.manifest is not None
    assert outcome.manifest.facts["not_loadable"] == ["cl.delta"]
    for run in runs:
        run.files = intact[run.run_id]
    again = publish_alerts(fleet_day(), stores)
    assert all(row["reasons"] for row in read_alerts(world.lake, again.partition)), "it can be loaded again"


def test_an_alert_at_the_threshold_saves_nothing() -> None:
    alerts = AlertSpec.model_validate(ALERTS)
    saved = expected_saving_usd(np.array([alerts.threshold, 1.0, 0.0]), alerts)
    np.testing.assert_allclose(saved, [0.0, 200.0, -200.0], atol=1e-9)


def test_reasons_are_the_drops_of_the_model_itself() -> None:
    table = pa.table(
        {
            "heat": [1.0, 0.0, 0.0, 0.0, None],
            "load": [2.0, 1.0, 1.0, 1.0, 1.0],
            "firmware": ["bad", "good", "good", "good", None],
        }
    )
    rows = dataset_from_arrow(table, ["heat", "load", "firmware"])

    def predict(data: Any) -> Any:
        is_bad = data.categories["firmware"].values() == "bad"
        heat = np.nan_to_num(data.numbers[:, 0].astype(np.float64))
        return 0.1 + 0.3 * heat + 0.2 * is_bad + 0.001 * data.numbers[:, 1]

    found = explain_scores(
        rows.take(np.array([0, 4])), usual_values(rows), ["heat", "load", "firmware"], predict
    )
    assert [(one.feature, one.value, one.usual) for one in found[0]] == [
        ("heat", "1", "0"),
        ("firmware", "bad", "good"),
    ]
    assert [one.score_drop for one in found[0]] == pytest.approx([0.3, 0.2], abs=1e-4)
    assert found[1] == [], "what lowers nothing is no reason"
