"""Fixtures of the quality tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.duckdb_engine import DuckDbEngine
from tests.unit.domain.quality.gate_world import GateWorld


@pytest.fixture(scope="session")
def gate_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDbEngine]:
    root = tmp_path_factory.getbasetemp()
    engine = DuckDbEngine(1, "500MB", root / "gate_spill", [root])
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def quiet_world(tmp_path_factory: pytest.TempPathFactory, gate_engine: DuckDbEngine) -> GateWorld:
    """Three quiet weeks, delivered and landed; tests that change anything branch off."""
    world = GateWorld(tmp_path_factory.mktemp("quiet_world"), gate_engine)
    world.start()
    return world


@pytest.fixture(scope="session")
def quiet_day_world(quiet_world: GateWorld, tmp_path_factory: pytest.TempPathFactory) -> GateWorld:
    """The same with the files of one more quiet day, which are not landed."""
    world = quiet_world.branch(tmp_path_factory.mktemp("quiet_day"))
    world.advance(1)
    return world


@pytest.fixture
def next_day(quiet_day_world: GateWorld, tmp_path: Path) -> GateWorld:
    """A branch of its own of `quiet_day_world`."""
    return quiet_day_world.branch(tmp_path / "world")
