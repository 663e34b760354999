"""What sensors ask for between two days: in which order it is run, and what goes on at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from mlops_assets.commands import replay as tested
from mlops_assets.commands.job_runs import JobResult, JobRun
from mlops_assets.commands.replay import Replay
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project

DAY = dt.date(2026, 9, 20)
ASKED = {
    "approvals_churn": ["pe"],
    "first_champion_churn": ["cl", "co"],
    "first_champion_offers": ["cl"],
    "drift_churn": ["pe"],
    "drift_offers": ["cl", "pe"],
}


class _Runner:
    """Notes the chains it is given; all succeed."""

    def __init__(self) -> None:
        self.calls: list[list[list[tuple[str, str | None]]]] = []

    def execute_chains(self, chains: Sequence[Sequence[JobRun]]) -> list[list[JobResult]]:
        """Note them."""
        self.calls.append([[(run.job_name, run.partition_key) for run in chain] for chain in chains])
        return [[JobResult(succeeded=True, refused=(), failures=()) for _ in chain] for chain in chains]


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    found = Replay(Workspace(tmp_path, load_project()), cast("Any", None))
    found.runner = cast("Any", _Runner())
    sensors = [SimpleNamespace(name=name, job_name=name.partition("_")[0]) for name in ASKED]

    def tick(sensor: Any, *_given: object) -> Iterator[dg.RunRequest]:
        return (
            dg.RunRequest(partition_key=segment, tags={"asked": sensor.name})
            for segment in ASKED[sensor.name]
        )

    monkeypatch.setattr(tested, "learning_sensors", lambda _definitions: sensors)
    monkeypatch.setattr(tested, "tick", tick)
    return found


def test_decisions_of_people_come_first_and_then_all_trainings_at_once(replay: Replay) -> None:
    failures, decisions = replay._train_due(DAY)
    assert (failures, decisions) == ((), ())
    people, trainings = cast("Any", replay.runner).calls
    assert people == [[("approvals", "pe")]]
    assert trainings == [
        [("first", "cl"), ("first", "cl"), ("drift", "cl")],
        [("first", "co")],
        [("drift", "pe"), ("drift", "pe")],
    ], "a segment's in the order of the sensors, segments beside each other"
