"""Predictions beside what happened: counted when the horizon is in, never before, and never from a missing feed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.fleet_live import (
    add_sums,
    judge_drift,
    measure_live_gain,
    read_live,
    share_of,
)
from mlops_assets.domain.learning.fleet_matching import SUMS, MatchOutcome, days_to_match, match_day
from mlops_assets.domain.learning.fleet_scoring import FleetDay
from mlops_assets.domain.learning.spec import EventLabel, ModelSpec
from mlops_assets.domain.ports import PartitionId
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from tests.unit.domain.learning.fleet_world import SLOT, make_request

DAY = dt.date(2026, 5, 10)
_ONE = dt.timedelta(days=1)
SCORES = [  # device, group, score, pooled score
    ("a1", "arda", 0.9, 0.5),
    ("a2", "arda", 0.6, 0.5),
    ("a3", "arda", 0.2, 0.5),
    ("b1", "boreal", 0.3, 0.3),
    ("b2", "boreal", 0.1, 0.1),
    ("n1", None, 0.7, 0.7),
]


@pytest.fixture
def lake(tmp_path: Path) -> LocalLake:
    return LocalLake(tmp_path / "lake")


def make_spec(*, needs_observation: bool = True) -> ModelSpec:
    document = make_request().model.model_dump(mode="json")
    label = document["label"] | {"horizon_days": 2, "given": {} if needs_observation else None}
    alerts = {"missed_event_usd": 100, "false_alarm_usd": 100, "capacity_per_day": 2}
    return ModelSpec.model_validate(document | {"label": label, "alerts": alerts, "calibrate": True})


def put(lake: LocalLake, table: str, day: dt.date, rows: pa.Table) -> None:
    with lake.write(PartitionId(table, "cl", day), stable_hash([str(rows.to_pydict())])) as writer:
        pq.write_table(rows, writer.file("data"))
        writer.commit(row_count=rows.num_rows)


def put_scores(lake: LocalLake, day: dt.date = DAY, scores: Sequence[tuple[Any, ...]] = SCORES) -> None:
    keys, groups, own, pooled = zip(*scores, strict=True)
    order = sorted(range(len(own)), key=lambda row: -own[row])
    rank = {row: place + 1 for place, row in enumerate(order) if own[row] > 0.5 and place < 2}
    put(
        lake,
        "scores/network_event/failure",
        day,
        pa.table(
            {
                "device_id": keys,
                "device_group": pa.array(groups, pa.string()),
                "score": own,
                "pooled_score": pooled,
                "is_alert": [row in rank for row in range(len(own))],
                "alert_rank": pa.array([rank.get(row) for row in range(len(own))], pa.int32()),
            }
        ),
    )


def put_feed(lake: LocalLake, day: dt.date, severities: Mapping[str, int | None]) -> None:
    put(
        lake,
        "feeds/device_telemetry",
        day,
        pa.table(
            {
                "device_id": list(severities),
                "event_severity_max": pa.array(list(severities.values()), pa.int64()),
                "traffic_kb": [1] * len(severities),
            }
        ),
    )


def match(lake: LocalLake, engine: DuckDbEngine, spec: ModelSpec | None = None) -> MatchOutcome:
    return match_day(
        FleetDay(SLOT, make_request().corpus, spec or make_spec(), DAY), lake=lake, engine=engine
    )


def rows_of(lake: LocalLake, outcome: MatchOutcome) -> dict[str | None, dict[str, Any]]:
    return {row["group"]: row for row in pq.read_table(lake.path(outcome.partition)).to_pylist()}


def test_a_day_is_counted_by_group_when_its_horizon_is_in(lake: LocalLake, engine: DuckDbEngine) -> None:
    put_scores(lake)
    put_feed(lake, DAY, {"b2": 3})  # the day itself is not foretold
    put_feed(lake, DAY + _ONE, {"a1": 0, "a2": 1, "a3": 2, "b1": 0, "b2": 0, "n1": 0})
    put_feed(lake, DAY + 2 * _ONE, {"a1": 3, "a2": 0})
    put_feed(lake, DAY + 3 * _ONE, {"b1": 3})  # beyond the horizon
    outcome = match(lake, engine)
    assert outcome.status == "built"
    arda = rows_of(lake, outcome)["arda"]
    assert (arda["devices"], arda["observed"], arda["events"]) == (3, 3, 2), "severity 1 does not count"
    assert (arda["above"], arda["above_events"]) == (2, 1)
    assert (arda["alerts"], arda["alert_events"]) == (1, 1), "the third likeliest is beyond the capacity"
    assert arda["expected_events"] == pytest.approx(1.7)
    assert arda["loss"] == pytest.approx(-np.log(0.9) - np.log(0.4) - np.log(0.2))
    assert arda["pooled_loss"] == pytest.approx(-3 * np.log(0.5))
    boreal, nobody = rows_of(lake, outcome)["boreal"], rows_of(lake, outcome)[None]
    assert boreal["events"] == 0
    assert (nobody["alerts"], nobody["alert_events"], nobody["at_capacity"]) == (1, 0, 1)
    total = add_sums(rows_of(lake, outcome).values())
    assert share_of(total, "alert_events", "alerts") == 0.5
    assert share_of(total, "above_events", "events") == 0.5
    assert share_of(boreal, "above_events", "events") is None, "nothing to be recalled is not zero"
    assert match(lake, engine).status == "reused"


@pytest.mark.parametrize("absent", [1, 2])
def test_a_missing_feed_is_named_and_is_no_quiet_day(
    lake: LocalLake, engine: DuckDbEngine, absent: int
) -> None:
    put_scores(lake)
    put_feed(lake, DAY + (3 - absent) * _ONE, {"a1": 0})
    outcome = match(lake, engine)
    assert outcome.status == "incomplete"
    assert outcome.missing == (f"feeds/device_telemetry[cl {DAY + absent * _ONE}]",)
    assert lake.manifest(outcome.partition) is None
    put_feed(lake, DAY + absent * _ONE, {"a2": 3})
    assert match(lake, engine).status == "built", "the late feed completes it"


def test_a_feed_that_is_corrected_counts_anew(lake: LocalLake, engine: DuckDbEngine) -> None:
    put_scores(lake)
    for ahead in (1, 2):
        put_feed(lake, DAY + ahead * _ONE, {"a1": 0})
    assert rows_of(lake, match(lake, engine))["arda"]["events"] == 0
    put_feed(lake, DAY + _ONE, {"a1": 2})
    again = match(lake, engine)
    assert again.status == "built"
    assert rows_of(lake, again)["arda"]["events"] == 1


@pytest.mark.parametrize(("needs_observation", "observed"), [(True, 1), (False, 3)])
def test_devices_that_were_not_heard_of_count_as_the_label_says(
    lake: LocalLake, engine: DuckDbEngine, needs_observation: bool, observed: int
) -> None:
    put_scores(lake)
    put_feed(lake, DAY + _ONE, {"a1": None})
    put_feed(lake, DAY + 2 * _ONE, {})
    outcome = match(lake, engine, make_spec(needs_observation=needs_observation))
    arda = rows_of(lake, outcome)["arda"]
    assert (arda["devices"], arda["observed"], arda["events"]) == (3, observed, 0)
    assert arda["above"] == (1 if needs_observation else 2)


def test_without_scores_nothing_is_matched(lake: LocalLake, engine: DuckDbEngine) -> None:
    put_feed(lake, DAY + _ONE, {"a1": 3})
    put_feed(lake, DAY + 2 * _ONE, {"a1": 3})
    assert match(lake, engine).status == "no_scores"


def test_days_whose_horizon_has_ended_are_due_and_those_that_waited() -> None:
    label = EventLabel(table="feeds/device_telemetry", horizon_days=3)
    assert days_to_match(DAY, label) == [DAY - back * _ONE for back in range(17, 2, -1)]


def caught(group: str, hits: int, devices: int, days: int = 1) -> list[dict[str, Any]]:
    return [
        {"key": f"{group}{number}", "group": group, "is_above": number < hits}
        for number in range(devices)
        for _ in range(days)
    ]


def test_a_group_that_catches_less_than_by_chance_is_told_from_the_others() -> None:
    recent = [
        *caught("fallen", 4, 30),
        *caught("alike", 20, 30),
        *caught("rare", 0, 4),
        *caught("better", 30, 30),
    ]
    earlier = [
        *caught("fallen", 60, 80),
        *caught("alike", 56, 80),
        *caught("rare", 40, 40),
        *caught("better", 20, 80),
    ]
    found = judge_drift(recent, earlier, ["fallen", "alike", "rare", "better"])
    assert {group: one.verdict for group, one in found.items()} == {
        "fallen": "fallen",
        "alike": "as before",
        "rare": "too few events",
        "better": "as before",
    }
    assert found["fallen"].recent == (4, 30)


def test_many_days_of_one_device_are_one_witness() -> None:
    """Two failing devices that were missed on fourteen days each are no thirty misses."""
    recent = [*caught("g", 0, 2, days=14), *caught("h", 4, 6)]
    earlier = [*caught("g", 40, 50), *caught("h", 40, 50)]
    assert judge_drift(recent, earlier, ["g", "h"])["g"].verdict == "too few events"


def test_groups_without_change_are_seldom_called_fallen() -> None:
    """A share of 0.7 in both windows of 400 groups: false discoveries stay rare."""
    random = np.random.default_rng(3)
    names = [f"g{number}" for number in range(400)]
    recent, earlier = (
        [row for name in names for row in caught(name, int(random.binomial(size, 0.7)), size)]
        for size in (12, 50)
    )
    found = judge_drift(recent, earlier, names)
    assert sum(one.verdict == "fallen" for one in found.values()) <= 4


def sums(**values: float) -> dict[str, float]:
    return dict.fromkeys(SUMS, 0.0) | values


def test_live_gain_is_what_the_groups_saved_a_row() -> None:
    random = np.random.default_rng(0)
    by_group: dict[str | None, dict[str, float]] = {
        f"g{n}": sums(observed=100, pooled_loss=50.0 + g, loss=50.0 - 3.0)
        for n, g in enumerate(random.normal(0, 1, 40))
    }
    found = measure_live_gain(by_group)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.gain == pytest.approx(0.03, abs=0.005)
    assert 0 < found.low < found.gain < found.high < 0.05
    alone = measure_live_gain({"g": sums(observed=10, pooled_loss=2.0, loss=1.0)})
    assert alone is not None
    assert (alone.gain, alone.low) == (0.1, None), "one group says nothing about others"
    assert measure_live_gain({}) is None


def test_the_record_covers_recent_days_by_group(lake: LocalLake, engine: DuckDbEngine) -> None:
    for back in range(3):
        put_scores(lake, DAY - back * _ONE)
    for ahead in range(-2, 3):
        put_feed(lake, DAY + ahead * _ONE, {"a1": 3, "b1": 0})
    for back in range(3):
        fleet = FleetDay(SLOT, make_request().corpus, make_spec(), DAY - back * _ONE)
        assert match_day(fleet, lake=lake, engine=engine).status == "built"
    record = read_live(lake, SLOT, DAY)
    assert [one.day for one in record.days] == [DAY - 2 * _ONE, DAY - _ONE, DAY]
    assert record.by_group["arda"]["events"] == 3
    assert record.total["observed"] == 6
    assert record.drift["arda"].verdict == "too few events"
    assert read_live(lake, SLOT, DAY - 9 * _ONE).days == ()
