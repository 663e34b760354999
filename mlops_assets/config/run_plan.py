"""Which days and slots are due, for a whole project: the one path that sensors and `mlops run` share.

Belongs here: putting a project's configuration and the ports' state into the domain's decisions. Does not
belong here: launching anything.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable, Iterator

from mlops_assets.config.loader import EVERYWHERE
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.names import DAY_LOG_KEY
from mlops_assets.config.policy_slots import policy_slots
from mlops_assets.domain.feeds.arrival import (
    DayDelivery,
    DayIdentities,
    DueDay,
    plan_due_days,
    read_deliveries,
)
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.readiness import TrainingPlan, plan_first_training
from mlops_assets.domain.learning.retraining import (
    RetrainingPlan,
    SlotHistory,
    find_since_day,
    plan_retraining,
)
from mlops_assets.domain.learning.slots import pooled_segment
from mlops_assets.domain.learning.spec import EventLabel
from mlops_assets.domain.ports import Lake, LandingZone, LedgerEntry, ModelSlot, PartitionId, PromotionLedger
from mlops_assets.domain.quality.drift_record import read_verdicts
from mlops_assets.domain.quality.release_ports import FeedReleases

VERDICT_DAYS = 90  # a shift further back has become the ranges' own past


def day_log_partition(day: dt.date) -> PartitionId:
    """Return the lake partition in which a finished day is noted."""
    return PartitionId("/".join(DAY_LOG_KEY), EVERYWHERE, day)


def day_identities(config: ProjectConfig, ledger: PromotionLedger, days: Iterable[dt.date]) -> DayIdentities:
    """Return what the given days depend on besides the files of their windows."""
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES
    from mlops_assets.domain.learning.champions import newest_before

    carried = {
        source.table.removeprefix("feeds/")
        for table in FEATURE_TABLES.values()
        for source in table.inputs
        if source.days == 0
    }
    histories = dict(_scoring_histories(config, ledger))
    histories |= {slot.registered_name: ledger.history(slot) for slot in policy_slots(config)}
    champions = {
        day: {name: entry.decision_id for name, h in histories.items() if (entry := newest_before(h, day))}
        for day in days
    }
    named = {day: stable_hash(serving) for day, serving in champions.items() if serving}
    geographies = {code: stable_hash(geography)[:16] for code, geography in config.geographies.items()}
    return DayIdentities(_code_identity(config), frozenset(carried), named, geographies)


def _scoring_histories(
    config: ProjectConfig, ledger: PromotionLedger
) -> Iterator[tuple[str, list[LedgerEntry]]]:
    """Yield the decisions about every model that scores days, those of a fleet's groups included."""
    for slot in daily_scored_slots(config):
        if config.use_cases[slot.use_case][slot.segment].models[slot.model].fleet is None:
            yield slot.registered_name, ledger.history(slot)
            continue
        for segment, history in ledger.histories(slot.use_case, slot.model).items():
            if pooled_segment(segment) == slot.segment:
                yield history[-1].slot.registered_name, history


def daily_scored_slots(config: ProjectConfig) -> Iterator[ModelSlot]:
    """Yield the slots whose champions score every day."""
    for slot in slots(config):
        settings = config.use_cases[slot.use_case][slot.segment]
        if settings.score_daily and settings.segment_by == "geography":
            yield slot


def required_feeds(config: ProjectConfig) -> frozenset[str]:
    """Return the daily feeds without which some table of the day cannot be built."""
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES

    inputs = [source for table in FEATURE_TABLES.values() for source in table.inputs]
    named = {source.table.removeprefix("feeds/") for source in inputs if source.is_required}
    return frozenset(feed.name for feed in config.daily_feeds() if feed.name in named)


def _code_identity(config: ProjectConfig) -> str:
    """Return the identity of what the daily tables of all geographies depend on besides data and models."""
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES
    from mlops_assets.domain.feeds.homologation import HOMOLOGATION_VERSION

    tables = {name: table.version for name, table in FEATURE_TABLES.items()}
    return stable_hash([config.feeds, tables, HOMOLOGATION_VERSION])[:16]


def deliveries(
    config: ProjectConfig, landing: LandingZone, releases: FeedReleases | None = None
) -> dict[dt.date, DayDelivery]:
    """Return what lies in the landing zone, by day, and what of it was held and then released."""
    chains = {code: config.geography_chain(code) for code in config.geographies}
    released = releases.history() if releases is not None else []
    return read_deliveries(landing, config.daily_feeds(), chains, released)


