"""demo_time and demo_memory: `mlops demo` in a fresh data root.

Belongs here: wall time and peak memory of the demo as a user runs it; one run serves both.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from benchmarks.measuring import GB, PROJECT, BenchmarkFailedError, Goal, Line, environment_of
from benchmarks.operator_data import work_folder

SIZES = {"subscribers": 20_000, "days": 56, "geographies": 2}
QUICK_SIZES = {"subscribers": 2_000, "days": 5, "geographies": 2}


@dataclass(frozen=True)
class DemoRun:
    """Wall seconds and peak resident size of the whole process tree."""

    wall_s: float
    peak_gb: float


@lru_cache(maxsize=2)
def demo_run(subscribers: int, days: int) -> DemoRun:
    """Run the demo in a fresh data root."""
    home = work_folder() / "demo"
    shutil.rmtree(home, ignore_errors=True)
    command = [
        str(Path(sys.executable).with_name("mlops")),
        "demo",
        "--subscribers",
        str(subscribers),
        "--days",
        str(days),
    ]
    started, peak = time.perf_counter(), 0
    environment = environment_of({"MLOPS_HOME": str(home), "DAGSTER_HOME": str(home / "dagster_home")})
    process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=sys.stderr)
    while process.poll() is None:
        peak = max(peak, _resident_bytes(process.pid))
        time.sleep(0.2)
    if process.returncode:
        raise BenchmarkFailedError(f"the demo ended with status {process.returncode}")
    shutil.rmtree(home)
    return DemoRun(time.perf_counter() - started, peak / GB)


def _resident_bytes(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        return total
    return total


def run_time(*, quick: bool) -> Iterator[Line]:
    """Yield the wall time."""
    sizes = QUICK_SIZES if quick else SIZES
    done = demo_run(sizes["subscribers"], sizes["days"])
    yield Line("demo_time", done.wall_s, "s", Goal("value", 240.0), sizes, done.wall_s, is_quick=quick)


def run_memory(*, quick: bool) -> Iterator[Line]:
    """Yield the peak memory."""
    sizes = QUICK_SIZES if quick else SIZES
    done = demo_run(sizes["subscribers"], sizes["days"])
    yield Line("demo_memory", done.peak_gb, "GB", Goal("value", 3.0), sizes, done.wall_s, is_quick=quick)
