"""What integration tests share: operators on disk and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.config.loader import PROJECT_CONFIGS
from tests.integration.command_line import CommandLine
from tests.integration.small_operator import build_once, copy_home, deliver


@pytest.fixture
def mlops(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The `mlops` command; say `mlops.use(home)` first."""
    # A process loads a model once; a test that damages one must not meet what another test has loaded.
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    return CommandLine(monkeypatch)


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with the files of three days of 150 subscribers, nothing built; tests copy it."""
    return build_once(
        tmp_path_factory, "delivered", lambda home: deliver(home, PROJECT_CONFIGS, subscribers=150, days=3)
    )


@pytest.fixture
def home(delivered: Path, tmp_path: Path) -> Path:
    """A data root of the test's own with three delivered days."""
    return copy_home(delivered, tmp_path / "home")
