"""A world with nothing promoted yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.domain.deployment.deployment_world import DeploymentWorld


@pytest.fixture
def world(tmp_path: Path) -> DeploymentWorld:
    """A world of the test's own."""
    return DeploymentWorld(tmp_path)
