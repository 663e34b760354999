"""The fleet's report from a trained fleet: who serves, why, gains, history, what failed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.fleet_gains import gain_over_best_single, gain_over_pooled
from mlops_assets.domain.learning.fleet_history import read_trainings, record_training
from mlops_assets.domain.learning.fleet_review import assemble_fleet_report, read_sources
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.reporting.fleet_report import FleetReport
from tests.unit.domain.learning.fleet_world import (
    PART_DAYS,
    SLOT,
    FleetWorld,
    by_heat,
    make_request,
    make_rows,
)

NEWEST = dt.date(2026, 3, 20)
# the labels of the newest rows reach a day further
AS_OF = PART_DAYS["holdout"][-1] + dt.timedelta(days=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetWorld:
    """Delta is unlike the others and gets a model of its own; tiny has too few rows."""
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    made = FleetWorld(tmp_path)
    made.train_with_cold_delta(60, make_rows("tiny", by_heat, devices=4))
    return made


def publish_devices(world: FleetWorld, table: str, day: dt.date, groups: dict[str | None, int]) -> None:
    column = [group for group, count in groups.items() for _ in range(count)]
    rows = pa.table(
        {
            "device_id": [f"d{number}" for number in range(len(column))],
            "device_group": pa.array(column, pa.string()),
        }
    )
    with world.lake.write(PartitionId(table, "cl", day), stable_hash([str(day), str(groups)])) as writer:
        pq.write_table(rows, writer.file("data"))
        writer.commit(row_count=len(column))


def review(world: FleetWorld, newest: dt.date | None = NEWEST) -> FleetReport:
    sources = read_sources(SLOT, make_request().model, newest, lake=world.lake, ledger=world.ledger)
    assert sources is not None
    return assemble_fleet_report(sources)


def test_every_group_says_who_serves_it_and_why(world: FleetWorld) -> None:
    publish_devices(
        world, "scores/network_event/failure", NEWEST, {"arda": 7, "delta": 3, "fresh": 2, None: 1}
    )
    report = review(world)
    lines = {one.group: one for one in report.groups}
    assert set(lines) == {"arda", "boreal", "delta", "tiny", "fresh"}
    delta = lines["delta"]
    assert (delta.served, delta.outcome, delta.algorithm) == ("own", "promoted", "linear")
    assert delta.age_days == (NEWEST - AS_OF).days
    assert delta.metric is not None
    assert delta.pooled_metric is not None
    assert delta.gain == pytest.approx(delta.pooled_metric - delta.metric), "log loss: lower is better"
    assert delta.gain_low is not None
    assert delta.gain_low > 0
    assert lines["tiny"].served == "pooled"
    assert (lines["tiny"].outcome, lines["tiny"].metric) == ("too_small", None)
    assert "training rows" in lines["tiny"].detail
    assert lines["fresh"].outcome == "new"
    assert (report.devices("own"), report.devices("pooled")) == (3, 9)
    assert (lines["boreal"].devices, report.scored_day) == (0, NEWEST)
    assert ("too_small", 1) in report.without_own


def test_without_pooled_champion_groups_are_served_by_nobody(world: FleetWorld) -> None:
    world.ledger.entries = [one for one in world.ledger.entries if one.slot != SLOT]
    report = review(world)
    assert (report.count("own"), report.count("nobody"), report.count("pooled")) == (1, 3, 0)


def test_a_group_that_failed_is_named_with_its_error(
    world: FleetWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.domain.learning import fleet_fit

    genuine = fleet_fit.run_leaderboard

    def fail_for_delta(spec: Any, train: Any, *args: Any, **kwargs: Any) -> Any:
        if train.rows == 180:
            raise ValueError("the disk of delta is full")
        return genuine(spec, train, *args, **kwargs)

    monkeypatch.setattr(fleet_fit, "run_leaderboard", fail_for_delta)
    world.train()
    report = review(world)
    assert [(one.group, one.error) for one in report.faults] == [
        ("delta", "ValueError: the disk of delta is full")
    ]
    delta = next(one for one in report.groups if one.group == "delta")
    assert (delta.outcome, delta.served) == ("failed", "own"), "its champion stays"
    assert delta.algorithm == "", "the newest training says nothing about the champion"


def test_trainings_are_kept_with_devices_and_cost(world: FleetWorld) -> None:
    publish_devices(world, "etl/device_features", AS_OF, {"arda": 120, "boreal": 120, "delta": 60, "tiny": 4})
    request = make_request()
    for _ in range(2):
        record_training(world.lake, SLOT, request.corpus, "device_group")
    (one,) = read_trainings(world.lake, SLOT)
    assert (one.day, one.devices, one.train_rows) == (AS_OF, 304, 304 * 3)
    assert one.cpu_seconds > 0
    assert set(one.groups) == {"arda", "boreal", "delta", "tiny"}
    report = review(world)
    assert [(line.devices, line.groups) for line in report.trainings] == [(304, 4)]
    assert report.growth is None, "one training has not grown"
    assert report.groups[0].trend is None
    assert read_trainings(world.lake, SLOT, AS_OF - dt.timedelta(days=1)) == []


def test_a_fleet_that_was_not_trained_has_no_report(tmp_path: Path) -> None:
    empty = FleetWorld(tmp_path)
    assert read_sources(SLOT, make_request().model, NEWEST, lake=empty.lake, ledger=empty.ledger) is None


def entry(
    group: str, algorithm: str, validation: float, holdout: float | None, chosen: bool = False
) -> dict[str, Any]:
    return {
        "group": group,
        "algorithm": algorithm,
        "error": None if holdout is not None else "broken",
        "is_chosen": chosen,
        "holdout_metric": holdout,
        "metrics": [("log_loss", validation)],
    }


def note_row(group: str, gain: float | None = None, rows: int = 100) -> dict[str, Any]:
    return {"group": group, "gain": gain, "holdout_rows": rows, "validation_rows": 100}


def test_best_fit_is_compared_with_the_algorithm_that_validation_prefers() -> None:
    """`a` is best on average by validation (0.30 to 0.35), whatever the holdout says."""
    groups = [note_row("g"), note_row("h", rows=300), note_row("broken")]
    entries = [
        *(entry("g", "a", 0.2, 0.50, chosen=True), entry("g", "b", 0.5, 0.10)),
        *(entry("h", "a", 0.4, 0.44), entry("h", "b", 0.2, 0.40, chosen=True)),
        *(entry("broken", "a", 0.1, 0.1, chosen=True), entry("broken", "b", 9.0, None)),
    ]
    found = gain_over_best_single(groups, entries, "log_loss")
    assert found is not None
    assert found.against.endswith("a")
    assert found.gain == pytest.approx(0.04 * 300 / 400)
    assert (found.groups, found.low) == (2, None)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        rows = [
            note_row(str(n), gain=0.02 + random.normal(0, 0.05), rows=int(random.integers(50, 150)))
            for n in range(30)
        ]
        found = gain_over_pooled(rows)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.02 <= found.high
    assert 0.90 <= covered / 400 <= 0.98


def test_groups_that_were_not_tested_have_no_part_in_the_gain() -> None:
    assert gain_over_pooled([note_row("g"), note_row("h")]) is None
    found = gain_over_pooled([note_row("g", 0.1), note_row("h")])
    assert found is not None
    assert (found.gain, found.groups) == (pytest.approx(0.1), 1)


def test_groups_that_lack_different_algorithms_have_no_best_single_one() -> None:
    groups = [note_row("g"), note_row("h")]
    entries = [
        *(entry("g", "a", 0.2, 0.5, chosen=True), entry("g", "dummy", 0.7, 0.7), entry("g", "b", 9.0, None)),
        *(entry("h", "b", 0.2, 0.4, chosen=True), entry("h", "dummy", 0.7, 0.7), entry("h", "a", 9.0, None)),
    ]
    assert gain_over_best_single(groups, entries, "log_loss") is None
