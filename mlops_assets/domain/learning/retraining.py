"""When a behaviour shift makes a slot's models due for retraining.

Belongs here: the pure decision, from drift verdicts and the decisions already taken. Does not belong here: the
verdicts (domain.quality), first trainings (readiness), or launching runs (sensors, `mlops run`).

A shift is answered by a promotion whose holdout begins on the shift's first day or later: only rows from after it
can show that a model copes with it. So the first attempt waits until such rows have complete labels, and attempts
are repeated every `cooldown_days` of data until one answers the shift or `max_attempts` are used up: training data
from after the shift come week by week. All of it is counted in days of data, never by the clock, so that a replay
and a live sensor decide alike.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mlops_assets.domain.learning.spec import CorpusSpec, EventLabel, ModelSpec, RetrainingSpec, TimeSplit
from mlops_assets.domain.ports import LedgerEntry, ModelSlot

# A shift that is not recognised on every day is still one: its windows overlap.
_SAME_SHIFT_DAYS = 14
_WORDS = {"performance_fall": "fall of what offers bring"}


@dataclass(frozen=True)
class DayVerdict:
    """What a drift verdict says, as far as a retraining is concerned.

    Attributes:
        day: judged day.
        is_shift: the verdict is `behaviour_shift`.
        is_evidence: the day's feeds were sound; a broken or missing feed is no reason for anything.
        first_marked_day: oldest day that counts for the shift.
        since_day: evidence counted from this day on, because of an earlier retraining.
        reasons: sentences for people.
        kind: of the verdict, for people: nothing is decided by it here.
    """

    day: dt.date
    is_shift: bool
    is_evidence: bool = True
    first_marked_day: dt.date | None = None
    since_day: dt.date | None = None
    reasons: tuple[str, ...] = ()
    kind: str = "healthy"


@dataclass(frozen=True)
class Shift:
    """A lasting change: since when, when it was recognised, by which monitor, why; `what` names it to people."""

    monitor: str
    start_day: dt.date
    detected_day: dt.date
    reasons: tuple[str, ...] = ()
    what: str = "behaviour shift"


@dataclass(frozen=True)
class RetrainingPlan:
    """Whether to retrain a slot now, for which shift, on data up to which day, and why or why not."""

    slot: ModelSlot
    is_due: bool
    reason: str
    shift: Shift | None = None
    as_of_day: dt.date | None = None

    @property
    def run_key(self) -> str:
        """Stable name of the request: the same shift and window never train twice."""
        name = f"{self.shift.monitor}-{self.shift.detected_day}" if self.shift else "none"
        return f"drift/{self.slot.registered_name}/{name}/{self.as_of_day}"


@dataclass(frozen=True)
class SlotHistory:
    """What a plan rests on beside the configuration.

    Attributes:
        days: published days of the corpus table for the segment, in order.
        verdicts: by monitor, in order of days.
        decisions: of the ledger, oldest first.
    """

    days: Sequence[dt.date]
    verdicts: Mapping[str, Sequence[DayVerdict]] = field(default_factory=dict)
    decisions: Sequence[LedgerEntry] = ()


def find_last_shift(monitor: str, verdicts: Sequence[DayVerdict]) -> Shift | None:
    """Return the newest shift of a monitor: verdicts that follow each other are one and the same.

    After a retraining evidence counts anew (`since_day`), so what is recognised then is another shift.

    Args:
        monitor: its name.
        verdicts: one a day, oldest first.
    """
    found = [one for one in verdicts if one.is_shift]
    if not found:
        return None
    first = found[0]
    for before, after in pairwise(found):
        is_apart = (after.day - before.day).days > _SAME_SHIFT_DAYS
        if is_apart or after.since_day != before.since_day:
            first = after
    what = _WORDS.get(first.kind, "behaviour shift")
    return Shift(monitor, first.first_marked_day or first.day, first.day, first.reasons, what)


def is_answered(shift: Shift, decisions: Sequence[LedgerEntry]) -> bool:
    """Return whether a promotion was decided on rows from after the shift began."""
    promoted = (one for one in decisions if one.outcome == "promoted")
    return any((first := holdout_first_day(one)) is not None and first >= shift.start_day for one in promoted)


def holdout_first_day(decision: LedgerEntry) -> dt.date | None:
    """Return the oldest as-of day that a decision's evidence was measured on; None for snapshots."""
    figures = decision.evidence.get("figures") or {}
    day = figures.get("holdout_first_day")
    return dt.date.fromisoformat(day) if day else None


def first_attempt_day(shift: Shift, corpus: CorpusSpec, model: ModelSpec) -> dt.date:
    """Return the first day on which a whole holdout lies after the start of a shift, labels complete."""
    horizon_days = model.label.horizon_days if isinstance(model.label, EventLabel) else 0
    split = corpus.split
    span_days = (split.holdout_as_ofs - 1) * split.as_of_every_days if isinstance(split, TimeSplit) else 0
    return max(shift.detected_day, shift.start_day + dt.timedelta(days=horizon_days + span_days))


