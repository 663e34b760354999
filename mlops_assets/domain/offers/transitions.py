"""Person-weeks of the decision log, from the lake: the arrays that simulators and policies are learned from.

A week begins at the end of its as-of day. Its action is the first contact of its seven days; the state a week later is
that of the same person by the same champions. Weeks are counted back from the newest day that is complete, so they
do not depend on when this runs.

| case | outcome |
|---|---|
| a required partition of a week is missing | the week is left out, the partitions are named |
| fewer days of history published before it than `corpus.min_history_days` or `agent.state_days_min` | left out, named |
| `corpus.min_history_days` of more than four weeks: the first day of features is not so long ago | left out, named |
| fewer than two weeks are left | NotReady, `no_history` |
| an input model without champion | NotReady, `no_champion` |
| a contact whose plan, or discount, is not in the catalogue | the person-week is left out and counted |
| somebody who is gone a week later and did not churn (a prospect forgotten) | likewise |
| further contacts in a week | counted; what they sold counts in the margin, not as organic |

Belongs here: from weeks to arrays, and what was left out. Does not belong here: the statements (offer_states.py,
offer_weeks.py), learning.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.population import population_of
from mlops_assets.domain.offers.contact_chances import weekly_chances
from mlops_assets.domain.offers.decision_data import (
    NO_ACTION,
    STEP_DAYS,
    OfferAction,
    OfferStates,
    Transitions,
)
from mlops_assets.domain.offers.offer_choices import (
    NOT_A_CHOICE,
    find_choices,
    is_sold,
    list_choices,
    plan_of_choice,
    read_plans,
)
from mlops_assets.domain.offers.offer_states import (
    StatesPlan,
    find_lacking_history,
    plan_states,
    stream_people,
)
from mlops_assets.domain.offers.offer_tables import PLANS_TABLE, proposals_table
from mlops_assets.domain.offers.offer_weeks import WeekOutcomes, WeekPlan, plan_week, read_week
from mlops_assets.domain.offers.state_scores import NotReady, OfferSetting, StateScorers, find_scorers
from mlops_assets.domain.ports import (
    Lake,
    ModelRegistry,
    PartitionId,
    PromotionLedger,
    TableEngine,
    ViewSource,
)
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRANSITIONS_VERSION = "1"
WEEKS_MIN = 2


@dataclass(frozen=True)
class LogCounts:
    """Person-weeks by what became of them, and facts about those used.

    `used` + `other_offer` + `gone` are all that the sampled people had. `unknown_chance` of those used have no
    propensity, `overridden` of them because the campaign did otherwise than proposed.
    """

    used: int
    other_offer: int
    gone: int
    contacted: int
    further_contacts: int
    unpriced_purchases: int
    unknown_chance: int
    overridden: int


@dataclass(frozen=True)
class TransitionsPlan:
    """Which weeks would be read.

    Attributes:
        scorers: champions of the input models.
        as_of_days: of the weeks, oldest first.
        states: plan of each day at whose end a state is needed.
        weeks: plan of each week, by as-of day.
        left_out: as-of day to the reason why its week is left out.
        build_key: hash of all of it.
    """

    scorers: StateScorers
    as_of_days: tuple[dt.date, ...]
    states: Mapping[dt.date, StatesPlan]
    weeks: Mapping[dt.date, WeekPlan]
    left_out: Mapping[dt.date, str]
    build_key: str

    @property
    def last_day(self) -> dt.date:
        """Last day whose data are in the log."""
        return self.as_of_days[-1] + dt.timedelta(days=STEP_DAYS)

    @property
    def inputs(self) -> dict[str, str]:
        """Return partition to build key of everything that is read."""
        inputs: dict[str, str] = {}
        for states in self.states.values():
            inputs |= states.inputs
        for week in self.weeks.values():
            inputs |= week.inputs
        return inputs


@dataclass(frozen=True, eq=False)
class DecisionLog:
    """Transitions with what is to be known about them."""

    transitions: Transitions
    counts: LogCounts
    plan: TransitionsPlan


def plan_transitions(
    setting: OfferSetting,
    last_day: dt.date,
    *,
    lake: Lake,
    registry: ModelRegistry,
    ledger: PromotionLedger,
) -> TransitionsPlan | NotReady:
    """Return which weeks up to `last_day` the log consists of, or why there is none.

    Args:
        setting: use case and segment.
        last_day: newest day that may be read; the champions are those who serve on the day after it.
        lake: holds feeds and tables.
        registry: holds the champions of the input models.
        ledger: says who they are.
    """
    scorers = find_scorers(setting, last_day + dt.timedelta(days=1), registry=registry, ledger=ledger)
    if isinstance(scorers, NotReady):
        return scorers
    wanted = [
        last_day - dt.timedelta(days=STEP_DAYS * n) for n in range(setting.spec.agent.history_weeks, -1, -1)
    ]
    states = {day: plan_states(setting, day, lake=lake) for day in wanted}
    weeks = {
        day: plan_week(setting.segment, day, proposals_table(setting.use_case), lake=lake)
        for day in wanted[:-1]
    }
    left_out = {day: why for day in weeks if (why := _why_not(setting, day, states, weeks[day], lake))}
    used = tuple(day for day in wanted[:-1] if day not in left_out)
    if len(used) < WEEKS_MIN:
        told = "; ".join(f"week after {day}: {why}" for day, why in left_out.items())
        return NotReady("no_history", f"{setting.segment}: {len(used)} weeks of {WEEKS_MIN}; {told}")
    needed = sorted({*used, *(day + dt.timedelta(days=STEP_DAYS) for day in used)})
    plans = {day: plan for day in needed if isinstance(plan := states[day], StatesPlan)}
    kept = {day: weeks[day] for day in used}
    keys = [[plan.inputs for plan in plans.values()], [week.inputs for week in kept.values()]]
    identity = [TRANSITIONS_VERSION, setting.spec, setting.corpus, scorers.identity, used, keys]
    return TransitionsPlan(scorers, used, plans, kept, left_out, stable_hash(identity))


def _why_not(
    setting: OfferSetting,
    day: dt.date,
    states: Mapping[dt.date, StatesPlan | NotReady],
    week: WeekPlan,
    lake: Lake,
) -> str:
    """Return why a week cannot be used; empty if it can."""
    start, end = states[day], states[day + dt.timedelta(days=STEP_DAYS)]
    for plan in (start, end):
        if isinstance(plan, NotReady):
            return plan.detail
    if week.missing:
        return f"{', '.join(map(str, week.missing[:STEP_DAYS]))} not published"
    if lake.manifest(catalogue := PartitionId(PLANS_TABLE, setting.segment, day)) is None:
        return f"{catalogue} not published"
    return find_lacking_history(setting, start, lake=lake) if isinstance(start, StatesPlan) else ""


def build_transitions(
    setting: OfferSetting,
    plan: TransitionsPlan,
    *,
    lake: Lake,
    engine: TableEngine,
    threads: int = 1,
) -> DecisionLog:
    """Return the person-weeks of a sample of `agent.people_max` people, always the same ones.

    Args:
        setting: use case and segment.
        plan: of `plan_transitions`.
        lake: holds feeds and tables.
        engine: runs the statements.
        threads: most threads a model uses.

    Raises:
        EngineError: an input cannot be read.
        LearningError: the features of a day do not fit a champion.
    """
    people = _sample_people(setting, plan, lake, engine)
    days = {
        day: _PeopleThen.read(setting, plan, day, people, lake, engine, threads)
        for day in sorted(plan.states)
    }
    newest = days[plan.as_of_days[-1]].plans
    choices = list_choices(setting.spec.catalogue, newest)
    parts = []
    for day in plan.as_of_days:
        start, end = days[day], days[day + dt.timedelta(days=STEP_DAYS)]
        outcomes = read_week(plan.weeks[day], start.states.customers, lake=lake, engine=engine)
        number = (day - plan.as_of_days[0]).days // STEP_DAYS
        parts.append(_Week(number, start, end.states, outcomes))
    return _join(setting, plan, choices, _sold_plans(days), parts, threads)


def _sample_people(
    setting: OfferSetting, plan: TransitionsPlan, lake: Lake, engine: TableEngine
) -> NDArray[np.int64]:
    """Return the people of any as-of day whose numbers have the smallest MD5."""
    import pyarrow.parquet as pq

    table, key = setting.corpus.table, setting.corpus.entity_key
    files = ask_together(
        lake, lake.path, [PartitionId(table, setting.segment, day) for day in plan.as_of_days]
    )
    rows = population_of(setting.corpus, pq.read_schema(files[-1]), (), "population")
    digests = rows.select(key, digest=rows[key].cast("string").hexdigest("md5")).distinct()
    sampled = digests.order_by("digest", key).limit(setting.spec.agent.people_max)
    found = engine.fetch(
        compile_sql(sampled.select(key), engine.dialect), {"population": ViewSource(files=files)}
    )
    return np.sort(found[key].to_numpy().astype(np.int64))


@dataclass(frozen=True, eq=False)
class _PeopleThen:
    """The sampled people at the end of a day, ordered by number, and what the rules allow them."""

    states: OfferStates
    rules: NDArray[np.bool_]
    plans: Mapping[str, OfferAction]

    @classmethod
    def read(  # noqa: PLR0917 - private, one caller
        cls,
        setting: OfferSetting,
        plan: TransitionsPlan,
        day: dt.date,
        people: NDArray[np.int64],
        lake: Lake,
        engine: TableEngine,
        threads: int,
    ) -> _PeopleThen:
        (found,) = stream_people(
            setting,
            plan.states[day],
            plan.scorers,
            lake=lake,
            engine=engine,
            chunks=1,
            people=people,
            threads=threads,
        )
        catalogue = PartitionId(PLANS_TABLE, setting.segment, day)
        # The newest day is a state only; without its catalogue nothing is missing.
        plans = read_plans(catalogue, lake=lake, engine=engine) if lake.manifest(catalogue) else {}
        return cls(found.states, found.rules, plans)


@dataclass(frozen=True, eq=False)
class _Week:
    number: int
    start: _PeopleThen
    end: OfferStates
    outcomes: WeekOutcomes


def _sold_plans(days: Mapping[dt.date, _PeopleThen]) -> tuple[OfferAction, ...]:
    """Return what could be bought on any of the days, at its newest price."""
    newest: dict[str, OfferAction] = {}
    for _, people in sorted(days.items(), key=lambda item: item[0]):
        newest |= people.plans
    return tuple(plan for _, plan in sorted(newest.items()) if plan.price_usd > 0)


def _join(
    setting: OfferSetting,
    plan: TransitionsPlan,
    choices: tuple[OfferAction, ...],
    plans: tuple[OfferAction, ...],
    weeks: Sequence[_Week],
    threads: int,
) -> DecisionLog:
    states = _stack([week.start.states for week in weeks])
    outcomes = _stack_outcomes([week.outcomes for week in weeks])
    actions = _actions(choices, outcomes)
    next_values, is_there = _next_states(weeks)
    keep = (actions != NOT_A_CHOICE) & (is_there | outcomes.is_churned)
    chances = weekly_chances(outcomes, states, threads=threads)
    eligible = np.concatenate([_eligible(setting, choices, week.start) for week in weeks])
    numbers = np.concatenate([np.full(week.start.states.rows, week.number) for week in weeks])
    transitions = Transitions(
        states=states,
        actions=actions,
        choices=choices,
        eligible=eligible,
        propensities=chances,
        is_accepted=outcomes.is_accepted,
        organic_plan=_organic(plans, outcomes),
        plans=plans,
        margin_usd=outcomes.margin_usd,
        is_churned=outcomes.is_churned,
        next_values=next_values,
        weeks=numbers,
    ).take(keep)
    counts = _count(outcomes, actions, chances, keep)
    return DecisionLog(transitions, counts, plan)


def _stack(parts: Sequence[OfferStates]) -> OfferStates:
    values = np.concatenate([part.values for part in parts])
    return OfferStates(parts[0].layout, values, np.concatenate([part.customers for part in parts]))


def _stack_outcomes(parts: Sequence[WeekOutcomes]) -> WeekOutcomes:
    names = [field.name for field in fields(WeekOutcomes)]
    return WeekOutcomes(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _actions(choices: Sequence[OfferAction], outcomes: WeekOutcomes) -> NDArray[np.int64]:
    found = find_choices(choices, outcomes.offered_plan.tolist(), outcomes.discount_share)
    return np.where(outcomes.contacts > 0, found, NO_ACTION)


def _eligible(
    setting: OfferSetting, choices: Sequence[OfferAction], people: _PeopleThen
) -> NDArray[np.bool_]:
    """Return what rules and the day's catalogue allowed, bool [people x choices]."""
    allowed = np.ones((people.states.rows, len(choices)), dtype=np.bool_)
    allowed[:, 1:] = people.rules[:, plan_of_choice(setting.spec.catalogue)]
    return allowed & is_sold(choices, people.plans)


