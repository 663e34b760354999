"""Table work over a whole history, by the platform and by pandas, measured in turns and compared.

Both sides read the same files of one geography and write the same tables:
    1. every feed of every day homologated (usage merged to one row per subscriber and file day),
    2. the feature snapshot of the last day,
    3. the point-in-time training corpus of the churn use case (as-of days from its own split).
The platform goes day by day, with the domain functions that the graph calls, in as many processes of one
thread as the local executor runs steps at a time; what those publish on the way (states of windows on the
snapshot days, daily purchases, churn events, manifests) is its own affair and counts. Its memory is the sum of
the peaks of all processes that live at the same time.
pandas reads the whole history, then works on frames in memory. Unequal tables are a failure, not a figure.
Neither side judges deliveries (the feed gate) or makes the panels of the quality stage: etl_increment has both.

Belongs here: the functions that run in fresh processes, and their comparison. Does not belong here: goals.
"""

from __future__ import annotations

import datetime as dt
import importlib
import multiprocessing
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from benchmarks.measuring import BenchmarkFailedError, Measured, Usage, in_turns, peak_bytes, run_fresh
from benchmarks.operator_data import (
    FIRST_DAY,
    GEOGRAPHY,
    SUBSCRIBER_FEEDS,
    day_number,
    feed_files,
    one_geography,
    work_folder,
)
from benchmarks.subscriber_etl import SUBSCRIBER_TABLES, Site, days, open_site
from mlops_assets.domain.learning.lake_tables import corpus_table
from mlops_assets.domain.learning.spec import EventLabel, ModelSpec, TimeSplit
from mlops_assets.domain.learning.splits import SplitPlan, plan_time_split
from mlops_assets.domain.ports import PartitionId, ViewSource

USE_CASE, MODEL = "churn", "churn_risk"
FEATURE_TABLE = "etl/subscriber_features"
# Made of one day alone; the others are built on the days whose snapshots are asked for.
_EVERY_DAY = ("etl/purchases_daily", "etl/churn_events")
_OF_THE_QUALITY_STAGE = ("etl/plan_usage_daily",)
_PARQUET_FEEDS = ("usage", "subscribers", "plan_purchases", "offers_sent")
_TOLERANCE = 1e-4  # relative; the platform keeps features as float32
_PANDAS_NAMES = {
    "feeds/usage": "usage", "feeds/topups": "topups", "feeds/plan_purchases": "purchases",
    "feeds/offers_sent": "offers",
    "feeds/subscribers": "subscribers", "feeds/plans": "plans", "feeds/dna": "dna", FEATURE_TABLE: "snapshot",
    "corpus": "corpus",
}  # fmt: skip


def split_plan(last_day: dt.date) -> SplitPlan:
    """Return the as-of days that the churn use case asks for when `last_day` is the newest."""
    use_case = one_geography().use_cases[USE_CASE][GEOGRAPHY]
    label, split = use_case.models[MODEL].label, use_case.corpus.split
    if not isinstance(label, EventLabel) or not isinstance(split, TimeSplit):
        raise BenchmarkFailedError("the churn use case no longer has an event label and a time split")
    return plan_time_split(FIRST_DAY, last_day, label.horizon_days, split, use_case.corpus.min_history_days)


# ---------------------------------------------------------------- run in fresh processes


def run_platform(landing: str, home: str, day_count: int) -> dict[str, Any]:
    """Make the tables with as many processes as the local executor runs; return what they took.

    CPU seconds by feed and table, rows of the corpus, peak memory of parent and workers together.
    """
    last_day, cores = day_number(day_count), one_geography().environment.executor.max_concurrent
    # Forked with the libraries loaded, as steps are by the executor's warm fork server.
    preload()
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("fork")) as pool:
        steps = _run_steps(pool, cores, partial(run_step, landing, home), _history_steps(day_count))
    # The workers have ended when the corpus is built: it has their cores.
    peaks = {step["process"]: step["peak_bytes"] for step in steps}
    together_bytes, start = peak_bytes() + sum(peaks.values()), Usage.taken()
    rows = _build_corpus(open_site(landing, home, threads=cores), last_day)
    cpu_s: dict[str, float] = defaultdict(float, corpus=Usage.taken().since(start).cpu_s)
    for step in steps:
        for name, spent_s in step["cpu_s"].items():
            cpu_s[name] += spent_s
    return {"cpu_s": dict(cpu_s), "corpus_rows": rows, "peak_bytes": together_bytes}


