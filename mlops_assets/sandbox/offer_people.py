"""The people of the offer world: traits that nobody sees, their state, and what an operator sees of both.

Belongs here: who there is at the start, and observed states with the noise of proxies. Does not belong here: what
happens in a week (offer_week.py), logs and values (offer_world.py).

The sandbox lives day by day in the engine (population, behaviour); this world is its reduction to weeks for customers
with a line, in memory, for questions that need the truth about thousands of policies' weeks. The numbers are those of
`parameters`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.offers.decision_data import (
    CLOCK_BOUNDS,
    HISTORIES,
    HISTORY_WEEKS,
    OfferAction,
    OfferStates,
    StateLayout,
)
from mlops_assets.sandbox.catalogue import BASE_CATALOGUE, BASE_PLAN
from mlops_assets.sandbox.parameters import BehaviourParameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

CONTROL, RANDOM, RULES = 0, 1, 2
NO_PLAN = -1
FATIGUE_STRENGTH = {"none": 0.0, "medium": 1.0, "strong": 3.0}
LEVELS = (
    "balance_usd",
    "usage_mb_day",
    "usage_month_mb_day",
    "topup_usual_usd",
    "allowance_left_share",
    "price_response",
    "purchase_propensity",
    "churn_score",
    "usual_plan_price_usd",
)
LAYOUT = StateLayout(LEVELS)
_PRICE_ERROR, _LIKING_ERROR, _TOPUP_ERROR, _UNKNOWN_TOPUP = 0.7, 1.0, 0.2, 0.03
_USUAL_PURCHASES = 5.0  # of the preferred plan, remembered at the start
_RISK_ERROR, _RISK_IN_DECLINE = 0.6, 0.55


@dataclass(frozen=True)
class OfferWorld:
    """A behaviour, how much contacts annoy, and what can be bought.

    Attributes:
        behaviour: constants of the sandbox.
        fatigue_strength: factor on the sandbox's effects of remembered contacts, on acceptance and on leaving.
        plans: what is sold without discount, boosters last.
        choices: what may be offered, `no_offer` first, a plan's discounts beside each other.
    """

    behaviour: BehaviourParameters
    fatigue_strength: float
    plans: tuple[OfferAction, ...]
    choices: tuple[OfferAction, ...]

    @property
    def mean_decline_weeks(self) -> float:
        """Length of a decline."""
        churn = self.behaviour.churn
        return (churn.decline_days_min + (churn.decline_days_span - 1) / 2) / 7


def build_offer_world(fatigue_strength: float, behaviour: BehaviourParameters | None = None) -> OfferWorld:
    """Return the world with the sandbox's catalogue, each plan with each of the campaign's discounts."""
    behaviour = behaviour or BehaviourParameters()
    plans = tuple(
        OfferAction(
            plan.plan_code,
            plan.family,
            plan.price_usd_cents / 100,
            plan.margin_usd_cents / 100,
            plan.validity_days,
            plan.allowance_kb / 1024,
        )
        for plan in BASE_CATALOGUE
        if plan.plan_code != BASE_PLAN
    )
    offers = (replace(plan, discount_share=share) for plan in plans for share in behaviour.campaign.discounts)
    return OfferWorld(behaviour, fatigue_strength, plans, (OfferAction("no_offer"), *offers))


@dataclass(frozen=True, eq=False)
class OfferPeople:
    """People at the start of a week; arrays of one row a person.

    Attributes:
        number: who it is.
        wanted: position in the world's plans of the preferred one, NO_PLAN for pay-as-you-go.
        data_mb: appetite a day.
        topup_usd: usual top-up.
        price_z, loyalty_z, receptivity_z: traits, mean 0, standard deviation 1.
        price_error, liking_error, topup_error: of what the operator's models think of the person; they stay.
        stratum: CONTROL, RANDOM or RULES.
        tenure_days: as a customer.
        days_left: to the plan's expiry, negative after it.
        plan: position of the last plan bought, NO_PLAN for none.
        bought_counts: float64 [people x plans], main plans bought without an offer, fading with each of them.
        allowance_mb: left.
        balance_usd: on the account.
        fatigue: remembered contacts.
        decline_weeks: weeks in decline, 0 for none.
        decline_depth: log reduction of engagement at its end.
        days_since_offer: bounded.
        history: [people x histories x weeks], newest week first.
        usage_mb_day: of the last week.
        usage_mean: its fading average.
        is_active: still a customer.
        observed: float64 [people x 3], noise of this week's observation.
    """

    number: NDArray[np.int64]
    wanted: NDArray[np.int64]
    data_mb: Floats
    topup_usd: Floats
    price_z: Floats
    loyalty_z: Floats
    receptivity_z: Floats
    price_error: Floats
    liking_error: Floats
    topup_error: Floats
    stratum: NDArray[np.int64]
    tenure_days: Floats
    days_left: Floats
    plan: NDArray[np.int64]
    bought_counts: Floats
    allowance_mb: Floats
    balance_usd: Floats
    fatigue: Floats
    decline_weeks: Floats
    decline_depth: Floats
    days_since_offer: Floats
    history: Floats
    usage_mb_day: Floats
    usage_mean: Floats
    is_active: Mask
    observed: Floats

    @property
    def rows(self) -> int:
        """Number of people."""
        return len(self.number)

    def take(self, rows: NDArray[Any]) -> OfferPeople:
        """Return some of the people; `rows` is a mask or positions."""
        return OfferPeople(*(getattr(self, one.name)[rows] for one in fields(self)))


def draw_people(world: OfferWorld, count: int, seed: int) -> OfferPeople:
    """Return people as they were before the first campaign, on a random day of their plan."""
    chance, it = np.random.default_rng([seed, 0]), world.behaviour
    codes = [plan.plan_code for plan in world.plans]
    segment = chance.choice(len(it.segments), count, p=[one.share for one in it.segments])
    wanted = np.array([codes.index(s.plan_code) if s.plan_code in codes else NO_PLAN for s in it.segments])[
        segment
    ]
    z_data, z_topup, z = chance.normal(size=count), chance.normal(size=count), chance.normal(size=(6, count))
    data_mb = np.array([s.data_mb_per_day for s in it.segments])[segment] * np.exp(
        it.population.data_appetite_sigma * z_data
    )
    topup_usd = np.array([s.topup_usd for s in it.segments])[segment] * np.exp(
        it.population.topup_sigma * (0.6 * z_data + 0.8 * z_topup)
    )
    validity = np.where(wanted >= 0, np.array([p.validity_days for p in world.plans])[wanted], 0)
    days_left = np.where(wanted >= 0, np.floor(1.35 * validity * (chance.random(count) - 0.25)), -60.0)
    allowance = np.where(days_left > 0, np.array([p.allowance_mb for p in world.plans])[wanted], 0.0)
    strata = [it.campaign.control_share, it.campaign.control_share + it.campaign.random_share]
    return OfferPeople(
        number=np.arange(count),
        wanted=wanted,
        data_mb=data_mb,
        topup_usd=topup_usd,
        price_z=z[0],
        loyalty_z=z[1],
        receptivity_z=z[2],
        price_error=_PRICE_ERROR * z[3],
        liking_error=_LIKING_ERROR * z[4],
        topup_error=_TOPUP_ERROR * z[5],
        stratum=np.searchsorted(strata, chance.random(count), side="right").astype(np.int64),
        tenure_days=1.0 + np.floor(chance.exponential(it.population.tenure_mean_days, count)),
        days_left=days_left,
        plan=wanted.copy(),
        bought_counts=_USUAL_PURCHASES * (wanted[:, None] == np.arange(len(world.plans))).astype(np.float64),
        allowance_mb=allowance * np.clip(days_left / np.maximum(validity, 1), 0, 1),
        balance_usd=0.8 * topup_usd * chance.random(count) ** 2,
        fatigue=np.zeros(count),
        decline_weeks=(chance.random(count) < it.population.declining_share_at_start).astype(np.float64),
        decline_depth=it.churn.decline_depth_min + it.churn.decline_depth_span * chance.random(count),
        days_since_offer=np.full(count, CLOCK_BOUNDS["days_since_offer"][1]),
        history=np.zeros((count, len(HISTORIES), HISTORY_WEEKS)),
        usage_mb_day=data_mb.copy(),
        usage_mean=data_mb.copy(),
        is_active=np.ones(count, dtype=bool),
        observed=chance.normal(size=(count, 3)),
    )


def find_progress(world: OfferWorld, people: OfferPeople) -> Floats:
    """Return float64 [people]: how far a decline has come, 0 without one, 1 at its usual end."""
    return np.asarray(np.minimum(people.decline_weeks / world.mean_decline_weeks, 1.0))


def find_leaving_effects(world: OfferWorld, people: OfferPeople, fatigue: Floats) -> Floats:
    """Return float64 [people], log factor on the hazards of leaving, as in the sandbox."""
    it = world.behaviour.churn
    return np.asarray(
        it.price_sensitivity_effect * people.price_z
        + it.loyalty_effect * people.loyalty_z
        + world.fatigue_strength * it.fatigue_effect * np.minimum(fatigue, it.fatigue_cap)
        + it.short_tenure_effect * (people.tenure_days < it.short_tenure_days)
        + it.expired_effect * (people.days_left < -5)
        + it.low_balance_effect * (people.balance_usd < 0.3)
    )


def observe(world: OfferWorld, people: OfferPeople) -> OfferStates:
    """Return what the operator knows: measured levels, models' opinions with their errors, clocks, history."""
    prices = np.array([p.price_usd for p in world.plans])
    allowances = np.array([p.allowance_mb for p in world.plans])
    has_plan = people.plan >= 0
    topup = people.topup_usd * np.exp(people.topup_error)
    levels = (
        people.balance_usd,
        people.usage_mb_day,
        people.usage_mean,
        np.where(people.number % 1000 < 1000 * _UNKNOWN_TOPUP, np.nan, topup),
        np.where(has_plan & (people.days_left > 0), people.allowance_mb / allowances[people.plan], 0.0),
        people.price_z + people.price_error,
        people.receptivity_z + people.liking_error + 0.2 * people.observed[:, 0],
        _score_risk(world, people),
        np.where(people.bought_counts.any(axis=1), prices[people.bought_counts.argmax(axis=1)], 0.0),
    )
    clocks = {
        "days_to_expiry": people.days_left,
        "tenure_days": people.tenure_days,
        "days_since_offer": people.days_since_offer,
    }
    bounded = [np.clip(column, *CLOCK_BOUNDS[name]) for name, column in clocks.items()]
    flat = people.history.reshape(people.rows, -1)
    values = np.column_stack([*levels, *bounded, flat]).astype(np.float32)
    return OfferStates(LAYOUT, values, people.number)


def _score_risk(world: OfferWorld, people: OfferPeople) -> Floats:
    """Return what a churn model would say: nothing of loyalty, a decline the surer the further it has come."""
    it, progress = world.behaviour.churn, find_progress(world, people)
    known = find_leaving_effects(world, people, people.fatigue) - it.loyalty_effect * people.loyalty_z
    calm = 1 - np.exp(-28 * (0.5 * it.onset_per_day + it.abrupt_per_day) * np.exp(known))
    logit = (1 - progress) * _logit(calm) + progress * _logit(np.array(_RISK_IN_DECLINE))
    return np.asarray(1 / (1 + np.exp(-(logit + _RISK_ERROR * people.observed[:, 1]))))


def _logit(share: Floats) -> Floats:
    return np.asarray(np.log(share / (1 - share)))
