"""When a slot without a champion can be trained for the first time.

Belongs here: the decision, from the days that exist and the decisions already taken. Does not belong here:
launching runs (sensors, `mlops run`), or retraining because of drift.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.domain.errors import CorpusError
from mlops_assets.domain.learning.spec import CorpusSpec, EventLabel, HashSplit, ModelSpec
from mlops_assets.domain.learning.splits import first_trainable_day, plan_time_split, usable_days
from mlops_assets.domain.ports import LedgerEntry, ModelSlot


@dataclass(frozen=True)
class TrainingPlan:
    """Whether to train a slot now. `as_of_day` is None for snapshots and when waiting.

    `is_policy` says that a policy of offers is to be trained; the models that it rests on are not trained for it.
    """

    slot: ModelSlot
    is_due: bool
    reason: str
    as_of_day: dt.date | None = None
    is_policy: bool = False

    @property
    def run_key(self) -> str:
        """Stable name of the request: the same situation never trains twice."""
        return f"first/{self.slot.registered_name}/{self.as_of_day or 'snapshot'}"


def plan_first_training(
    slot: ModelSlot,
    corpus: CorpusSpec,
    model: ModelSpec,
    days: Sequence[dt.date],
    label_days: Sequence[dt.date],
    decisions: Sequence[LedgerEntry],
) -> TrainingPlan:
    """Decide whether a slot's first model is to be trained on the days that exist.

    Args:
        slot: use case, model and segment.
        corpus: corpus specification; its split says how much history is needed.
        model: its label says how long outcomes take.
        days: published days of the corpus table for this segment, in order; empty for snapshots.
        label_days: published days of the label's table for this segment; empty for snapshots.
        decisions: the slot's ledger history. A rejection is repeated once the holdout consists of as-of days
            that nobody has been judged on: days that are tried again and again will pass by chance.
    """
    if settled := say_what_is_settled(decisions):
        return TrainingPlan(slot, False, settled)
    split = corpus.split
    if isinstance(split, HashSplit):
        return TrainingPlan(
            slot, not decisions, "no champion yet" if not decisions else "rejected; waits for a new snapshot"
        )
    if not days:
        return TrainingPlan(slot, False, "no day of data yet")
    horizon_days = model.label.horizon_days if isinstance(model.label, EventLabel) else 0
    ready_day = first_trainable_day(days[0], horizon_days, split, corpus.min_history_days)
    decided = [entry.as_of_day for entry in decisions if entry.as_of_day is not None]
    if decided:
        ready_day = max(
            ready_day, max(decided) + dt.timedelta(days=split.as_of_every_days * split.holdout_as_ofs)
        )
    if days[-1] < ready_day:
        return TrainingPlan(slot, False, f"trainable from {ready_day}, data until {days[-1]}")
    try:
        is_usable = usable_days(days, label_days, horizon_days)
        plan_time_split(days[0], days[-1], horizon_days, split, corpus.min_history_days, is_usable)
    except CorpusError:
        return TrainingPlan(slot, False, f"days were lost; too few complete label windows until {days[-1]}")
    return TrainingPlan(
        slot, True, f"no champion yet; labels complete for the first time on {ready_day}", days[-1]
    )


def say_what_is_settled(decisions: Sequence[LedgerEntry]) -> str:
    """Return why nothing is to be trained whatever days there are; empty if that does not hold."""
    if any(entry.makes_champion for entry in decisions):
        return "has a champion"
    if decisions and decisions[-1].outcome == "pending":
        return f"version {decisions[-1].version} waits for approval"
    return ""
