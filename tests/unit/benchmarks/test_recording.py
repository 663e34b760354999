"""The record of benchmarks: full sizes are what counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import recording


def line(value: float, *, quick: bool, name: str = "etl_ratio", part: str = "cpu") -> dict[str, Any]:
    """Return a measured line."""
    return {
        "name": name,
        "part": part,
        "value": value,
        "unit": "CPU s",
        "goal": "value <= 9",
        "holds": True,
        "quick": quick,
        "sizes": {"subscribers": 100},
    }


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(recording, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(recording, "PAGE", tmp_path / "benchmarks.md")
    return tmp_path / "benchmarks.md"


def test_quick_rounds_leave_full_ones_alone(page: Path) -> None:
    recording.record([line(1.5, quick=False)])
    recording.record([line(7.5, quick=True)])
    values = {(item["quick"], item["value"]) for item in json.loads(recording.RESULTS.read_text())}
    assert values == {(False, 1.5), (True, 7.5)}
    assert "1.5 CPU s" in page.read_text()
    assert "7.5 CPU s" not in page.read_text()


def test_quick_round_is_shown_where_there_is_no_full_one(page: Path) -> None:
    recording.record([line(1.5, quick=False), line(7.5, quick=True, part="memory")])
    assert "7.5 CPU s" in page.read_text()
    assert ", quick" in page.read_text()


def test_the_same_round_again_replaces_the_old_one(page: Path) -> None:
    for value in (1.5, 2.5):
        recording.record([line(value, quick=False)])
    assert "2.5 CPU s" in page.read_text()
    assert "1.5 CPU s" not in page.read_text()