def preload() -> None:
    """Import what table work needs, as the executor's warm fork server does."""
    for module in ("duckdb", "ibis.backends.sql.compilers", "pyarrow.parquet"):
        importlib.import_module(module)


@dataclass(frozen=True, order=True)
class Step:
    """One day's landing, or one day of one table. The order is that in which ready steps are started."""

    rank: int
    day: dt.date
    feeds: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


def _history_steps(day_count: int) -> dict[Step, list[Step]]:
    """Return all steps with those that they wait for.

    A window goes from one snapshot day to the next; a snapshot needs only the windows of its day.
    """
    last_day = day_number(day_count)
    windows = [
        name for name in SUBSCRIBER_TABLES if name not in (*_EVERY_DAY, *_OF_THE_QUALITY_STAGE, FEATURE_TABLE)
    ]
    steps: dict[Step, list[Step]] = {
        Step(2, day, SUBSCRIBER_FEEDS, _EVERY_DAY): [] for day in days(1, day_count)
    }
    landings, previous = list(steps), dict[str, Step]()
    for day in [*split_plan(last_day).days, last_day]:
        delivered = [landing for landing in landings if landing.day <= day]
        of_day = {name: Step(0, day, tables=(name,)) for name in windows}
        for name, step in of_day.items():
            steps[step] = [*delivered, *([previous[name]] if name in previous else [])]
        steps[Step(1, day, tables=(FEATURE_TABLE,))] = list(of_day.values())
        previous = of_day
    return steps


def _run_steps(
    pool: ProcessPoolExecutor,
    most_running: int,
    run: Callable[[Step], dict[str, Any]],
    steps: Mapping[Step, Sequence[Step]],
) -> list[dict[str, Any]]:
    """Run every step once those are done that it waits for; return what each took."""
    sorter, ready, done = TopologicalSorter(steps), list[Step](), []
    running: dict[Future[dict[str, Any]], Step] = {}
    sorter.prepare()
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        while ready and len(running) < most_running:
            step = ready.pop(0)
            running[pool.submit(run, step)] = step
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            done.append(future.result())
            sorter.done(running.pop(future))
    return done


def run_step(landing: str, home: str, step: Step) -> dict[str, Any]:
    """Land feeds and build tables of a day in this process; return CPU seconds by name, and its peak so far."""
    site, cpu_s = _site_of(landing, home), defaultdict(float)
    for name, work in [(f"feeds/{feed}", partial(site.land, [feed])) for feed in step.feeds] + [
        (table, partial(site.build, [table])) for table in step.tables
    ]:
        start = Usage.taken()
        work(step.day)
        cpu_s[name] += Usage.taken().since(start).cpu_s
    return {"cpu_s": dict(cpu_s), "peak_bytes": peak_bytes(), "process": os.getpid()}


@lru_cache(maxsize=1)
def _site_of(landing: str, home: str) -> Site:
    """Open the site once per process; the environment of the platform does the same."""
    return open_site(landing, home, is_judging=False)


def _build_corpus(site: Site, last_day: dt.date) -> int:
    from mlops_assets.domain.learning.corpus import CorpusRequest, build_corpus

    use_case = site.config.use_cases[USE_CASE][GEOGRAPHY]
    request = CorpusRequest(USE_CASE, MODEL, use_case.corpus, use_case.models[MODEL], GEOGRAPHY)
    outcome = build_corpus(
        request, as_of_day=last_day, first_day=FIRST_DAY, lake=site.lake, engine=site.engine
    )
    return outcome.manifest.row_count


def run_pandas(landing: str, target: str, day_count: int) -> None:
    """Make the same tables with pandas and write one Parquet file each."""
    from benchmarks import pandas_etl, pandas_feeds

    config, last_day = one_geography(), day_number(day_count)
    plan, folder = split_plan(last_day), Path(target)
    folder.mkdir(parents=True)
    history = pandas_feeds.read_history(
        Path(landing) / GEOGRAPHY, list(days(1, day_count)), config.geographies[GEOGRAPHY]
    )
    for name, frame in vars(history).items():
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    pandas_etl.build_snapshot(history, last_day, FIRST_DAY).to_parquet(
        folder / "snapshot.parquet", index=False
    )
    parts = {day: plan.part_of(day) for day in plan.days}
    corpus = pandas_etl.build_corpus(history, parts, plan.horizon_days, FIRST_DAY, _corpus_columns(_model()))
    corpus.to_parquet(folder / "corpus.parquet", index=False)


