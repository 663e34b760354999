"""Three quiet weeks of a small operator, landed once; tests branch off to let something happen.

Belongs here: deliveries, faults of files, landing. Does not belong here: what the gate should say.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil
from pathlib import Path

import duckdb

from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.feeds.landing import FeedOutcome, land_feed
from mlops_assets.sandbox import simulation
from mlops_assets.sandbox.events import ScriptedEvent
from mlops_assets.sandbox.parameters import BehaviourParameters, PopulationParameters
from resources.duckdb_engine import DuckDbEngine
from resources.feed_releases import SqliteFeedReleases
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone
from tests.unit.sandbox.conftest import contracts, geographies

FEEDS = ("usage", "subscribers", "topups", "plan_purchases", "dna")
FIRST_DAY = dt.date(2026, 8, 3)
QUIET_DAYS = 22  # the last rule needs three days of the same weekday
NEXT_DAY = FIRST_DAY + dt.timedelta(days=QUIET_DAYS)
SUBSCRIBERS = 2000
# The days before the first delivered one cost as much as any other.
BEHAVIOUR = BehaviourParameters(population=PopulationParameters(burn_in_days=4))
VOLUMES = ("DATA_LOCAL_VOL", "DATA_ROAM_VOL", "APP_FB", "APP_WA", "APP_YT", "APP_TT", "APP_IG")


@dataclasses.dataclass(frozen=True)
class GateWorld:
    """A simulated operator in Chile, and the platform's lake."""

    folder: Path
    engine: DuckDbEngine

    @property
    def landing_folder(self) -> Path:
        return self.folder / "landing"

    @property
    def landing(self) -> LocalLandingZone:
        return LocalLandingZone(self.landing_folder)

    @property
    def lake(self) -> LocalLake:
        return LocalLake(self.folder / "lake")

    @property
    def releases(self) -> SqliteFeedReleases:
        return SqliteFeedReleases(self.folder / "releases.db")

    def contract(self, feed: str) -> FeedContract:
        return contracts(feed)[0].for_geography(["cl"])

    @property
    def geography(self) -> Geography:
        return geographies("cl")[0]

    def start(self) -> None:
        """Deliver and land the quiet weeks."""
        simulation.init_sandbox(
            *self._arguments(),
            first_day=FIRST_DAY,
            days=QUIET_DAYS,
            subscribers=SUBSCRIBERS,
            seed=5,
            events=[],
        )
        for back in range(QUIET_DAYS):
            self.land_all(FIRST_DAY + dt.timedelta(days=back))

    def branch(self, folder: Path) -> GateWorld:
        """Return a copy in which something else may happen."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return dataclasses.replace(self, folder=folder)

    def advance(self, days: int, *events: ScriptedEvent) -> None:
        """Let days pass; files are delivered, not landed."""
        for event in events:
            simulation.schedule_event(self.folder / "sandbox", event)
        simulation.advance(*self._arguments(), days=days, behaviour=BEHAVIOUR)

    def land(self, feed: str, day: dt.date, contract: FeedContract | None = None) -> FeedOutcome:
        return land_feed(
            contract or self.contract(feed),
            self.geography,
            ["cl"],
            day,
            landing=self.landing,
            lake=self.lake,
            engine=self.engine,
            releases=self.releases,
        )

    def land_all(self, day: dt.date) -> dict[str, FeedOutcome]:
        return {feed: self.land(feed, day) for feed in FEEDS}

    def file(self, feed: str, day: dt.date) -> Path:
        return self.landing_folder / "cl" / self.contract(feed).file_name(day)

    def rewrite(self, feed: str, day: dt.date, select: str, source_day: dt.date | None = None) -> None:
        """Replace a Parquet file by a SELECT over `delivered`, the file itself or that of another day."""
        path = self.file(feed, day)
        target = path.with_name(f"{path.name}.part")
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.execute(f"CREATE VIEW delivered AS FROM '{self.file(feed, source_day or day)}'")
            connection.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet)")
        target.replace(path)

    def multiply_volumes(self, day: dt.date, factor: float, condition: str = "true") -> None:
        """Deliver volumes in another unit than their label says, in some of the rows."""
        changed = ", ".join(f"CASE WHEN {condition} THEN {c} * {factor} ELSE {c} END AS {c}" for c in VOLUMES)
        self.rewrite("usage", day, f"SELECT * REPLACE ({changed}) FROM delivered")  # noqa: S608

    def _arguments(self) -> tuple[object, ...]:
        place = (self.folder / "sandbox", self.landing_folder)
        return (*place, contracts(*FEEDS), [self.geography], {"cl": ["cl"]})
