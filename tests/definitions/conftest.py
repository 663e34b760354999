"""A small operator on disk, and the graph over it."""

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.commands.replay import Replay
from mlops_assets.commands.sandbox import sandbox_arguments
from mlops_assets.commands.workspace import Workspace
from mlops_assets.sandbox.simulation import init_sandbox
from tests.integration.small_operator import churn_project

FIRST_DAY = dt.date(2026, 8, 3)


@pytest.fixture(scope="session")
def operator_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with four delivered days of 300 subscribers; tests copy it before they change it."""
    home = tmp_path_factory.mktemp("operator")
    workspace = Workspace(home, churn_project())
    init_sandbox(
        **sandbox_arguments(workspace), subscribers=300, first_day=FIRST_DAY, days=4, seed=11, events=[]
    )
    return home


@pytest.fixture
def workspace(operator_home: Path, tmp_path: Path) -> Workspace:
    """A workspace of its own over a copy of the delivered files."""
    home = tmp_path / "home"
    shutil.copytree(operator_home / "landing", home / "landing")
    return Workspace(home, churn_project())


@pytest.fixture
def replay(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    """Runs days of the workspace against an instance of its own."""
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.home / "dagster_home"))
    with workspace.open_instance() as instance:
        yield Replay(workspace, instance)
