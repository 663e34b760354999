"""Unit tests open no network socket at all, not even to this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

_UNIT_TESTS = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test below this folder."""
    for item in items:
        if _UNIT_TESTS in item.path.parents:
            item.add_marker(pytest.mark.disable_socket)
