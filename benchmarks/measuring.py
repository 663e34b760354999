"""How benchmarks measure: lines with computed verdicts, fresh processes, CPU seconds and peak memory.

Belongs here: what all benchmarks share. Does not belong here: what any of them measures.
CPU seconds are user + system of a process and its children; memory is the peak resident size of a fresh process.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

PROJECT = Path(__file__).resolve().parents[1]
GB = 1024**3
_DIGITS = 4  # significant, in printed lines


@dataclass(frozen=True)
class Goal:
    """A limit on a line's `value` or `ratio`."""

    of: Literal["value", "ratio"]
    limit: float
    is_at_most: bool = True

    def holds(self, figure: float | None) -> bool:
        """Compare; an absent figure never holds."""
        if figure is None:
            return False
        return figure <= self.limit if self.is_at_most else figure >= self.limit

    def __str__(self) -> str:
        return f"{self.of} {'<=' if self.is_at_most else '>='} {self.limit:g}"


@dataclass(frozen=True)
class Line:
    """One printed result.

    Attributes:
        name: of the benchmark.
        part: which of its goals, where it has several.
        value: what was measured, in `unit`.
        peer: what it was measured beside, and `peer_value` in the same unit.
        ratio: value / peer_value, where there is a peer.
        sizes: rows, days, rounds, ...: what was measured.
        seconds: wall time that producing this line took.
        is_quick: sizes were shrunk and the goal is the looser one for small sizes.
        facts: further figures worth keeping.
    """

    name: str
    value: float
    unit: str
    goal: Goal
    sizes: Mapping[str, Any]
    seconds: float
    part: str = ""
    peer: str = ""
    peer_value: float | None = None
    is_quick: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Value / peer_value."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def holds(self) -> bool:
        """Say whether the goal is reached."""
        return self.goal.holds(self.value if self.goal.of == "value" else self.ratio)

    def to_dict(self) -> dict[str, Any]:
        """Return the line as JSON values, numbers rounded."""
        line = {
            "name": self.name,
            "part": self.part,
            "value": _rounded(self.value),
            "unit": self.unit,
            "peer": self.peer,
            "peer_value": _rounded(self.peer_value),
            "ratio": _rounded(self.ratio),
            "goal": str(self.goal),
            "holds": self.holds,
            "quick": self.is_quick,
            "sizes": dict(self.sizes),
            "seconds": round(self.seconds, 1),
            "facts": {key: _rounded(value) for key, value in self.facts.items()},
        }
        return {key: value for key, value in line.items() if value not in ("", {}, None)}


class BenchmarkSkippedError(Exception):
    """A benchmark cannot run here; the message says why."""


class BenchmarkFailedError(Exception):
    """What was to be measured did not work, or both sides disagree; no figure is reported."""


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


@dataclass(frozen=True)
class Usage:
    """What a piece of work took."""

    cpu_s: float
    wall_s: float

    @classmethod
    def taken(cls) -> Usage:
        """Return what this process and its finished children have used so far."""
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        return cls(cpu_s, time.perf_counter())

    def since(self, start: Usage) -> Usage:
        """Return the difference."""
        return Usage(self.cpu_s - start.cpu_s, self.wall_s - start.wall_s)


@dataclass(frozen=True)
class Measured:
    """Result and cost of a function that ran in a process of its own."""

    result: Any
    cpu_s: float
    wall_s: float
    peak_bytes: int


def measure(function: Callable[[], Any]) -> Measured:
    """Call a function here and measure it; the peak is that of this whole process so far."""
    start = Usage.taken()
    result = function()
    used = Usage.taken().since(start)
    return Measured(result, used.cpu_s, used.wall_s, peak_bytes())


def peak_bytes() -> int:
    """Return the peak resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run_fresh(
    target: str, arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> Measured:
    """Run `package.module:function` in a fresh process and return its result and cost.

    Args:
        target: the function; imports that it makes itself count, those of its module do not.
        arguments: JSON values by parameter.
        environment: variables to set for the process.

    Raises:
        BenchmarkFailedError: the process ended with an error; it is shown above.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [
            sys.executable,
            "-m",
            "benchmarks.worker",
            target,
            json.dumps(dict(arguments)),
            str(answer),
        ]
        done = subprocess.run(
            command, cwd=PROJECT, env=environment_of(environment), stdout=sys.stderr, check=False
        )
        if done.returncode:
            raise BenchmarkFailedError(f"{target} ended with status {done.returncode}")
        return Measured(**json.loads(answer.read_text()))


def run_command(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Usage:
    """Run a command to its end, its output on standard error, and return what it and its children used."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=PROJECT, env=environment_of(environment), stdout=sys.stderr)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkFailedError(f"{' '.join(command)} ended with status {process.returncode}")
    return Usage(used.ru_utime + used.ru_stime, time.perf_counter() - start)


def in_turns(rounds: int, *sides: Callable[[], Measured]) -> list[list[Measured]]:
    """Measure sides in turns, A B A B, so that both meet the same machine; return the rounds of each side."""
    measured: list[list[Measured]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, measured, strict=True):
            found.append(side())
    return measured


def least_cpu_s(rounds: Sequence[Measured]) -> float:
    """Return the CPU seconds of the best round: noise only ever adds."""
    return min(one.cpu_s for one in rounds)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return float(statistics.median(values))


def environment_of(extra: Mapping[str, str] | None) -> dict[str, str]:
    # Nothing of the caller's own platform may leak into a measurement.
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "DAGSTER_"))
    }
    paths = [str(PROJECT), *inherited.get("PYTHONPATH", "").split(os.pathsep)]
    return {**inherited, "PYTHONPATH": os.pathsep.join(p for p in paths if p), **(extra or {})}