def _next_states(weeks: Sequence[_Week]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the states a week later and who has one; the others keep their old one, which means nothing."""
    values, there = [], []
    for week in weeks:
        now, later = week.start.states, week.end
        at = np.searchsorted(later.customers, now.customers)
        at = np.minimum(at, max(later.rows - 1, 0))
        is_there = later.customers[at] == now.customers if later.rows else np.zeros(now.rows, dtype=np.bool_)
        moved = now.values.copy()
        moved[is_there] = later.values[at[is_there]]
        values.append(moved)
        there.append(is_there)
    return np.concatenate(values), np.concatenate(there)


def _organic(plans: Sequence[OfferAction], outcomes: WeekOutcomes) -> NDArray[np.int64]:
    position = {plan.plan_code: number for number, plan in enumerate(plans, start=1)}
    return np.array([position.get(code, 0) for code in outcomes.organic_plan.tolist()], dtype=np.int64)


def _count(
    outcomes: WeekOutcomes,
    actions: NDArray[np.int64],
    chances: NDArray[np.float64],
    keep: NDArray[np.bool_],
) -> LogCounts:
    is_other = actions == NOT_A_CHOICE
    return LogCounts(
        used=int(keep.sum()),
        other_offer=int(is_other.sum()),
        gone=int((~keep & ~is_other).sum()),
        contacted=int((keep & (actions > NO_ACTION)).sum()),
        further_contacts=int(np.maximum(outcomes.contacts - 1, 0)[keep].sum()),
        unpriced_purchases=int(outcomes.unpriced[keep].sum()),
        unknown_chance=int(np.isnan(chances[keep]).sum()),
        overridden=int(outcomes.is_overridden[keep].sum()),
    )
