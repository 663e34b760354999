"""first_ten_minutes, demo_time and demo_memory: `mlops demo` in a fresh data root.

Belongs here: wall time, CPU time and peak memory of the demo as a user runs it, and what came true of its story; one
run serves all lines.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil

from benchmarks.measuring import GB, PROJECT, BenchmarkFailedError, Goal, Line, Usage, environment_of
from benchmarks.operator_data import work_folder
from mlops_assets.commands.demo import DEVICES, SUBSCRIBERS
from mlops_assets.commands.demo_story import STORY_DAYS

SIZES = {"subscribers": SUBSCRIBERS, "devices": DEVICES, "days": STORY_DAYS, "geographies": 2}
QUICK_SIZES = {"subscribers": 1_000, "devices": 40, "days": 5, "geographies": 2}
_HELD = re.compile(r"(\d+) of (\d+) chapters came true")
_WARNING = re.compile(r"warning", re.IGNORECASE)


@dataclass(frozen=True)
class DemoRun:
    """Wall and CPU seconds, peak resident size of the whole process tree, chapters that came true, warnings told."""

    wall_s: float
    cpu_s: float
    peak_gb: float
    held: int
    chapters: int
    warnings: int


@lru_cache(maxsize=2)
def demo_run(subscribers: int, devices: int, days: int) -> DemoRun:
    """Run the demo in a fresh data root."""
    home = work_folder() / "demo"
    shutil.rmtree(home, ignore_errors=True)
    sizes = {"subscribers": subscribers, "devices": devices, "days": days}
    options = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    command = [str(Path(sys.executable).with_name("mlops")), "demo", *options]
    environment = environment_of({"MLOPS_HOME": str(home), "DAGSTER_HOME": str(home / "dagster_home")})
    log, started, peak = work_folder() / "demo.log", Usage.taken(), 0
    with log.open("w") as told:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=told, stderr=told)
        while process.poll() is None:
            peak = max(peak, _resident_bytes(process.pid))
            time.sleep(0.2)
    used, text = Usage.taken().since(started), log.read_text()
    sys.stderr.write(text)
    found = _HELD.search(text)
    if process.returncode not in (0, 1) or found is None:
        raise BenchmarkFailedError(f"the demo ended with status {process.returncode}")
    shutil.rmtree(home)
    return DemoRun(
        used.wall_s, used.cpu_s, peak / GB, int(found[1]), int(found[2]), len(_WARNING.findall(text))
    )


def _resident_bytes(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        return total
    return total


def _run(*, quick: bool) -> tuple[dict[str, int], DemoRun]:
    sizes = QUICK_SIZES if quick else SIZES
    return sizes, demo_run(sizes["subscribers"], sizes["devices"], sizes["days"])


def run_first_minutes(*, quick: bool) -> Iterator[Line]:
    """Yield the wall time from the command to the summary page, and the chapters that did not come true."""
    sizes, done = _run(quick=quick)
    facts = {"cpu_s": done.cpu_s, "peak_gb": done.peak_gb, "warnings": done.warnings}
    yield Line(
        "first_ten_minutes",
        done.wall_s,
        "s",
        Goal("value", 360.0),
        sizes,
        done.wall_s,
        is_quick=quick,
        facts=facts,
    )
    missed, facts = done.chapters - done.held, {"chapters": done.chapters}
    yield Line(
        "first_ten_minutes", missed, "chapters", Goal("value", 0), sizes, done.wall_s,
        part="did not come true", is_quick=quick, facts=facts,
    )  # fmt: skip


def run_time(*, quick: bool) -> Iterator[Line]:
    """Yield the wall time."""
    sizes, done = _run(quick=quick)
    yield Line("demo_time", done.wall_s, "s", Goal("value", 360.0), sizes, done.wall_s, is_quick=quick)


def run_memory(*, quick: bool) -> Iterator[Line]:
    """Yield the peak memory."""
    sizes, done = _run(quick=quick)
    yield Line("demo_memory", done.peak_gb, "GB", Goal("value", 3.0), sizes, done.wall_s, is_quick=quick)
