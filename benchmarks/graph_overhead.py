"""graph_overhead: a day of the daily graph through Dagster beside the same domain functions called directly.

Belongs here: CPU seconds of the same day over the same files, in two fresh processes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Goal, Line, Usage, median, run_fresh
from benchmarks.operator_data import FeedFiles, day_number, feed_files, one_geography, work_folder

NAME = "graph_overhead"
WARM_DAYS = 2


def run_graph(landing: str, home: str, days: int) -> list[float]:
    """Run days through Dagster as `mlops run` does; return the CPU seconds of each."""
    from mlops_assets.commands.replay import Replay
    from mlops_assets.commands.workspace import Workspace

    Path(home).mkdir(parents=True)
    (Path(home) / "landing").symlink_to(landing)
    os.environ["DAGSTER_HOME"] = str(Path(home) / "dagster_home")
    spent: list[float] = []
    workspace = Workspace.of_one_process(Path(home), one_geography())
    with workspace.open_instance() as instance:
        replay = Replay(workspace, instance)
        for number in range(1, days + 1):
            start, day = Usage.taken(), day_number(number)
            (result,) = replay.run(day, day, lambda _: None)
            spent.append(Usage.taken().since(start).cpu_s)
            if result.status not in ("built", "incomplete"):
                raise RuntimeError(f"{day} {result.status}: {result.findings}")
    return spent


def run_direct(landing: str, home: str, days: int) -> list[float]:
    """Call the domain functions of the same days directly; return the CPU seconds of each."""
    from benchmarks.subscriber_etl import open_site
    from mlops_assets.domain.features.build import build_table
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES, feeds_behind
    from mlops_assets.domain.feeds.landing import land_feed
    from mlops_assets.domain.quality.feature_watch import compare_features
    from mlops_assets.domain.quality.monitor_day import MonitorDay
    from mlops_assets.domain.quality.monitor_tables import KERNEL, monitor_table
    from mlops_assets.domain.quality.subscriber_counts import count_subscribers
    from mlops_assets.domain.quality.subscriber_tables import subscriber_tables
    from mlops_assets.domain.quality.watched_features import WATCHED_TABLES
    from mlops_assets.domain.reporting.monitor_reports import render_monitor_day, render_summary_day

    config = one_geography()
    site = open_site(landing, home, config.environment.executor.cores)
    spent: list[float] = []
    for number in range(1, days + 1):
        start, day = Usage.taken(), day_number(number)
        for code, geography in config.geographies.items():
            chain = config.geography_chain(code)
            for feed in config.daily_feeds():
                land_feed(
                    feed, geography, chain, day, landing=site.landing, lake=site.lake, engine=site.engine
                )
            for table in FEATURE_TABLES.values():
                build_table(table, code, day, lake=site.lake, engine=site.engine)
            for spec in config.monitors.values():
                in_country = spec.in_country(geography.country)
                monitored = MonitorDay(
                    in_country, feeds_behind(spec.table), code, day, site.lake, site.engine
                )
                for table in (
                    *subscriber_tables(monitor_table(spec.name, KERNEL), spec.ranges),
                    *(WATCHED_TABLES[name] for name in spec.features.tables),
                ):
                    build_table(table, code, day, lake=site.lake, engine=site.engine)
                compare_features(monitored)
                for act in (monitored.build_kernel, monitored.judge, monitored.decide):
                    act()
                count_subscribers(code, day, lake=site.lake, engine=site.engine)  # for the check
                render_monitor_day(monitored)
        monitors, codes = list(config.monitors.values()), sorted(config.geographies)
        render_summary_day(config.daily_feeds(), codes, monitors, day, day, site.lake)
        spent.append(Usage.taken().since(start).cpu_s)
    return spent


def _compare(files: FeedFiles, days: int) -> tuple[float, float, float]:
    started, folder = Usage.taken(), work_folder() / "graph"
    shutil.rmtree(folder, ignore_errors=True)
    sides = []
    for name in ("run_graph", "run_direct"):
        arguments = {"landing": str(files.landing), "home": str(folder / name), "days": days}
        sides.append(median(run_fresh(f"benchmarks.graph_overhead:{name}", arguments).result[WARM_DAYS:]))
    shutil.rmtree(folder)
    return sides[0], sides[1], Usage.taken().since(started).wall_s


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the surplus at 20,000 subscribers and the ratio at one million."""
    graph, direct, seconds = _compare(feed_files(20_000, 45 if quick else 31), 8)
    sizes = {"subscribers": 20_000, "geographies": 1, "days": 8}
    facts = {"graph_cpu_s": graph, "direct_cpu_s": direct}
    yield Line(
        NAME,
        graph - direct,
        "CPU s a day",
        Goal("value", 2.0),
        sizes,
        seconds,
        part="surplus",
        facts=facts,
        is_quick=quick,
    )
    size = 100_000 if quick else 1_000_000
    graph, direct, seconds = _compare(feed_files(size, 31), 4)
    sizes = {"subscribers": size, "geographies": 1, "days": 4}
    goal = Goal("ratio", 2.5 if quick else 1.5)
    yield Line(
        NAME, graph, "CPU s a day", goal, sizes, seconds, part="ratio", peer="domain functions called directly",
        peer_value=direct, is_quick=quick,
    )  # fmt: skip
