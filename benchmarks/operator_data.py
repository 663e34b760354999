"""Feed files of any size, as an operator delivers them: simulated once, then multiplied.

The sandbox operator simulates at most 100,000 subscribers of one geography with all the nuisances of real
deliveries (mixed units, local codes and money, duplicates, late records, a change of the clocks). Larger
sizes are copies of these subscribers under other numbers, written by DuckDB in seconds: per row they cost
a reader what simulated ones cost.

Belongs here: making and finding these files, outside the repository. Does not belong here: reading them.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.sandbox.events import ScriptedEvent

if TYPE_CHECKING:
    import duckdb

GEOGRAPHY = "cl"
SUBSCRIBER_FEEDS = ("plans", "subscribers", "dna", "topups", "plan_purchases", "offers_sent", "usage")
FIRST_DAY = dt.date(2026, 8, 3)
_LARGEST_SIMULATION = 100_000
_DEVICES = 40
_SEED = 1
_NUMBER_STEP = 100_000_000_000  # beyond all simulated subscriber numbers
_DONE = "complete"


@dataclass(frozen=True)
class FeedFiles:
    """A landing zone with the files of one geography."""

    landing: Path
    subscribers: int
    days: int

    @property
    def last_day(self) -> dt.date:
        """Last delivered day."""
        return day_number(self.days)


def day_number(number: int) -> dt.date:
    """Return the day of this number, counted from 1."""
    return FIRST_DAY + dt.timedelta(days=number - 1)


def work_folder() -> Path:
    """Return where benchmarks keep their data: MLOPS_BENCH_DIR, or a folder for temporary files."""
    return Path(
        os.environ.get("MLOPS_BENCH_DIR") or Path(tempfile.gettempdir()) / "mlops-assets-bench"
    ).resolve()


def one_geography() -> ProjectConfig:
    """Return the project's configuration with one geography only."""
    config = load_project()
    use_cases = {
        name: {GEOGRAPHY: segments[GEOGRAPHY]}
        for name, segments in config.use_cases.items()
        if GEOGRAPHY in segments
    }
    return config.model_copy(
        update={"geographies": {GEOGRAPHY: config.geographies[GEOGRAPHY]}, "use_cases": use_cases}
    )


def shifted_files(subscribers: int, days: int, shift_number: int) -> FeedFiles:
    """Return the files of at most 100,000 subscribers whose behaviour moves for good on a day; made when absent."""
    shift = ScriptedEvent(
        kind="behaviour_shift", geography=GEOGRAPHY, first_day=day_number(shift_number), last_day=None
    )
    return _found_or_made(
        f"shifted{shift_number}",
        subscribers,
        days,
        lambda landing: _simulate(landing, subscribers, days, [shift]),
    )


def feed_files(subscribers: int, days: int) -> FeedFiles:
    """Return the files of so many subscribers (a multiple of 100,000, or fewer) and days; made when absent."""
    simulated = min(subscribers, _LARGEST_SIMULATION)
    if subscribers % simulated:
        raise ValueError(f"{subscribers} subscribers are not a multiple of {simulated}")
    if subscribers == simulated:
        return _found_or_made(
            "files", subscribers, days, lambda landing: _simulate(landing, subscribers, days, [])
        )
    return _found_or_made(
        "files",
        subscribers,
        days,
        lambda landing: _multiply(feed_files(simulated, days), landing, days, subscribers // simulated),
    )


def _found_or_made(kind: str, subscribers: int, days: int, make: Callable[[Path], None]) -> FeedFiles:
    """Return complete files of so many subscribers; those of more days serve as well."""
    for folder in sorted(work_folder().glob(f"{kind}_{subscribers}_*")):
        found = int(folder.name.rsplit("_", 1)[1])
        if found >= days and (folder / _DONE).exists():
            return FeedFiles(folder, subscribers, days)
    landing = work_folder() / f"{kind}_{subscribers}_{days}"
    shutil.rmtree(landing, ignore_errors=True)
    make(landing)
    (landing / _DONE).touch()
    return FeedFiles(landing, subscribers, days)


def _simulate(landing: Path, subscribers: int, days: int, events: list[ScriptedEvent]) -> None:
    from mlops_assets.sandbox.simulation import init_sandbox

    config = load_project()
    state = landing.with_name(f"{landing.name}.sandbox")
    shutil.rmtree(state, ignore_errors=True)
    init_sandbox(
        root=state,
        landing=landing,
        contracts=config.daily_feeds(),
        geographies=[config.geographies[GEOGRAPHY]],
        geography_chains={GEOGRAPHY: config.geography_chain(GEOGRAPHY)},
        first_day=FIRST_DAY,
        days=days,
        subscribers=subscribers,
        seed=_SEED,
        devices=_DEVICES,
        events=events,
        threads=2,
    )
    shutil.rmtree(state)


def _multiply(base: FeedFiles, landing: Path, days: int, copies: int) -> None:
    import duckdb

    config = load_project()
    (landing / GEOGRAPHY).mkdir(parents=True)
    with duckdb.connect(config={"threads": 2, "memory_limit": "2GB"}) as connection:
        for contract in config.daily_feeds():
            of_geography = contract.for_geography(config.geography_chain(GEOGRAPHY))
            for number in range(1, days + 1):
                name = of_geography.file_name(day_number(number))
                _multiply_file(
                    connection,
                    of_geography,
                    base.landing / GEOGRAPHY / name,
                    landing / GEOGRAPHY / name,
                    copies,
                )


def _multiply_file(
    connection: duckdb.DuckDBPyConnection, contract: FeedContract, source: Path, target: Path, copies: int
) -> None:
    by_name = {column.name: column for column in contract.columns}
    if "subscriber_id" not in by_name:
        shutil.copyfile(source, target)
        return
    number = by_name["subscriber_id"].source
    texts = [by_name[name].source for name in contract.key if by_name[name].type == "text"]
    is_csv = contract.format == "csv"
    rows = (
        f"read_csv('{source}', all_varchar=true, header=true, delim='{contract.delimiter}')"
        if is_csv
        else f"'{source}'"
    )
    # One copy after the other: neighbours stay as different as they were.
    selects = (_copy_sql(rows, number, texts, copy) for copy in range(copies))
    options = f"FORMAT csv, HEADER true, DELIMITER '{contract.delimiter}'" if is_csv else "FORMAT parquet"
    connection.execute(f"COPY ({' UNION ALL '.join(selects)}) TO '{target}' ({options})")


def _copy_sql(rows: str, number: str, texts: list[str], copy: int) -> str:
    replaced = [f'CAST("{number}" AS BIGINT) + {copy * _NUMBER_STEP} AS "{number}"']
    replaced += [f'"{text}" || \'-{copy}\' AS "{text}"' for text in texts]
    return f"SELECT * REPLACE ({', '.join(replaced)}) FROM {rows}"
