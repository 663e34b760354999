"""Fleets of the sandbox operator, from delivered files to a corpus, without subscribers.

Belongs here: simulating devices of any number of groups, landing and building their tables day by day, training the
fleet. Does not belong here: what is measured (fleet_*).
"""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.operator_data import FIRST_DAY, GEOGRAPHY, one_geography, work_folder
from benchmarks.subscriber_etl import Site, open_site
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.corpus import CorpusRequest, build_corpus
from mlops_assets.domain.learning.corpus_content import content_sha256, count_parts
from mlops_assets.domain.learning.fleet_promotion import FleetRules
from mlops_assets.domain.learning.fleet_training import FleetStores, FleetTraining, train_fleet
from mlops_assets.domain.learning.promotion import judge_challenger
from mlops_assets.domain.learning.training import train_challenger
from mlops_assets.domain.ports import Lake, LedgerEntry

FEEDS = ("devices", "device_telemetry")
TABLES = ("etl/device_7d", "etl/device_firmware", "etl/device_features")
USE_CASE, MODEL = "network_event", "device_failure"
DAYS = 50
_SUBSCRIBERS = 50
_SEED = 3


@dataclass(frozen=True)
class FleetSize:
    """Devices of a simulated fleet, its groups, its days, and how differently the groups behave (log sd)."""

    devices: int
    groups: int
    days: int = DAYS
    spread: float = 0.6
    seed: int = _SEED

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return work_folder() / f"fleet_{self.devices}_{self.groups}_{self.days}_{self.spread:g}_{self.seed}"


def deliver(size: FleetSize) -> Path:
    """Return the landing zone of a simulated fleet; made when absent."""
    landing = size.folder / "landing"
    if not (size.folder / "complete").exists():
        shutil.rmtree(size.folder, ignore_errors=True)
        _simulate(size, landing)
        (size.folder / "complete").touch()
    return landing


def _simulate(size: FleetSize, landing: Path) -> None:
    from mlops_assets.sandbox.parameters import BehaviourParameters
    from mlops_assets.sandbox.simulation import init_sandbox

    config, behaviour = one_geography(), BehaviourParameters()
    fleet = {
        "devices_per_group": max(1, size.devices // size.groups),
        "groups_max": size.groups,
        "groups_min": min(size.groups, behaviour.fleet.groups_min),
        "group_sensitivity_sd": size.spread,
    }
    if size.spread == 0:  # nothing may depend on the group: vendors' buggy firmware does
        fleet |= {"buggy_firmware_share": 0.0, "failure_group_effect": 0.0, "error_group_sd": 0.0}
    init_sandbox(
        root=size.folder / "sandbox",
        landing=landing,
        contracts=[config.feeds[name] for name in FEEDS],
        geographies=[config.geographies[GEOGRAPHY]],
        geography_chains={GEOGRAPHY: config.geography_chain(GEOGRAPHY)},
        first_day=FIRST_DAY,
        days=size.days,
        subscribers=_SUBSCRIBERS,
        seed=size.seed,
        devices=size.devices,
        events=[],
        threads=2,
        behaviour=behaviour.model_copy(update={"fleet": behaviour.fleet.model_copy(update=fleet)}),
    )
    shutil.rmtree(size.folder / "sandbox")


def build_tables(size: FleetSize, threads: int = 2) -> Site:
    """Return a site whose device tables of all days are built; built when absent."""
    landing, home = deliver(size), size.folder / "home"
    is_complete = (size.folder / "tables_complete").exists()
    if not is_complete:
        shutil.rmtree(home, ignore_errors=True)
    site = open_site(str(landing), str(home), threads=threads, is_judging=False)
    for number in range(0 if is_complete else size.days):
        day = FIRST_DAY + dt.timedelta(days=number)
        site.land(FEEDS, day)
        site.build(TABLES, day)
    (size.folder / "tables_complete").touch()
    return site


def request_of(site: Site, **changes: Any) -> CorpusRequest:
    """Return the corpus request of the use case as configured; `changes` replace settings of the model."""
    settings = site.config.use_cases[USE_CASE][GEOGRAPHY]
    spec = settings.models[MODEL].model_copy(update=changes)
    return CorpusRequest(USE_CASE, MODEL, settings.corpus, spec, GEOGRAPHY)


def open_stores(site: Site, home: Path) -> FleetStores:
    """Return fresh registry and ledger below `home`, beside the site's lake."""
    from resources.mlflow_registry import MlflowRegistry
    from resources.promotion_ledger import SqlitePromotionLedger

    registry = MlflowRegistry(f"sqlite:///{home}/mlflow.db", home / "artifacts")
    registry.open()
    return FleetStores(site.lake, registry, SqlitePromotionLedger(home / "ledger.db"))


def train_pooled(request: CorpusRequest, site: Site, stores: FleetStores, last_day: dt.date) -> LedgerEntry:
    """Build the corpus as of a day, train the pooled model, judge it."""
    build_corpus(request, as_of_day=last_day, first_day=FIRST_DAY, lake=site.lake, engine=site.engine)
    return judge_pooled(request, site, stores)


def keep_groups(lake: Lake, request: CorpusRequest, count: int) -> None:
    """Leave only the rows of the first groups, by name, in a built corpus."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows, fleet = pq.read_table(lake.path(request.partition)), request.model.fleet
    column = rows[fleet.group_column if fleet else ""]
    kept = rows.filter(pc.is_in(column, pc.unique(column).sort().slice(0, count)))
    before = lake.manifest(request.partition)
    facts = dict(before.facts) if before else {}
    with lake.write(request.partition, stable_hash([facts["content_sha256"], count])) as writer:
        target = writer.file("data")
        pq.write_table(kept, target)
        parts = count_parts(target, is_binary=True)
        facts |= {"parts": {name: one.to_facts() for name, one in parts.items()}}
        writer.commit(row_count=kept.num_rows, facts=facts | {"content_sha256": content_sha256(target)})


def judge_pooled(request: CorpusRequest, site: Site, stores: FleetStores) -> LedgerEntry:
    """Train the pooled model of a corpus that is built, and judge it."""
    challenger = train_challenger(request, lake=site.lake, registry=stores.registry, stamps={})
    return judge_challenger(
        challenger,
        request,
        lake=site.lake,
        registry=stores.registry,
        ledger=stores.ledger,
        decided_at_utc=dt.datetime.now(dt.UTC),
    )


def train_groups(request: CorpusRequest, stores: FleetStores, processes: int = 1) -> FleetTraining:
    """Train the fleet of a corpus that is built and whose pooled model is judged."""
    fleet = request.model.fleet
    if fleet is None:
        raise TypeError("the use case has a fleet")
    rules = FleetRules(fleet, dt.datetime.now(dt.UTC))
    return train_fleet(request, stores, rules, stamps={}, processes=processes)
