"""Which figures are called worse than recorded."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.regressions import find_regressions


def _line(value: float, goal: str = "value <= 10", **more: Any) -> dict[str, Any]:
    return {"name": "speed", "part": "one", "value": value, "goal": goal, "sizes": {"rows": 3}, **more}


@pytest.mark.parametrize(
    ("recorded", "measured"),
    [
        (_line(1.0), _line(1.2)),
        (_line(0.0), _line(1.0)),
        (_line(0.9, "value >= 0.8"), _line(0.7, "value >= 0.8")),
        (_line(5.0, "ratio <= 2", ratio=1.0), _line(1.0, "ratio <= 2", ratio=1.3)),
        (_line(-1.0, "value >= -5"), _line(-1.3, "value >= -5")),
    ],
    ids=["more than allowed", "from nothing", "less than allowed", "by its ratio", "below zero"],
)
def test_worse(recorded: dict[str, Any], measured: dict[str, Any]) -> None:
    (found,) = find_regressions([recorded], [measured])
    assert (found.name, found.part) == ("speed", "one")
    assert "is recorded" in str(found)


@pytest.mark.parametrize(
    ("recorded", "measured"),
    [
        (_line(1.0), _line(1.1)),
        (_line(1.0), _line(0.2)),
        (_line(0.8, "value >= 0.5"), _line(0.9, "value >= 0.5")),
        (_line(1.0), _line(9.0, quick=True)),
        (_line(1.0), _line(9.0, sizes={"rows": 4})),
        (_line(1.0), _line(9.0, part="two")),
        (_line(1.0, "ratio <= 2", ratio=1.0), _line(9.0, "ratio <= 2")),
    ],
    ids=[
        "within tolerance",
        "better",
        "better upwards",
        "another kind",
        "other sizes",
        "another part",
        "no ratio",
    ],
)
def test_not_worse(recorded: dict[str, Any], measured: dict[str, Any]) -> None:
    assert list(find_regressions([recorded], [measured])) == []
