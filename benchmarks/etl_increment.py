"""etl_increment: what one more day costs, against recomputing its window, by size.

Belongs here: landing a day's subscriber feeds and building all subscriber tables of that day. Devices and
scores are not part of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from benchmarks.etl_ratio import LABELS_PER_CPU_S, history_of
from benchmarks.measuring import GB, Goal, Line, Usage, run_fresh
from benchmarks.operator_data import day_number, feed_files, work_folder

NAME = "etl_increment"
WINDOW_DAYS = 30


@dataclass(frozen=True)
class Increment:
    """Cost of building day 31 (`cpu_s`, `peak_gb`) beside that of its 30-day window from the files."""

    cpu_s: float
    peak_gb: float
    window_cpu_s: float
    sizes: Mapping[str, Any]
    seconds: float


def build_days(landing: str, home: str, first: int, last: int) -> float:
    """Land and build days by number; return their CPU seconds."""
    from benchmarks.subscriber_etl import days, open_site

    site = open_site(landing, home)
    start = Usage.taken()
    for day in days(first, last):
        site.run_day(day)
    return Usage.taken().since(start).cpu_s


@lru_cache(maxsize=4)
def increment_of(subscribers: int) -> Increment:
    """Build 30 days, then one more in a process of its own, and measure both."""
    started = Usage.taken()
    files, home = feed_files(subscribers, WINDOW_DAYS + 1), work_folder() / f"increment_{subscribers}"
    shutil.rmtree(home, ignore_errors=True)
    shared = {"landing": str(files.landing), "home": str(home)}
    target = "benchmarks.etl_increment:build_days"
    window = run_fresh(target, {**shared, "first": 1, "last": WINDOW_DAYS})
    day = run_fresh("benchmarks.etl_increment:build_last_day", shared)
    shutil.rmtree(home)
    sizes = {"subscribers": subscribers, "window_days": WINDOW_DAYS}
    seconds = Usage.taken().since(started).wall_s
    return Increment(day.result, day.peak_bytes / GB, window.result, sizes, seconds)


def build_last_day(landing: str, home: str) -> float:
    """Build day 31 twice, the first time over a copy's worth of compilation; return the CPU seconds of the second."""
    from benchmarks.operator_data import GEOGRAPHY
    from benchmarks.subscriber_etl import SUBSCRIBER_FEEDS, SUBSCRIBER_TABLES, open_site
    from mlops_assets.domain.ports import PartitionId

    site, last = open_site(landing, home), day_number(WINDOW_DAYS + 1)
    site.run_day(last)
    for table in (*SUBSCRIBER_TABLES, *(f"feeds/{feed}" for feed in SUBSCRIBER_FEEDS)):
        site.lake.remove(PartitionId(table, GEOGRAPHY, last))
    start = Usage.taken()
    site.run_day(last)
    return Usage.taken().since(start).cpu_s


def run(*, quick: bool) -> Iterator[Line]:
    """Yield increment against window, its absolute cost, its growth, and the corpus' throughput."""
    sizes = (20_000, 40_000) if quick else (100_000, 300_000, 1_000_000)
    measured = [increment_of(size) for size in sizes]
    largest, smallest = measured[-1], measured[0]
    yield Line(
        NAME,
        largest.cpu_s,
        "CPU s",
        Goal("ratio", 0.10),
        largest.sizes,
        largest.seconds,
        part="against its window",
        peer="the 30-day window from the files",
        peer_value=largest.window_cpu_s,
        is_quick=quick,
    )
    yield Line(
        NAME,
        largest.cpu_s,
        "CPU s",
        Goal("value", 6.0),
        largest.sizes,
        largest.seconds,
        part="one day",
        is_quick=quick,
    )
    per_million = [one.cpu_s / size * 1e6 for one, size in zip(measured, sizes, strict=True)]
    yield Line(
        NAME,
        per_million[-1],
        "CPU s per million subscribers",
        Goal("ratio", 1.25),
        {"subscribers": list(sizes)},
        sum(one.seconds for one in measured),
        part="growth",
        peer=f"at {smallest.sizes['subscribers']:,} subscribers",
        peer_value=per_million[0],
        is_quick=quick,
        facts={f"cpu_s_at_{size}": one.cpu_s for one, size in zip(measured, sizes, strict=True)},
    )
    yield _corpus_line(quick=quick)


def _corpus_line(*, quick: bool) -> Line:
    rounds = history_of(quick=quick)
    labels = rounds.sizes["labels"]
    ours = labels / min(m.result["cpu_s"]["corpus"] for m in rounds.platform)
    as_of = labels / min(m.cpu_s for m in rounds.as_of_join)
    goal = Goal("value", LABELS_PER_CPU_S / 20 if quick else LABELS_PER_CPU_S, is_at_most=False)
    return Line(
        NAME,
        ours,
        "labels per CPU s",
        goal,
        rounds.sizes,
        rounds.seconds,
        part="point-in-time corpus",
        peer="as-of join",
        peer_value=as_of,
        is_quick=quick,
    )
