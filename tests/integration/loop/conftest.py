"""An operator whose models were trained and promoted by nothing but its days passing."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.commands.replay import DayResult, Replay
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.loader import load_project
from tests.integration.small_operator import (
    READY_DAY,
    RESTLESS,
    build_once,
    copy_configs,
    copy_home,
    day_number,
    deliver,
    shorten_churn,
)

SUBSCRIBERS = 1000
LAST_RUN_DAY = READY_DAY + dt.timedelta(days=3)
# Delivered, not run: the day on which tests let something fail.
NEXT_DAY = LAST_RUN_DAY + dt.timedelta(days=1)
PROJECT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Loop:
    """A data root, its configs, and what each of its days reported."""

    home: Path
    configs: Path

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace over the data root."""
        return Workspace.of_one_process(self.home, load_project([self.configs], "local"))

    @cached_property
    def report(self) -> dict[str, Any]:
        """What was noted when the days ran: one entry a day under `days`, and the `git_commit` of the code."""
        noted: dict[str, Any] = json.loads((self.home / "report.json").read_text())
        return noted


def build_trained(folder: Path) -> None:
    """Fill a folder with a data root and its configs, and live its days."""
    home, configs = folder / "home", copy_configs(folder / "configs")
    shorten_churn(configs)
    days = (NEXT_DAY - day_number(0)).days + 1
    deliver(home, configs, subscribers=SUBSCRIBERS, days=days, behaviour=RESTLESS)
    loop = Loop(home, configs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home / "dagster_home"))
        with loop.workspace.open_instance() as instance:
            results = Replay(loop.workspace, instance).run(day_number(0), LAST_RUN_DAY, lambda _: None)
    command = ["git", "-C", str(PROJECT), "rev-parse", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    noted = {"git_commit": commit or "unknown", "days": [_note(result) for result in results]}
    (home / "report.json").write_text(json.dumps(noted))


def _note(result: DayResult) -> dict[str, Any]:
    return {
        "day": str(result.day),
        "status": result.status,
        "scored_rows": result.scored_rows,
        "findings": list(result.findings),
        "decisions": [[entry.slot.segment, entry.outcome, entry.version] for entry in result.decisions],
    }


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    """The operator after its first training and three days more; only to be read."""
    folder = build_once(tmp_path_factory, "trained", build_trained)
    return Loop(folder / "home", folder / "configs")


@pytest.fixture
def own(trained: Loop, tmp_path: Path) -> Loop:
    """A copy of the trained operator that a test may spoil."""
    return Loop(copy_home(trained.home, tmp_path / "home"), trained.configs)


@pytest.fixture
def replay(own: Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    """Runs days of the test's own copy."""
    monkeypatch.setenv("DAGSTER_HOME", str(own.home / "dagster_home"))
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    with own.workspace.open_instance() as instance:
        yield Replay(own.workspace, instance)
