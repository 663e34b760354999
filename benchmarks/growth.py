"""growth: what a day of the daily graph costs with more subscribers, devices, segments and days of history.

Belongs here: sizes, living the days, the comparison. Does not belong here: drawing (growth_plot).

A day has a fixed cost (steps, events, reports), so cost over size always falls. What is compared is the cost at the
largest size with the straight line through the two smaller ones; for days of history, which should cost nothing, with
the day's cost at the second size.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from benchmarks.measuring import BenchmarkFailedError, Goal, Line, Usage, median, run_fresh
from benchmarks.operator_data import FIRST_DAY, one_geography

if TYPE_CHECKING:
    from mlops_assets.config.models import ProjectConfig

NAME = "growth"
_WARM_DAYS, _DAYS = 2, 6
_LIMIT, _QUICK_LIMIT = 1.25, 1.5
_ROUND_DAYS = 5  # whose median is the cost at a day of history
_NEW_GEOGRAPHY = {
    "name": "Another",
    "timezone": "America/Lima",
    "currency": "PEN",
    "country": "PE",
    "usd_per_unit": 0.27,
    "like": "pe",
}


@dataclass(frozen=True)
class Size:
    """What is simulated: subscribers and devices of each segment."""

    subscribers: int = 5_000
    devices: int = 100
    segments: int = 1
    days: int = _DAYS


@dataclass(frozen=True)
class Axis:
    """What grows, over which sizes."""

    name: str
    sizes: tuple[int, int, int]
    quick_sizes: tuple[int, int, int]

    def of(self, size: int) -> Size:
        """Return the simulated operator of one size."""
        return replace(Size(), **{self.name: size})


AXES = (
    Axis("subscribers", (10_000, 40_000, 100_000), (1_000, 4_000, 8_000)),
    Axis("devices", (1_000, 5_000, 20_000), (100, 500, 1_000)),
    Axis("segments", (1, 2, 4), (1, 2, 3)),
)
HISTORY = Axis("days", (12, 36, 64), (8, 10, 12))


def run(*, quick: bool) -> Iterator[Line]:
    """Yield a line an axis: the cost at the largest size against what the smaller ones let expect."""
    for axis in AXES:
        sizes = axis.quick_sizes if quick else axis.sizes
        started = Usage.taken()
        costs = [median(live_days(axis.of(size))[_WARM_DAYS:]) for size in sizes]
        yield _line(axis, sizes, costs, Usage.taken().since(started).wall_s, quick=quick)
    sizes = HISTORY.quick_sizes if quick else HISTORY.sizes
    started, spent = Usage.taken(), live_days(Size(subscribers=2_000, days=max(sizes)))
    costs = [median(spent[size - _ROUND_DAYS : size]) for size in sizes]
    yield _line(HISTORY, sizes, costs, Usage.taken().since(started).wall_s, quick=quick)


def _line(axis: Axis, sizes: Sequence[int], costs: Sequence[float], seconds: float, *, quick: bool) -> Line:
    small, middle, large = sizes
    if axis is HISTORY:
        peer_value, peer = costs[1], f"after {middle} days"
    else:
        slope = max(costs[1] - costs[0], 0.0) / (middle - small)
        peer_value, peer = costs[0] + slope * (large - small), f"the line through {small:,} and {middle:,}"
    return Line(
        NAME,
        costs[2],
        "CPU s a day",
        Goal("ratio", _QUICK_LIMIT if quick else _LIMIT),
        {axis.name: list(sizes)},
        seconds,
        part=axis.name,
        peer=peer,
        peer_value=peer_value,
        is_quick=quick,
        facts={"cpu_s_a_day": [round(cost, 3) for cost in costs]},
    )


def live_days(size: Size) -> list[float]:
    """Return the CPU seconds of each day of the graph, in a fresh process and data root."""
    with tempfile.TemporaryDirectory() as folder:
        found: list[float] = run_fresh("benchmarks.growth:run_days", {"home": folder, **asdict(size)}).result
        return found


def run_days(home: str, subscribers: int, devices: int, segments: int, days: int) -> list[float]:
    """Simulate an operator day by day; return what the graph spent on each, without the simulation."""
    from mlops_assets.commands.replay import Replay
    from mlops_assets.commands.sandbox import sandbox_arguments
    from mlops_assets.commands.workspace import Workspace
    from mlops_assets.sandbox.simulation import advance, init_sandbox

    last = FIRST_DAY + dt.timedelta(days=days)
    workspace = Workspace.of_one_process(Path(home), _config(Path(home) / "configs", segments)).covering(last)
    arguments = sandbox_arguments(workspace)
    init_sandbox(
        **arguments, subscribers=subscribers, devices=devices, first_day=FIRST_DAY, days=0, seed=1, events=[],
        on_day=None,
    )  # fmt: skip
    spent: list[float] = []
    with workspace.open_instance() as instance:
        replay = Replay(workspace, instance)
        for number in range(days):
            advance(**arguments, days=1)
            day, start = FIRST_DAY + dt.timedelta(days=number), Usage.taken()
            (result,) = replay.run(day, day, lambda _: None)
            spent.append(Usage.taken().since(start).cpu_s)
            if result.status != "built":
                raise BenchmarkFailedError(f"{day} {result.status}: {result.findings}")
    return spent


def _config(folder: Path, segments: int) -> ProjectConfig:
    """Return the project's configuration with so many geographies, none of which trains anything."""
    from mlops_assets.config.loader import PROJECT_CONFIGS, load_project

    folder.mkdir(parents=True)
    added = {f"c{number}": _NEW_GEOGRAPHY for number in range(2, segments)}
    if added:
        (folder / "geographies.yaml").write_text(yaml.safe_dump({"geographies": added}))
    config = one_geography() if segments == 1 else load_project([PROJECT_CONFIGS, folder])
    return config.model_copy(update={"use_cases": {name: {} for name in config.use_cases}})
