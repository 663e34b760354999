"""One geography of the simulated world, alive in one engine.

Belongs here: starting, loading, saving a geography and living one of its days. Does not belong here: the
order of days and geographies (simulation).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.sandbox.behaviour import STATE_SQL, DayContext, day_sql
from mlops_assets.sandbox.catalogue import catalogue_on, catalogue_rows_sql
from mlops_assets.sandbox.day_calendar import clock_of, mood_of
from mlops_assets.sandbox.events import ScriptedEvent
from mlops_assets.sandbox.file_drop import Drop, drop_feeds, forget_held
from mlops_assets.sandbox.fleet import groups_wanted, new_devices_sql, next_fleet_sql, telemetry_sql
from mlops_assets.sandbox.parameters import BehaviourParameters
from mlops_assets.sandbox.population import entrants_sql, start_sql
from mlops_assets.sandbox.proposals import find_proposals, proposals_sql
from mlops_assets.sandbox.sandbox_state import GeographyState, fleet_path, population_path, truth_path
from mlops_assets.sandbox.sql_engine import literal, uniform_of
from mlops_assets.sandbox.world_effects import devices_added, growth_factor

if TYPE_CHECKING:
    import duckdb

_DAY = dt.timedelta(days=1)
_EXPECTED_LEAVERS_PER_DAY = 0.0017  # of customers; the feedback below corrects what it misses
_FEEDBACK_PER_DAY = 0.1  # share of the gap to the wanted base that walk-ins close in a day

_TRUTH_CHURN = """
SELECT subscriber_id, decline_reason AS reason, progress, fatigue, price_z, loyalty_z, tenure_days, days_left
FROM today WHERE status = 'churned'
"""
_TRUTH_OFFERS = """
SELECT subscriber_id, offered_plan, discount, propensity, contact_probability, rule_arm,
    acceptance_probability,
    is_accepted, fatigue, receptivity_z, price_z
