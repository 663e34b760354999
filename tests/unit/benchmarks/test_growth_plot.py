"""The picture of growth."""

from __future__ import annotations

from pathlib import Path

from benchmarks.__main__ import BENCHMARKS
from benchmarks.growth_plot import draw_growth
from benchmarks.recording import SUBJECTS

_LINE = {
    "name": "growth",
    "part": "devices",
    "sizes": {"devices": [1, 5]},
    "facts": {"cpu_s_a_day": [1.0, 2.0]},
}


def test_it_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "growth.png"
    assert draw_growth([_LINE, {"name": "other"}], path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_quick_lines_are_not_drawn(tmp_path: Path) -> None:
    assert not draw_growth([{**_LINE, "quick": True}], tmp_path / "growth.png")
    assert list(tmp_path.iterdir()) == []


def test_every_benchmark_has_a_subject() -> None:
    named = [name for names in SUBJECTS.values() for name in names]
    assert sorted(named) == sorted(BENCHMARKS)
