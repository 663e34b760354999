"""Fixtures of the offer tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.domain.features.feed_world import FeedWorld
from tests.unit.domain.offers.loop_world import LoopWorld


@pytest.fixture
def world(tmp_path: Path) -> FeedWorld:
    return FeedWorld(tmp_path, threads=1)


@pytest.fixture
def loop(tmp_path: Path) -> LoopWorld:
    return LoopWorld(tmp_path)
