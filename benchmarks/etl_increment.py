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
from benchmarks.measuring import GB, Goal, Line, Measured, Usage, in_turns, least_cpu_s, run_fresh
from benchmarks.operator_data import day_number, feed_files, work_folder

NAME = "etl_increment"
WINDOW_DAYS, NEXT_DAYS, ROUNDS = 30, 4, 2


@dataclass(frozen=True)
class Increment:
    """CPU seconds and peak of one more day, beside the CPU seconds of its 30-day window from the files."""

    cpu_s: float
    peak_gb: float
    window_cpu_s: float
    sizes: Mapping[str, Any]
    seconds: float


def rebuild_window(landing: str, home: str) -> None:
    """Make the tables of day 30 from the files of its window: nothing is built that they do not read."""
    from benchmarks.subscriber_etl import SUBSCRIBER_FEEDS, SUBSCRIBER_TABLES, days, open_site

    site = open_site(landing, home)
    for day in days(1, WINDOW_DAYS):
        site.land(SUBSCRIBER_FEEDS, day)
        site.build(["etl/purchases_daily"], day)
    site.build(
        [table for table in SUBSCRIBER_TABLES if table != "etl/purchases_daily"], day_number(WINDOW_DAYS)
    )


def build_next_days(landing: str, home: str) -> list[float]:
    """Land and build the days after the window, one after another; return the CPU seconds of each."""
    from benchmarks.subscriber_etl import days, open_site

    site, spent = open_site(landing, home), []
    for day in days(WINDOW_DAYS + 1, WINDOW_DAYS + NEXT_DAYS):
        start = Usage.taken()
        site.run_day(day)
        spent.append(Usage.taken().since(start).cpu_s)
    return spent


@lru_cache(maxsize=4)
def increment_of(subscribers: int) -> Increment:
    """Rebuild a window, then add days in a process of its own; twice, and the best of each counts.

    The first of the added days warms the process up and does not count.
    """
    started = Usage.taken()
    files, home = feed_files(subscribers, WINDOW_DAYS + NEXT_DAYS), work_folder() / f"increment_{subscribers}"
    arguments = {"landing": str(files.landing), "home": str(home)}

    def window() -> Measured:
        shutil.rmtree(home, ignore_errors=True)
        return run_fresh("benchmarks.etl_increment:rebuild_window", arguments)

    def next_days() -> Measured:
        return run_fresh("benchmarks.etl_increment:build_next_days", arguments)

    windows, added = in_turns(ROUNDS, window, next_days)
    shutil.rmtree(home)
    sizes = {"subscribers": subscribers, "window_days": WINDOW_DAYS, "days": NEXT_DAYS - 1, "rounds": ROUNDS}
    return Increment(
        cpu_s=min(min(one.result[1:]) for one in added),
        peak_gb=max(one.peak_bytes for one in added) / GB,
        window_cpu_s=least_cpu_s(windows),
        sizes=sizes,
        seconds=Usage.taken().since(started).wall_s,
    )


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
