"""What sensors ask for between two days: in which order it is run, what goes on at once, and what is run once only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
SENSORS = {
    "approvals_churn": "follow_churn",
    "first_champion_churn": "train_churn",
    "first_champion_offers": "train_offers",
    "drift_churn": "train_churn",
    "drift_offers": "train_offers",
}


@dataclass
class World:
    """What is due: sensor and segment; runs of what is in `settles` settle the others, all else settles itself."""

    due: list[tuple[str, str]]
    settles: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
    fails: bool = False
    calls: list[list[list[tuple[str, str]]]] = field(default_factory=list)

    def tick(self, sensor: Any, *_given: object) -> Iterator[dg.RunRequest]:
        """Ask for what is due, by a run key that stays the same."""
        for name, segment in self.due:
            if name == sensor.name:
                yield dg.RunRequest(run_key=f"{name}/{segment}", partition_key=segment, tags={"asked": name})

    def execute_chains(self, chains: Sequence[Sequence[JobRun]]) -> list[list[JobResult]]:
        """Note what is run."""
        self.calls.append([[(run.tags["asked"], str(run.partition_key)) for run in each] for each in chains])
        for done in [one for chain in self.calls[-1] for one in chain] if not self.fails else ():
            gone = [done, *self.settles.get(done, [])]
            self.due = [one for one in self.due if one not in gone]
        return [
            [JobResult(not self.fails, (), ("no disk",) if self.fails else ()) for _ in each]
            for each in chains
        ]


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    sensors = [SimpleNamespace(name=name, job_name=job) for name, job in SENSORS.items()]
    monkeypatch.setattr(tested, "learning_sensors", lambda _definitions: sensors)
    return Replay(Workspace(tmp_path, load_project()), cast("Any", None))


def run(replay: Replay, world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Let a day's sensors look at a world; return what failed."""
    replay.runner = cast("Any", world)
    monkeypatch.setattr(tested, "tick", world.tick)
    failures, _ = replay._train_due(DAY)
    return failures


def test_decisions_of_people_come_first_and_then_all_trainings_at_once(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [("drift_churn", "pe"), ("first_champion_offers", "cl"), ("first_champion_churn", "cl")]
    world = World([*asked, ("first_champion_offers", "pe"), ("approvals_churn", "pe")])
    assert run(replay, world, monkeypatch) == ()
    people, trainings = world.calls
    assert people == [[("approvals_churn", "pe")]]
    assert trainings == [
        [("first_champion_churn", "cl"), ("first_champion_offers", "cl")],
        [("first_champion_offers", "pe"), ("drift_churn", "pe")],
    ], "a segment's in the order of the sensors, segments beside each other"


@pytest.mark.parametrize("is_settled", [True, False])
def test_of_two_runs_of_the_same_assets_the_second_waits_for_what_the_first_decides(
    replay: Replay, monkeypatch: pytest.MonkeyPatch, *, is_settled: bool
) -> None:
    first, later = ("first_champion_offers", "pe"), ("drift_offers", "pe")
    world = World([first, later], {first: [later]} if is_settled else {})
    run(replay, world, monkeypatch)
    assert world.calls == ([[[first]]] if is_settled else [[[first]], [[later]]])


def test_what_has_failed_is_not_tried_again_on_the_same_day(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World([("drift_churn", "pe"), ("drift_churn", "cl")], fails=True)
    assert run(replay, world, monkeypatch) == ("no disk", "no disk")
    assert world.calls == [[[("drift_churn", "pe")], [("drift_churn", "cl")]]]
