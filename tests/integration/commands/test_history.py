"""Days whose feeds a process reads ahead, of history or not, are those that are read and built day by day."""

from __future__ import annotations

import os
from concurrent.futures import wait
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlops_assets.commands.landing_ahead import open_landing_ahead
from mlops_assets.commands.replay import Replay, open_replay
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config import names
from mlops_assets.config.loader import load_project
from tests.integration.command_line import CommandLine
from tests.integration.small_operator import FIRST_DAY, copy_home, day_number, lake_content

AGAIN_S = 1_790_000_000  # when a file came again; the identity of a delivery has it
DAYS = [(str(day_number(n)), "built") for n in range(3)]


def test_imported_days_are_those_that_were_lived(delivered: Path, tmp_path: Path, mlops: CommandLine) -> None:
    """Two processes import them, one lives through them; afterwards both are up to date."""
    homes = {name: copy_home(delivered, tmp_path / name) for name in ("imported", "lived")}
    for name, words in (("imported", ("run", "--history")), ("lived", ("run",))):
        mlops.use(homes[name])
        told = mlops(*words)
        assert (told.status, told.days) == (0, DAYS), told
    imported, lived = (lake_content(homes[name]) for name in ("imported", "lived"))
    rests_on = {where: found for where, found in lived.items() if names.is_history(where.split("/"))}
    assert {where.split("/")[0] for where in rests_on} == {"feeds", "etl", "quality"}
    assert {where: imported[where] for where in rests_on} == rests_on

    assert not (homes["imported"] / "reports").exists()
    mlops.use(homes["imported"])
    nothing = mlops("run", "--history")
    assert (nothing.status, nothing.days) == (0, [(day, "unchanged") for day, _ in DAYS]), nothing
    again = mlops("run")
    assert (again.status, {status for _, status in again.days}) == (0, {"unchanged"}), again


def live_days(home: Path, monkeypatch: pytest.MonkeyPatch, again: int, *, is_ahead: bool) -> list[str]:
    """Live three days, after the second of which a file of day number `again` is delivered again; tell the days."""
    monkeypatch.setenv("MLOPS_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster_home"))
    config = load_project()
    executor = config.environment.executor.model_copy(update={"cores": 2 if is_ahead else 1})
    workspace = Workspace.of_one_process(home, config.with_environment(executor=executor))
    told: list[str] = []

    def live(replay: Replay, number: int) -> None:
        day = day_number(number)
        results = replay.run(day, day, lambda _: None, rebuild_from=FIRST_DAY)
        told.extend(f"{result.day} {result.status}" for result in results)

    with open_replay(workspace) as replay, open_landing_ahead(replay):
        assert (replay.ahead is not None) is is_ahead
        for number in range(3):
            if replay.ahead is not None:
                replay.ahead.ask(day_number(number))
        live(replay, 0)
        live(replay, 1)
        if replay.ahead is not None:
            wait(replay.ahead._asked.values())  # the third day's feeds have been read
        (path,) = (home / "landing" / "cl").glob(f"usage_{day_number(again):%Y%m%d}.*")
        pq.write_table(pq.read_table(path).slice(5), path)
        os.utime(path, (AGAIN_S, AGAIN_S))
        live(replay, 2)
    return told


@pytest.mark.parametrize(("again", "days"), [(0, (0, 1, 0, 1, 2)), (2, (0, 1, 2))])
def test_a_file_that_comes_again_is_not_overlooked_by_days_read_ahead(
    delivered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: int, days: tuple[int, ...]
) -> None:
    homes = {is_ahead: copy_home(delivered, tmp_path / str(is_ahead)) for is_ahead in (False, True)}
    told = {a: live_days(home, monkeypatch, again, is_ahead=a) for a, home in homes.items()}
    assert told[True] == told[False] == [f"{day_number(number)} built" for number in days]
    assert lake_content(homes[True]) == lake_content(homes[False])
