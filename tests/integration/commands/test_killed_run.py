"""A replay that is killed is continued, and ends where an uninterrupted one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops_assets.config.run_plan import day_log_partition
from resources.lake import LocalLake
from tests.integration.command_line import CommandLine
from tests.integration.small_operator import copy_home, day_number, lake_content

PROJECT = Path(__file__).resolve().parents[3]
DAYS = [day_number(n) for n in range(3)]
PATIENCE_S = 300


def end_within_second_day(home: Path, number: signal.Signals) -> tuple[int, str]:
    """Start a replay of all days in its own process, send it a signal once the second day has begun to be written.

    Returns its exit status and what it said of errors.
    """
    environment = {
        **os.environ,
        "MLOPS_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster_home"),
        "PYTHONPATH": str(PROJECT),
    }
    command = [sys.executable, "-m", "mlops_assets.cli", "run"]
    begun, deadline = f"lake/feeds/*/*/{DAYS[1]}", time.monotonic() + PATIENCE_S
    with subprocess.Popen(
        command, cwd=home, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not list(home.glob(begun)) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, told = process.communicate(timeout=PATIENCE_S)
    return process.returncode, told


@pytest.mark.slow
def test_killed_replay_is_continued(home: Path, tmp_path: Path, mlops: CommandLine) -> None:
    whole = copy_home(home, tmp_path / "whole")
    status, _ = end_within_second_day(home, signal.SIGKILL)
    assert status == -signal.SIGKILL, "the replay ended before it could be killed"
    lake = LocalLake(home / "lake")
    assert lake.manifest(day_log_partition(DAYS[0])) is not None
    assert lake.manifest(day_log_partition(DAYS[1])) is None
    mlops.use(home)
    told = mlops("run")
    assert told.status == 0, told
    assert [status for _, status in told.days] == ["unchanged", "built", "built"]
    mlops.use(whole)
    assert mlops("run").status == 0
    continued, uninterrupted = lake_content(home), lake_content(whole)
    assert continued.keys() == uninterrupted.keys()
    assert {where for where in continued if continued[where] != uninterrupted[where]} == set()
    assert len(continued) > 50


@pytest.mark.slow
def test_replay_that_is_asked_to_end_ends(home: Path, mlops: CommandLine) -> None:
    status, told = end_within_second_day(home, signal.SIGTERM)
    assert status == 130
    assert told.strip().endswith("interrupted; the same command goes on from here")
    lake = LocalLake(home / "lake")
    built = [lake.manifest(day_log_partition(day)) is not None for day in DAYS]
    assert built == [True, False, False]
    mlops.use(home)
    assert [status for _, status in mlops("run").days] == ["unchanged", "built", "built"]
