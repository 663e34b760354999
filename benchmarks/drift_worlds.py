"""Simulated operators whose files go through landing, gate, kernel and drift verdict, day by day.

One seed is one operator with one geography. It lives some weeks without any event; then that past is copied for
each story, and every copy lives on with its own events. Days are those of the product: the sandbox delivers
files, `land_feed` validates and judges them, the plan table is built, the kernel of the day before gives the
ranges, `decide_drift` speaks; a due retraining restarts the window the next day.

Belongs here: living and judging such worlds. Does not belong here: stories and goals (drift_verdicts).
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.drift_ranges import RangeHistory
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.features.build import build_table
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.domain.feeds.landing import FeedOutcome, land_feed
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import PartitionId, ViewSource
from mlops_assets.domain.quality.drift_evidence import (
    DayEvidence,
    FeedEvidence,
    FeedStatus,
    MovedFeature,
    measure_deviations,
    read_moved_features,
)
from mlops_assets.domain.quality.drift_verdict import DriftVerdict, decide_drift
from mlops_assets.domain.quality.feature_watch import compare_features
from mlops_assets.domain.quality.monitor_day import MonitorDay
from mlops_assets.domain.quality.monitor_tables import KERNEL, monitor_table
from mlops_assets.domain.quality.spec import FeatureDriftSpec, MonitorSpec
from mlops_assets.domain.quality.subscriber_counts import SubscriberCounts, count_subscribers
from mlops_assets.domain.quality.subscriber_tables import subscriber_tables
from mlops_assets.domain.quality.watched_features import WATCHED_TABLES
from mlops_assets.sandbox.simulation import (
    DayOutcome,
    ScriptedEvent,
    advance,
    init_sandbox,
    schedule_event,
)
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from resources.landing_zone import LocalLandingZone

FEEDS = ("subscribers", "usage")
TABLE = "etl/plan_usage_daily"
SPEC = MonitorSpec(
    name="plan_usage", description="data volume by plan", owner="team:data-platform", table=TABLE,
    series_by=["plan_code"], value="data_kb", unit="KB", is_per_subscriber=True,
    features=FeatureDriftSpec(tables=["feeds/usage"]),
)  # fmt: skip
_SUBSCRIBER_TABLES = subscriber_tables(monitor_table(SPEC.name, KERNEL), SPEC.ranges)
_DAY = dt.timedelta(days=1)
_DELIVERED_AGAIN_DAYS = 7  # a late or corrected file is of one of the last days
_KB_PER_MB = 1024.0
_DEVICES = 40


@dataclass(frozen=True)
class Operator:
    """One geography of one seed."""

    seed: int
    subscribers: int
    first_day: dt.date
    geography: Geography
    chain: Sequence[str]
    contracts: Mapping[str, FeedContract]

    @classmethod
    def of_seed(cls, seed: int, subscribers: int) -> Operator:
        """Return the operator of a seed; geographies take turns, the first days go through the year."""
        config: ProjectConfig = load_project()
        code = sorted(config.geographies)[seed % len(config.geographies)]
        geography = config.geographies[code]
        # The plan of `new_plan` is known to the platform, as a configuration change would make it.
        codes = {**geography.plan_codes, "NEW-XL": "data_xl"}
        return cls(
            seed=seed,
            subscribers=subscribers,
            first_day=dt.date(2026, 1, 5) + dt.timedelta(days=9 * seed),
            geography=geography.model_copy(update={"plan_codes": codes}),
            chain=config.geography_chain(code),
            contracts={name: config.feeds[name] for name in FEEDS},
        )

    @property
    def monitor(self) -> MonitorSpec:
        """The monitored panel, with the holidays of the country."""
        return SPEC.in_country(self.geography.country)

    def sandbox_arguments(self) -> dict[str, Any]:
        """Return what every command of the sandbox is told."""
        return {
            "contracts": list(self.contracts.values()),
            "geographies": [self.geography],
            "geography_chains": {self.geography.code: list(self.chain)},
            "threads": 1,
            "memory_limit": "500MB",
        }


@dataclass
class World:
    """An operator's files, the platform's tables made of them, and what was said of each day."""

    operator: Operator
    folder: Path
    ranges: RangeHistory
    evidence: dict[dt.date, DayEvidence] = field(default_factory=dict)
    verdicts: dict[dt.date, DriftVerdict] = field(default_factory=dict)
    since_day: dt.date | None = None

    def __post_init__(self) -> None:
        landing, lake = self.folder / "landing", self.folder / "lake"
        self.landing, self.lake = LocalLandingZone(landing), LocalLake(lake)
        self.engine = DuckDbEngine(1, "500MB", self.folder / "tmp", [landing, lake])

    def start(self, days: int) -> None:
        """Live the first days, without any event."""
        operator = self.operator
        init_sandbox(
            self.folder / "sandbox",
            self.folder / "landing",
            **operator.sandbox_arguments(),
            first_day=operator.first_day,
            days=days,
            subscribers=operator.subscribers,
            seed=operator.seed,
            devices=_DEVICES,
            events=[],
            on_day=self.run_day,
        )

    def live(self, days: int, events: Iterable[ScriptedEvent]) -> None:
        """Live the next days with the events of a story."""
        for event in events:
            schedule_event(self.folder / "sandbox", event)
        advance(
            self.folder / "sandbox",
            self.folder / "landing",
            **self.operator.sandbox_arguments(),
            days=days,
            on_day=self.run_day,
        )

    def copy(self, folder: Path) -> World:
        """Return another world with the same past; published files are linked, they never change."""
        ignored = shutil.ignore_patterns("truth", "tmp")
        shutil.copytree(self.folder, folder, copy_function=os.link, ignore=ignored)
        # The state is replaced as a whole, and so are files that are delivered anew.
        return World(
            self.operator,
            folder,
            self.ranges.copy(),
            dict(self.evidence),
            dict(self.verdicts),
            self.since_day,
        )

    def run_day(self, outcome: DayOutcome) -> None:
        """Do what the graph does once the files of a day have arrived."""
        for day in sorted({outcome.day, *self._delivered_days(outcome)}):
            self._take_in(day)
        self.ranges.forecast(outcome.day)
        self._publish_kernel(outcome.day)
        verdict = decide_drift(
            list(self.evidence.values()),
            day=outcome.day,
            segment=self.operator.geography.code,
            spec=SPEC.drift,
            since_day=self.since_day,
        )
        self.verdicts[outcome.day] = verdict
        if verdict.is_retraining_due:
            self.since_day = outcome.day + _DAY

    def _delivered_days(self, outcome: DayOutcome) -> Iterable[dt.date]:
        names = {file.name for file in outcome.files}
        recent = (outcome.day - back * _DAY for back in range(_DELIVERED_AGAIN_DAYS + 1))
        contracts = [c.for_geography(list(self.operator.chain)) for c in self.operator.contracts.values()]
        return [day for day in recent if names.intersection(c.file_name(day) for c in contracts)]

    def _take_in(self, day: dt.date) -> None:
        """Land the files of a day, build its table, and gather its evidence."""
        outcomes = [self._land(feed, day) for feed in FEEDS]
        values = self._plan_usage(day) if all(o.status in ("landed", "reused") for o in outcomes) else None
        self.ranges.observe(day, values)
        counts, moved = self._hear_witnesses(day)
        self.evidence[day] = DayEvidence(
            day=day,
            segment=self.operator.geography.code,
            feeds=tuple(_feed_evidence(outcome) for outcome in outcomes),
            series=measure_deviations(self.ranges.judged_rows(day)),
            subscribers_outside_share=counts.outside_share if counts else None,
            moved_features=moved,
        )

    def _hear_witnesses(self, day: dt.date) -> tuple[SubscriberCounts | None, tuple[MovedFeature, ...]]:
        """Judge the day's subscribers and compare its features, as the graph does."""
        code = self.operator.geography.code
        watched = (WATCHED_TABLES[name] for name in SPEC.features.tables)
        for table in (*_SUBSCRIBER_TABLES, *watched):
            build_table(table, code, day, lake=self.lake, engine=self.engine)
        counts = count_subscribers(code, day, lake=self.lake, engine=self.engine)
        compared = compare_features(MonitorDay(SPEC, FEEDS, code, day, self.lake, self.engine))
        facts = compared.manifest.facts if compared.manifest else {}
        return counts, read_moved_features(facts, SPEC.features.min_classifier_gain)

    def _publish_kernel(self, day: dt.date) -> None:
        """Publish the day's kernel, which the ranges of single subscribers rest on."""
        import pyarrow.parquet as pq

        if (kernel := self.ranges.kernels.get(day)) is None:
            return
        partition = PartitionId(monitor_table(SPEC.name, KERNEL), self.operator.geography.code, day)
        rows = kernel.to_arrow()
        with self.lake.write(partition, stable_hash([str(partition), rows.to_pylist()])) as writer:
            pq.write_table(rows, writer.file("data"))
            writer.commit(row_count=rows.num_rows)

    def _land(self, feed: str, day: dt.date) -> FeedOutcome:
        operator = self.operator
        return land_feed(
            operator.contracts[feed],
            operator.geography,
            list(operator.chain),
            day,
            landing=self.landing,
            lake=self.lake,
            engine=self.engine,
        )

    def _plan_usage(self, day: dt.date) -> dict[str, float]:
        """Return MB by plan."""
        table, code = FEATURE_TABLES[TABLE], self.operator.geography.code
        outcome = build_table(table, code, day, lake=self.lake, engine=self.engine)
        views = {"plans": ViewSource(files=[self.lake.path(outcome.partition)])}
        rows = self.engine.fetch("SELECT plan_code, data_kb FROM plans", views).to_pylist()
        return {row["plan_code"]: row["data_kb"] / _KB_PER_MB for row in rows}


def _feed_evidence(outcome: FeedOutcome) -> FeedEvidence:
    """Say how a delivery counts: refused and held ones are broken, unjudged ones are unknown."""
    status: FeedStatus
    if outcome.status in ("refused", "held"):
        status = "broken"
    elif outcome.status == "missing":
        status = "missing"
    else:
        status = "healthy" if outcome.health is not None and outcome.health.status == "healthy" else "unknown"
    feed = outcome.partition.table.split("/")[1]
    return FeedEvidence(feed=feed, status=status, findings=outcome.findings)