def _model() -> ModelSpec:
    return one_geography().use_cases[USE_CASE][GEOGRAPHY].models[MODEL]


def _corpus_columns(model: ModelSpec) -> list[str]:
    return list(dict.fromkeys([*model.features, *model.gate.segment_columns]))


def scan(landing: str, day_count: int, feeds: list[str]) -> None:
    """Read every value of Parquet feeds once: one aggregate a column, on as many cores as the platform uses."""
    import duckdb

    config = one_geography()
    with duckdb.connect(config={"threads": config.environment.executor.max_concurrent}) as connection:
        for feed in feeds:
            contract = config.feeds[feed].for_geography(config.geography_chain(GEOGRAPHY))
            names = [str(Path(landing) / GEOGRAPHY / contract.file_name(day)) for day in days(1, day_count)]
            columns = [
                row[0] for row in connection.execute("DESCRIBE FROM read_parquet(?)", [names[:1]]).fetchall()
            ]
            greatest = ", ".join(f'max("{column}")' for column in columns)
            connection.execute(f"SELECT {greatest} FROM read_parquet(?)", [names]).fetchall()


def join_as_of(home: str, landing: str, day_count: int, target: str) -> int:
    """Make the corpus the other way: an as-of join of the same labels to the daily snapshots there are."""
    site, plan = open_site(landing, home), split_plan(day_number(day_count))
    columns = ", ".join(f"s.{name}" for name in _corpus_columns(_model()))
    labels = _labels_view(site, plan)
    import duckdb

    snapshots = [(day, site.lake.path(PartitionId(FEATURE_TABLE, GEOGRAPHY, day))) for day in plan.days]
    dated = " UNION ALL ".join(f"SELECT *, DATE '{day}' AS day FROM '{path}'" for day, path in snapshots)
    memory_limit = site.config.environment.engine.memory_limit
    with duckdb.connect(config={"threads": 1, "memory_limit": memory_limit}) as connection:
        # A table of the engine's own has a known size; without it the engine picks nested loops.
        connection.register("given_labels", labels.table)
        connection.execute("CREATE TEMP TABLE labels AS FROM given_labels")
        rows = connection.execute(
            f"COPY (SELECT l.*, {columns} FROM labels l ASOF JOIN ({dated}) s "
            "ON l.subscriber_id = s.subscriber_id AND l.as_of_day >= s.day ORDER BY l.as_of_day, l.subscriber_id) "
            f"TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
        ).fetchone()
    return int(rows[0]) if rows else 0


def _labels_view(site: Site, plan: SplitPlan) -> ViewSource:
    """Return subscriber, as-of day, part and label of the platform's corpus."""
    corpus = site.lake.path(PartitionId(corpus_table(USE_CASE, MODEL), GEOGRAPHY))
    sql = "SELECT subscriber_id, as_of_day, split, label FROM corpus"
    if not plan.days:
        raise BenchmarkFailedError("no as-of day")
    return ViewSource(table=site.engine.fetch(sql, {"corpus": ViewSource(files=[corpus])}))


def compare(landing: str, home: str, target: str, day_count: int) -> dict[str, Any]:
    """Compare rows and column sums of both sides' tables; return what differs, by table."""
    site, last_day = open_site(landing, home), day_number(day_count)
    different = {}
    for table, name in _PANDAS_NAMES.items():
        partitions = [PartitionId(table, GEOGRAPHY, day) for day in days(1, day_count)]
        if table == FEATURE_TABLE:
            partitions = [PartitionId(table, GEOGRAPHY, last_day)]
        if table == "corpus":
            partitions = [PartitionId(corpus_table(USE_CASE, MODEL), GEOGRAPHY)]
        ours = ViewSource(files=[site.lake.path(p) for p in partitions])
        found = _differences(site, ours, Path(target) / f"{name}.parquet")
        if found:
            different[table] = found
    return different


