"""The platform's side of table work: the domain functions of feeds, tables and corpus, called without Dagster.

Belongs here: which of them run in which order. Does not belong here: measuring across processes (etl_runs).
Feeds and tables of subscribers only; those of devices are small and left out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import BenchmarkFailedError
from benchmarks.operator_data import GEOGRAPHY, SUBSCRIBER_FEEDS, day_number, one_geography
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.features.build import build_table
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.landing import land_feed
from mlops_assets.domain.ports import Lake, LandingZone, TableEngine
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone

SUBSCRIBER_TABLES = tuple(name for name in FEATURE_TABLES if not name.startswith("etl/device_"))


@dataclass(frozen=True)
class Site:
    """One data root over given feed files, with the engine of the local environment."""

    config: ProjectConfig
    landing: LandingZone
    lake: Lake
    engine: TableEngine

    def land(self, feeds: Iterable[str], day: dt.date) -> None:
        """Land feeds of a day; anything but a fresh landing is an error."""
        for feed in feeds:
            outcome = land_feed(
                self.config.feeds[feed],
                self.config.geographies[GEOGRAPHY],
                self.config.geography_chain(GEOGRAPHY),
                day,
                landing=self.landing,
                lake=self.lake,
                engine=self.engine,
            )
            if outcome.status != "landed":
                raise BenchmarkFailedError(f"{outcome.partition} {outcome.status}: {outcome.findings}")

    def build(self, tables: Iterable[str], day: dt.date) -> None:
        """Build tables of a day; anything but a fresh build is an error."""
        for name in tables:
            outcome = build_table(FEATURE_TABLES[name], GEOGRAPHY, day, lake=self.lake, engine=self.engine)
            if outcome.status != "built":
                raise BenchmarkFailedError(f"{outcome.partition} {outcome.status}: {outcome.detail}")

    def run_day(self, day: dt.date) -> None:
        """Do all that a day brings for subscribers."""
        self.land(SUBSCRIBER_FEEDS, day)
        self.build(SUBSCRIBER_TABLES, day)


def open_site(landing: str, home: str, threads: int = 1, *, is_judging: bool = True) -> Site:
    """Open a data root whose landing zone lies elsewhere.

    One thread a process, as a step should have where as many steps run at once as there are cores. Without
    `is_judging` the feed gate lets every delivery pass unseen.
    """
    config, root, files = one_geography(), Path(home), Path(landing)
    if not is_judging:
        config = config.model_copy(update={"feeds": {n: _unjudged(f) for n, f in config.feeds.items()}})
    settings = config.environment.engine
    engine = DuckDbEngine(threads, settings.memory_limit, root / "tmp", [files, root / "lake"])
    return Site(config, LocalLandingZone(files), LocalLake(root / "lake"), engine)


def _unjudged(feed: FeedContract) -> FeedContract:
    return feed.model_copy(update={"gate": feed.gate.model_copy(update={"is_enabled": False})})


def days(first: int, last: int) -> Iterator[dt.date]:
    """Return days by number, both ends included."""
    return (day_number(number) for number in range(first, last + 1))