def plan_days(
    config: ProjectConfig,
    landing: LandingZone,
    lake: Lake,
    ledger: PromotionLedger,
    until: dt.date | None = None,
    releases: FeedReleases | None = None,
) -> list[DueDay]:
    """Return the days that have something new to build, oldest first; days before the calendar's do not count.

    The release of a held delivery makes its day new, like a file that was delivered again; whoever plans days
    passes the same `releases`. `until` leaves out what was delivered for later days: a replay sees each day as
    it was. The last day then counts as complete, because the caller asks for it.
    """
    first_day = config.environment.calendar.first_day
    found = {
        day: delivery
        for day, delivery in deliveries(config, landing, releases).items()
        if day >= first_day and (until is None or day <= until)
    }
    expected = [f"{code}/{feed.name}" for code in config.geographies for feed in config.daily_feeds()]
    built = {
        day: str(manifest.facts.get("delivery", ""))
        for day in found
        if (manifest := lake.manifest(day_log_partition(day)))
    }
    return plan_due_days(
        found,
        expected,
        built,
        day_identities(config, ledger, found),
        is_last_day_complete=until is not None,
    )


def slots(config: ProjectConfig) -> Iterator[ModelSlot]:
    """Yield every slot of the project's models: use case, model, segment."""
    for use_case, segments in sorted(config.use_cases.items()):
        for segment, settings in sorted(segments.items()):
            for model in settings.models:
                yield ModelSlot(use_case, model, segment)


def all_slots(config: ProjectConfig) -> Iterator[ModelSlot]:
    """Yield every slot that has a champion: of models, then of policies."""
    yield from slots(config)
    yield from policy_slots(config)


def plan_training(
    config: ProjectConfig, landing: LandingZone, lake: Lake, ledger: PromotionLedger
) -> list[TrainingPlan]:
    """Return for every slot whether its first model is due now, and why or why not."""
    plans = []
    for slot in slots(config):
        settings = config.use_cases[slot.use_case][slot.segment]
        table = settings.corpus.table
        days = lake.days(table, slot.segment)
        if settings.segment_by == "none" and not _is_snapshot_there(config, landing, lake, table):
            plans.append(TrainingPlan(slot, False, f"{table} has not been delivered"))
            continue
        label = settings.models[slot.model].label
        label_days = lake.days(label.table, slot.segment) if isinstance(label, EventLabel) else []
        plans.append(
            plan_first_training(
                slot, settings.corpus, settings.models[slot.model], days, label_days, ledger.history(slot)
            )
        )
    return plans


def plan_retrainings(config: ProjectConfig, lake: Lake, ledger: PromotionLedger) -> list[RetrainingPlan]:
    """Return for every slot that a monitor may retrain whether it is due, and why or why not."""
    verdicts = functools.cache(lambda monitor, segment: read_verdicts(lake, monitor, segment, VERDICT_DAYS))
    plans = []
    for slot in slots(config):
        settings = config.use_cases[slot.use_case][slot.segment]
        if policy := settings.retraining if settings.retraining.monitors else None:
            history = SlotHistory(
                days=lake.days(settings.corpus.table, slot.segment),
                verdicts={name: verdicts(name, slot.segment) for name in policy.monitors},
                decisions=ledger.history(slot),
            )
            model = settings.models[slot.model]
            plans.append(plan_retraining(slot, policy, settings.corpus, model, history))
    return plans


def retrained_since(
    config: ProjectConfig, ledger: PromotionLedger, monitor: str, segment: str, day: dt.date
) -> dt.date | None:
    """Return the first day whose evidence counts for a monitor's segment, after retrainings; None if all do."""
    watched = [
        slot
        for slot in slots(config)
        if slot.segment == segment and monitor in config.use_cases[slot.use_case][segment].retraining.monitors
    ]
    return find_since_day([ledger.history(slot) for slot in watched], day)


def _is_snapshot_there(config: ProjectConfig, landing: LandingZone, lake: Lake, table: str) -> bool:
    """Say whether a snapshot lies in the landing zone (its training job publishes it) or is published."""
    contract = config.feeds[table.removeprefix("feeds/")].for_geography([EVERYWHERE])
    found = landing.find(EVERYWHERE, contract.file_name(None))
    return found is not None or lake.manifest(PartitionId(table, EVERYWHERE)) is not None


def column_notes(config: ProjectConfig, table: str) -> dict[str, tuple[str, str]]:
    """Return unit and meaning of every column of a lake table."""
    from mlops_assets.domain.features.catalogue import FEATURE_TABLES

    if table in FEATURE_TABLES:
        return {name: (c.unit or "", c.description) for name, c in FEATURE_TABLES[table].columns.items()}
    feed = config.feeds[table.removeprefix("feeds/")]
    return {c.name: (c.unit or "", c.description) for c in feed.columns}
