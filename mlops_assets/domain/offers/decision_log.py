"""The decision log of a segment, frozen for a training: built once, kept in the lake, read back by every later step.

Belongs here: whether there is log enough, writing and reading the partition. Does not belong here: how person-weeks
come about (transitions.py) or their file (transition_files.py).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mlops_assets.domain.errors import TableInputError
from mlops_assets.domain.learning.lake_tables import transitions_table
from mlops_assets.domain.offers.decision_data import NO_ACTION, STEP_DAYS, Transitions
from mlops_assets.domain.offers.policy_readiness import least_weeks
from mlops_assets.domain.offers.state_scores import NotReady, OfferSetting
from mlops_assets.domain.offers.transition_files import hash_transitions, read_transitions, write_transitions
from mlops_assets.domain.offers.transitions import (
    DecisionLog,
    TransitionsPlan,
    build_transitions,
    plan_transitions,
)
from mlops_assets.domain.ports import (
    Lake,
    Manifest,
    ModelRegistry,
    ModelSlot,
    PartitionId,
    PromotionLedger,
    TableEngine,
)

DECISION_LOG_VERSION = "1"


@dataclass(frozen=True, eq=False)
class FrozenLog:
    """The log of a slot as it lies in the lake.

    Attributes:
        transitions: person-weeks.
        sha256: of their content.
        as_of_days: of the weeks, oldest first; week n begins at the end of `as_of_days[0]` + 7 n days.
        last_day: newest day whose data are in it.
        holdout_weeks: of them, the newest, which only the check of the simulators sees.
        manifest: of the partition.
    """

    transitions: Transitions
    sha256: str
    as_of_days: tuple[dt.date, ...]
    last_day: dt.date
    holdout_weeks: int
    manifest: Manifest

    @property
    def holdout_first_week(self) -> int:
        """Number of the first week that is held out."""
        return _first_held_out(self.as_of_days, self.holdout_weeks)

    @property
    def holdout_first_day(self) -> dt.date:
        """As-of day of the first week that is held out; the week begins at its end."""
        return self.as_of_days[-self.holdout_weeks]

    @property
    def learned(self) -> Transitions:
        """Person-weeks to learn from."""
        return self.transitions.take(self.transitions.weeks < self.holdout_first_week)

    @property
    def held_out(self) -> Transitions:
        """Person-weeks that only the check sees."""
        return self.transitions.take(self.transitions.weeks >= self.holdout_first_week)

    def first_week_from(self, day: dt.date | None) -> int | None:
        """Return the number of the first week whose contacts were all made on `day` or later; None if there is none."""
        if day is None:
            return None
        later = [one for one in self.as_of_days if one + dt.timedelta(days=1) >= day]
        return _number(self.as_of_days, later[0]) if later else None


def _number(as_of_days: tuple[dt.date, ...], day: dt.date) -> int:
    return (day - as_of_days[0]).days // STEP_DAYS


def _first_held_out(as_of_days: tuple[dt.date, ...], holdout_weeks: int) -> int:
    return _number(as_of_days, as_of_days[-holdout_weeks])


def log_partition(slot: ModelSlot) -> PartitionId:
    """Return the lake partition of a slot's log."""
    return PartitionId(transitions_table(slot.use_case), slot.segment)


