"""A small world for training, judging and scoring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.duckdb_engine import DuckDbEngine
from tests.unit.domain.learning.small_world import SmallWorld


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallWorld]:
    """A world with a corpus; bundles are verified and loaded anew in each test."""
    monkeypatch.setattr("mlops_assets.domain.learning.bundle._kept", {})
    world = SmallWorld(tmp_path)
    world.publish_corpus()
    yield world
    world.engine.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDbEngine]:
    """An engine that reads the test's folder."""
    opened = DuckDbEngine(1, "200MB", tmp_path / "spill", [tmp_path])
    yield opened
    opened.close()