FROM today WHERE is_contacted
"""


@dataclass(frozen=True)
class DayOutcome:
    """What a geography-day left behind. `files` are those that appeared in the landing zone."""

    geography: str
    day: dt.date
    files: tuple[Path, ...]
    customers: int
    prospects: int


@dataclass
class GeographyWorld:
    """The tables `today` and `fleet` of one geography, as they are at the start of day `next_day`."""

    connection: duckdb.DuckDBPyConnection
    root: Path
    landing: Path
    geography: Geography
    contracts: Sequence[FeedContract]
    behaviour: BehaviourParameters
    seed: int
    state: GeographyState
    offers: Path | None = None

    def start(self, events: Sequence[ScriptedEvent]) -> None:
        """Create the population and the fleet, and let them live some days before the first delivered one."""
        day = self.state.first_day - self.behaviour.population.burn_in_days * _DAY
        context = self._context(day, events)
        self.connection.execute(catalogue_rows_sql(list(context.plans), self.seed, self.geography.code, day))
        self.connection.execute(
            start_sql(
                self.geography,
                self.behaviour,
                list(context.plans),
                seed=self.seed,
                records=self.state.subscribers,
                day=day,
                start_epoch=context.clock.start_s,
            )
        )
        devices = self._devices_sql(0, self.state.devices, day, age_days=2200.0)
        self.connection.execute(f"CREATE OR REPLACE TABLE fleet AS {devices}")
        self.state = self.state.model_copy(update={"next_day": day, "next_n": self.state.subscribers})
        while self.state.next_day < self.state.first_day:
            self._live(events)
            self._turn()

    def load(self) -> None:
        """Read the latent tables before `next_day`."""
        code, day = self.geography.code, self.state.next_day
        for table, path in (("today", population_path), ("fleet", fleet_path)):
            source = literal(str(path(self.root, code, day)))
            self.connection.execute(f"CREATE OR REPLACE TABLE {table} AS FROM read_parquet({source})")

    def save(self) -> None:
        """Write the latent tables before `next_day`; they count once the state names that day."""
        code, day = self.geography.code, self.state.next_day
        self._copy(STATE_SQL, population_path(self.root, code, day))
        self._copy("FROM fleet", fleet_path(self.root, code, day))

    def _forget_before(self, day: dt.date) -> None:
        """Delete latent tables of days before `day`."""
        folder = self.root / self.geography.code
        for path in [*folder.glob("population_*.parquet"), *folder.glob("fleet_*.parquet")]:
            if path.stem.rsplit("_", 1)[1] < f"{day:%Y%m%d}":
                path.unlink()

    def deliver_day(self, events: Sequence[ScriptedEvent]) -> DayOutcome:
        """Live `next_day` and drop its files; `next_day` moves on. The state on disk is not touched."""
        context = self._live(events)
        day, code = context.day, self.geography.code
        files = drop_feeds(self.connection, context, self.contracts, self._drop())
        self._copy(_TRUTH_CHURN, truth_path(self.root, code, "churn", day))
        self._copy(_TRUTH_OFFERS, truth_path(self.root, code, "offers", day))
        self._turn()
        customers, prospects = self._census()
        return DayOutcome(code, day, tuple(files), customers, prospects)

    def tidy(self, first_day: dt.date, end_day: dt.date, events: Sequence[ScriptedEvent]) -> None:
        """Remove what the recorded days `first_day` to `end_day` (exclusive) have made superfluous."""
        self._forget_before(end_day)
        days = [first_day + n * _DAY for n in range((end_day - first_day).days)]
        forget_held(self.geography.code, events, days, self.contracts, self._drop())

    def _drop(self) -> Drop:
        code = self.geography.code
        return Drop(landing=self.landing / code, held=self.root / code / "held")

    def _live(self, events: Sequence[ScriptedEvent]) -> DayContext:
        day, code = self.state.next_day, self.geography.code
        context = self._context(day, events)
        self.connection.execute(catalogue_rows_sql(list(context.plans), self.seed, code, day))
        self._admit(context)
        self._grow_fleet(context)
        if files := find_proposals(self.offers, code, day):
            self.connection.execute(proposals_sql(files, self.geography))
            context = replace(context, has_proposals=True)
        self.connection.execute(day_sql(context))
        self.connection.execute(
            telemetry_sql(
                self.geography,
                self.behaviour,
                seed=self.seed,
                day=day,
                mood=context.mood,
                clock=context.clock,
            )
        )
        return context

    def _turn(self) -> None:
        """Make the end of the day the start of the next."""
        self.connection.execute(next_fleet_sql(self.behaviour, self.state.next_day))
        self.state = self.state.model_copy(update={"next_day": self.state.next_day + _DAY})

    def _context(self, day: dt.date, events: Sequence[ScriptedEvent]) -> DayContext:
        code, timezone = self.geography.code, self.geography.timezone
        return DayContext(
            geography=self.geography,
            behaviour=self.behaviour,
            seed=self.seed,
            day=day,
            clock=clock_of(timezone, day),
            mood=mood_of(self.behaviour, self.seed, code, timezone, day),
            plans=catalogue_on(self.geography, events, day),
            events=events,
            new_from_n=0 if day == self.state.first_day else self.state.next_n,
        )

    def _census(self) -> tuple[int, int]:
        row = self.connection.execute(
            "SELECT count(*) FILTER (status = 'active'), count(*) FILTER (status = 'prospect') FROM today"
        ).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def _admit(self, context: DayContext) -> None:
        """Add the day's new prospects and walk-ins, so that the base follows its wanted size."""
        customers, prospects = self._census()
        day, code = context.day, self.geography.code
        people, campaign = self.behaviour.population, self.behaviour.campaign
        share = people.prospect_share
        size = self.state.subscribers * growth_factor(context.events, code, day)
        before = self.state.subscribers * growth_factor(context.events, code, day - _DAY)
        converted = (campaign.prospect_activation_per_day + 0.002) * prospects
        walk_ins = _EXPECTED_LEAVERS_PER_DAY * customers - converted + (size - before) * (1 - share)
        walk_ins += _FEEDBACK_PER_DAY * (before * (1 - share) - customers)
        new_prospects = size * share - prospects + converted + campaign.prospect_forgotten_per_day * prospects
        noise = 0.7 + 0.6 * uniform_of(self.seed, code, "entrants", day.toordinal())
        prospects_in, walk_ins_in = (max(0, round(wanted * noise)) for wanted in (new_prospects, walk_ins))
        self.connection.execute(
            entrants_sql(
                self.geography,
                self.behaviour,
                list(context.plans),
                seed=self.seed,
                first_n=self.state.next_n,
                prospects=prospects_in,
                walk_ins=walk_ins_in,
                start_epoch=context.clock.start_s,
            )
        )
        next_n = self.state.next_n + prospects_in + walk_ins_in
        self.state = self.state.model_copy(update={"next_n": next_n})

    def _grow_fleet(self, context: DayContext) -> None:
        wanted = self.state.devices + devices_added(context.events, self.geography.code, context.day)
        row = self.connection.execute("SELECT count(*) FROM fleet").fetchone()
        present = int(row[0]) if row else 0
        if wanted > present:
            self.connection.execute(
                f"INSERT INTO fleet BY NAME {self._devices_sql(present, wanted, context.day, age_days=0.0)}"
            )

    def _devices_sql(self, first_n: int, end_n: int, day: dt.date, *, age_days: float) -> str:
        return new_devices_sql(
            self.geography,
            self.behaviour,
            seed=self.seed,
            first_n=first_n,
            end_n=end_n,
            groups=self.state.groups,
            first_day=day,
            age_days=age_days,
        )

    def _copy(self, query: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        self.connection.execute(f"COPY ({query}) TO {literal(str(part))} (FORMAT parquet)")
        part.replace(target)


def first_geography_state(
    behaviour: BehaviourParameters, *, first_day: dt.date, subscribers: int, devices: int
) -> GeographyState:
    """Return the state of a geography that is about to start on `first_day`."""
    return GeographyState(
        first_day=first_day,
        next_day=first_day,
        subscribers=subscribers,
        next_n=subscribers,
        devices=devices,
        groups=groups_wanted(behaviour, devices),
    )