def plan_retraining(
    slot: ModelSlot, policy: RetrainingSpec, corpus: CorpusSpec, model: ModelSpec, history: SlotHistory
) -> RetrainingPlan:
    """Decide whether a slot is to be retrained because of the newest shift of its monitors.

    Args:
        slot: use case, model and segment.
        policy: which monitors count, how often is tried.
        corpus: its split says which rows a decision would rest on.
        model: its label says how long outcomes take.
        history: days, verdicts and decisions of the slot's segment.
    """
    return plan_attempts(slot, policy, history, lambda shift: first_attempt_day(shift, corpus, model))


def plan_attempts(
    slot: ModelSlot,
    policy: RetrainingSpec,
    history: SlotHistory,
    find_first_day: Callable[[Shift], dt.date],
) -> RetrainingPlan:
    """Decide whether a slot of any kind is to be trained again because of the newest shift of its monitors.

    Args:
        slot: use case, model or agent, and segment.
        policy: which monitors count, how often is tried.
        history: days, verdicts and decisions of the slot's segment.
        find_first_day: first day on which rows from after a shift can show that it is answered.
    """
    decisions = history.decisions
    if not any(one.outcome == "promoted" for one in decisions):
        return RetrainingPlan(slot, False, "no champion yet")
    shifts = [
        shift for name in policy.monitors if (shift := find_last_shift(name, history.verdicts.get(name, ())))
    ]
    unanswered = [shift for shift in shifts if not is_answered(shift, decisions)]
    if not unanswered:
        last = max((shift.detected_day for shift in shifts), default=None)
        reason = f"the shift of {last} is answered" if last else _describe_calm(policy.monitors, history)
        return RetrainingPlan(slot, False, reason)
    shift = max(unanswered, key=lambda one: one.detected_day)
    return _plan_attempt(slot, shift, policy, find_first_day(shift), history)


def _describe_calm(monitors: Sequence[str], history: SlotHistory) -> str:
    """Say what the newest verdicts are instead of a shift, if there is something to say."""
    newest = [(name, verdicts[-1]) for name in monitors if (verdicts := history.verdicts.get(name))]
    found = [
        f"{name} says {one.kind.replace('_', ' ')} of {one.day}: {'; '.join(one.reasons)}"
        for name, one in newest
        if one.kind != "healthy"
    ]
    return ", ".join(["no behaviour shift", *found])


def _plan_attempt(
    slot: ModelSlot, shift: Shift, policy: RetrainingSpec, first_day: dt.date, history: SlotHistory
) -> RetrainingPlan:
    since = [
        one for one in history.decisions if one.as_of_day is not None and one.as_of_day >= shift.detected_day
    ]
    attempts = [one for one in since if one.outcome != "rolled_back"]
    about = f"{shift.what} since {shift.start_day}, recognised on {shift.detected_day} by {shift.monitor}"
    tried = len({one.version for one in attempts})  # a person's word is a second decision on the same version
    if since and since[-1].outcome == "pending":
        return RetrainingPlan(slot, False, f"{about}: a challenger waits for approval", shift)
    if tried >= policy.max_attempts:
        reason = f"{about}: {tried} attempts brought no better model; see the retraining reports"
        return RetrainingPlan(slot, False, reason, shift)
    last = max((one.as_of_day for one in attempts if one.as_of_day), default=None)
    wanted = max(first_day, last + dt.timedelta(days=policy.cooldown_days)) if last else first_day
    sound = {one.day for one in history.verdicts.get(shift.monitor, ()) if one.is_evidence}
    as_of_day = next((day for day in history.days if day >= wanted and day in sound), None)
    number = f"attempt {tried + 1} of {policy.max_attempts}"
    if as_of_day is None:
        return RetrainingPlan(
            slot, False, f"{about}: {number} on the first sound day from {wanted} on", shift
        )
    return RetrainingPlan(slot, True, f"{about} ({number})", shift, as_of_day)


def find_since_day(histories: Sequence[Sequence[LedgerEntry]], day: dt.date) -> dt.date | None:
    """Return the first day whose evidence counts after retrainings, for a day of a monitor's segment.

    Args:
        histories: decisions of every slot that the monitor may retrain, oldest first each.
        day: judged day; what was decided on its data, or later, does not count yet.

    Returns:
        the day after the data of the retraining that is furthest behind; None unless every slot had one: while
        one model still lags, the shift is not over for all.
    """
    through: list[dt.date] = []
    for history in histories:
        days = [
            one.as_of_day
            for one in history
            if one.outcome == "promoted" and one.previous_version is not None and one.as_of_day is not None
        ]
        known = [one for one in days if one < day]
        if not known:
            return None
        through.append(known[-1])
    return min(through) + dt.timedelta(days=1) if through else None