def freeze_log(
    setting: OfferSetting,
    last_day: dt.date | None,
    *,
    lake: Lake,
    engine: TableEngine,
    registry: ModelRegistry,
    ledger: PromotionLedger,
    threads: int = 1,
) -> FrozenLog | NotReady:
    """Build the log of the weeks up to a day and keep it; one that is kept already is read.

    Args:
        setting: use case and segment.
        last_day: newest day that may be read; None if there is no day yet.
        lake: holds feeds and tables, receives the log.
        engine: runs the statements.
        registry: holds the champions of the input models.
        ledger: says who they are.
        threads: most threads a model uses.

    Returns:
        the log, or why there is none: no champion of an input model, too few weeks, too few contacts.

    Raises:
        EngineError: an input cannot be read.
        LearningError: the features of a day do not fit a champion.
    """
    if last_day is None:
        return NotReady("no_history", f"{setting.segment}: {setting.corpus.table} has no day yet")
    plan = plan_transitions(setting, last_day, lake=lake, registry=registry, ledger=ledger)
    if isinstance(plan, NotReady):
        return plan
    if lacking := _find_lacking_weeks(setting, plan):
        return lacking
    partition = log_partition(setting.slot)
    manifest = lake.manifest(partition)
    if manifest is None or manifest.build_key != plan.build_key:
        found = build_transitions(setting, plan, lake=lake, engine=engine, threads=threads)
        if lacking := _find_lacking_contacts(setting, found):
            return lacking
        _write(partition, setting, found, lake)
    return read_log(setting.slot, lake)


def _find_lacking_weeks(setting: OfferSetting, plan: TransitionsPlan) -> NotReady | None:
    wanted, found = least_weeks(setting.spec.agent), len(plan.as_of_days)
    if found >= wanted:
        return None
    told = "; ".join(f"week after {day}: {why}" for day, why in plan.left_out.items())
    return NotReady("no_history", f"{setting.segment}: {found} weeks of {wanted}; {told}")


def _find_lacking_contacts(setting: OfferSetting, found: DecisionLog) -> NotReady | None:
    """Too few contacts are no evidence about a simulator: that is a matter of time, not of a wrong simulator."""
    check, transitions = setting.spec.simulator_check, found.transitions
    first = _first_held_out(found.plan.as_of_days, setting.spec.agent.holdout_weeks)
    held_out = (transitions.weeks >= first) & (transitions.actions != NO_ACTION)
    contacts, accepted = int(held_out.sum()), int((held_out & transitions.is_accepted).sum())
    if contacts >= check.min_contacts and accepted >= check.min_acceptances:
        return None
    return NotReady(
        "no_history",
        f"{setting.segment}: {contacts} contacts and {accepted} acceptances in the held-out weeks, "
        f"{check.min_contacts} and {check.min_acceptances} are needed",
    )


def _write(partition: PartitionId, setting: OfferSetting, found: DecisionLog, lake: Lake) -> None:
    plan = found.plan
    with lake.write(partition, plan.build_key) as writer:
        write_transitions(writer.file("data"), found.transitions)
        writer.commit(
            row_count=found.transitions.rows, inputs=plan.inputs, facts=_facts(setting, found, plan)
        )


def _facts(setting: OfferSetting, found: DecisionLog, plan: TransitionsPlan) -> dict[str, Any]:
    scored = zip(plan.scorers.sources, plan.scorers.champions, strict=True)
    return {
        "content_sha256": hash_transitions(found.transitions),
        "as_of_days": [day.isoformat() for day in plan.as_of_days],
        "last_day": plan.last_day.isoformat(),
        "holdout_weeks": setting.spec.agent.holdout_weeks,
        "left_out_weeks": {day.isoformat(): why for day, why in plan.left_out.items()},
        "counts": asdict(found.counts),
        "input_champions": {f"{s.slot.use_case}/{s.slot.model}": c.version for s, c in scored},
        "people": len(np.unique(found.transitions.states.customers)),
    }


def read_log(slot: ModelSlot, lake: Lake) -> FrozenLog:
    """Return the log of a slot.

    Raises:
        TableInputError: none has been built.
        StorageError: the file holds something else.
    """
    partition = log_partition(slot)
    manifest = lake.manifest(partition)
    if manifest is None:
        raise TableInputError(
            "there is no decision log", where=str(partition), remedy="materialise the transitions asset"
        )
    facts = manifest.facts
    return FrozenLog(
        transitions=read_transitions(lake.path(partition)),
        sha256=str(facts["content_sha256"]),
        as_of_days=tuple(dt.date.fromisoformat(day) for day in facts["as_of_days"]),
        last_day=dt.date.fromisoformat(facts["last_day"]),
        holdout_weeks=int(facts["holdout_weeks"]),
        manifest=manifest,
    )
