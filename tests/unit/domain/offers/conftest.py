"""Fixtures of the offer tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.domain.features.feed_world import FeedWorld


@pytest.fixture
def world(tmp_path: Path) -> FeedWorld:
    return FeedWorld(tmp_path, threads=1)