def _differences(site: Site, ours: ViewSource, theirs: Path) -> dict[str, Any]:
    import duckdb

    with duckdb.connect() as connection:
        frame = connection.sql(f"SUMMARIZE FROM '{theirs}'").to_arrow_table().to_pylist()
        names = [row["column_name"] for row in frame if row["column_name"] != "file_day"]
        numbers = {
            row["column_name"]
            for row in frame
            if row["column_type"] not in ("VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMP_NS")
        }
        sql = f"SELECT count(*) AS rows, {', '.join(_digest(name, name in numbers) for name in names)} FROM "
        expected = connection.sql(f"{sql} '{theirs}'").to_arrow_table().to_pylist()[0]
    got = site.engine.fetch(f"{sql} ours", {"ours": ours}).to_pylist()[0]
    return {key: [got[key], expected[key]] for key in expected if not _agree(got[key], expected[key])}


def _digest(name: str, is_number: bool) -> str:  # noqa: FBT001
    if is_number:
        return f'coalesce(sum(CAST("{name}" AS DOUBLE)), 0.0) AS "{name}", count("{name}") AS "{name} values"'
    return f'count("{name}") AS "{name} values", count(DISTINCT CAST("{name}" AS VARCHAR)[:19]) AS "{name} distinct"'


def _agree(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= _TOLERANCE * max(1.0, abs(theirs))


# ---------------------------------------------------------------- in turns


@dataclass(frozen=True)
class HistoryRounds:
    """Both sides and the scans, measured in turns over the same files."""

    platform: list[Measured]
    pandas: list[Measured]
    scan: list[Measured]
    usage_scan: list[Measured]
    as_of_join: list[Measured]
    sizes: Mapping[str, Any]
    seconds: float


@lru_cache(maxsize=2)
def history_rounds(subscribers: int, day_count: int, rounds: int) -> HistoryRounds:
    """Measure everything once per run of the command; several benchmarks read the result."""
    files, folder = feed_files(subscribers, day_count), work_folder() / "history"
    landing, home, target = str(files.landing), str(folder / "platform"), str(folder / "pandas")
    started = Usage.taken()

    def platform() -> Measured:
        shutil.rmtree(home, ignore_errors=True)
        measured = run_fresh(
            "benchmarks.etl_runs:run_platform", {"landing": landing, "home": home, "day_count": day_count}
        )
        return replace(measured, peak_bytes=max(measured.peak_bytes, measured.result["peak_bytes"]))

    def pandas() -> Measured:
        shutil.rmtree(target, ignore_errors=True)
        return run_fresh(
            "benchmarks.etl_runs:run_pandas", {"landing": landing, "target": target, "day_count": day_count}
        )

    def scan_of(*feeds: str) -> Measured:
        return run_fresh(
            "benchmarks.etl_runs:scan", {"landing": landing, "day_count": day_count, "feeds": list(feeds)}
        )

    def as_of_join() -> Measured:
        arguments = {
            "home": home,
            "landing": landing,
            "day_count": day_count,
            "target": str(folder / "as_of.parquet"),
        }
        return run_fresh("benchmarks.etl_runs:join_as_of", arguments)

    measured = in_turns(
        rounds, lambda: scan_of(*_PARQUET_FEEDS), lambda: scan_of("usage"), platform, pandas, as_of_join
    )
    _require_equal(landing, home, target, day_count)
    rows = measured[2][0].result["corpus_rows"]
    shutil.rmtree(folder)
    sizes = {
        "subscribers": subscribers,
        "days": day_count,
        "geographies": 1,
        "rounds": rounds,
        "labels": rows,
    }
    return HistoryRounds(
        scan=measured[0], usage_scan=measured[1], platform=measured[2], pandas=measured[3], as_of_join=measured[4],
        sizes=sizes, seconds=Usage.taken().since(started).wall_s,
    )  # fmt: skip


def _require_equal(landing: str, home: str, target: str, day_count: int) -> None:
    arguments = {"landing": landing, "home": home, "target": target, "day_count": day_count}
    if different := run_fresh("benchmarks.etl_runs:compare", arguments).result:
        raise BenchmarkFailedError(f"the platform's tables and those of pandas differ: {different}")
