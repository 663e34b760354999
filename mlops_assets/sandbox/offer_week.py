"""A week in the offer world: an answer to an offer, purchases, use, decline, leaving.

Belongs here: the truth of one week, as a function of people, actions and chance alone. Does not belong here: who is
offered what, and what a policy is worth (offer_world.py).

Formulas are those of `campaign` and `behaviour`, daily probabilities compounded over the week. A decline of one to four
weeks ends with the same chance every week; a contact is on the middle day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.decision_data import CLOCK_BOUNDS, STEP_DAYS
from mlops_assets.sandbox.offer_people import (
    NO_PLAN,
    OfferPeople,
    OfferWorld,
    find_leaving_effects,
    find_progress,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

_UNIFORMS, _NORMALS, _CONTACT_DAY, _COUNTS_FADE = 10, 4, 3, 0.9


@dataclass(frozen=True, eq=False)
class WeekChance:
    """All that is random in a week: float64 [people x draws] each; the same for every policy."""

    uniform: Floats
    normal: Floats


@dataclass(frozen=True, eq=False)
class WeekOutcome:
    """What came of a week.

    Attributes:
        people: a week later; those who left are not active.
        is_accepted: bool [people].
        organic_plan: int64 [people], 1 + position of the dearest plan bought without offer, 0 for none.
        margin_usd: float64 [people], all purchases, less discounts.
        is_churned: bool [people].
        leave_chance: float64 [people], probability of leaving this week given all else but chance.
    """

    people: OfferPeople
    is_accepted: Mask
    organic_plan: Ints
    margin_usd: Floats
    is_churned: Mask
    leave_chance: Floats


def draw_chance(count: int, seed: int, week: int) -> WeekChance:
    """Return a week's chance for people 0 to count - 1, a function of seed and week alone."""
    chance = np.random.default_rng([seed, 1, week])
    return WeekChance(chance.random((count, _UNIFORMS)), chance.normal(size=(count, _NORMALS)))


def find_acceptance(world: OfferWorld, people: OfferPeople, actions: Ints) -> Floats:
    """Return float64 [people], probability that each accepts the action; 0 without an offer."""
    it, choices = world.behaviour.campaign, world.choices
    price, discount, validity, allowance = (
        np.array([getattr(choice, name) for choice in choices])[actions]
        for name in ("price_usd", "discount_share", "validity_days", "allowance_mb")
    )
    is_booster = np.array([choice.is_booster for choice in choices])[actions]
    position = np.array([_plan_position(world, choice.plan_code) for choice in choices])[actions]
    mismatch = np.abs(np.log((people.data_mb * validity + 50) / (allowance + 50)))
    current = np.where(people.plan >= 0, np.array([p.allowance_mb for p in world.plans])[people.plan], 0.0)
    is_running = people.days_left > 0
    logit = (
        it.accept_intercept
        + it.accept_receptivity * people.receptivity_z
        + it.accept_need_mismatch * np.where(is_booster, 0.5, 1.0) * mismatch
        + it.accept_price * price * (1 - discount) / people.topup_usd * np.exp(0.35 * people.price_z)
        + it.accept_discount * discount
        + world.fatigue_strength * it.accept_fatigue * people.fatigue
        + it.accept_plan_running * (~is_booster & (people.days_left > 2))
        + it.accept_allowance_low * (is_booster & is_running & (people.allowance_mb < 0.15 * current))
        + it.accept_same_plan * ((position == people.wanted) & (position >= 0))
        + it.accept_decline * people.decline_depth * find_progress(world, people)
    )
    return np.asarray(np.where(actions > 0, 1 / (1 + np.exp(-logit)), 0.0))


def live_week(
    world: OfferWorld, people: OfferPeople, actions: Ints, chance: WeekChance, accepted: Mask | None = None
) -> WeekOutcome:
    """Let a week pass.

    Args:
        world: its laws.
        people: at the start of the week; those who have left stay as they are.
        actions: int64 [people], positions in the world's choices.
        chance: of these people.
        accepted: bool [people], the answers, where they are given instead of drawn.
    """
    contacted = (actions > 0) & people.is_active
    if accepted is None:
        accepted = chance.uniform[:, 0] < find_acceptance(world, people, actions)
    accepted = accepted & contacted
    fate = _draw_fate(world, people, contacted, accepted, chance)
    bought = _draw_purchases(world, people, actions, accepted, chance)
    used = _use_data(world, people, bought, chance)
    later = _move_on(world, people, contacted, accepted, bought, used, fate, chance)
    margins = np.array([0.0] + [p.margin_usd for p in world.plans])
    net = np.array([choice.net_margin_usd for choice in world.choices])[actions]
    dearest = np.where(
        _prices(world)[bought.booster] > _prices(world)[bought.renewal], bought.booster, bought.renewal
    )
    margin = accepted * net + margins[bought.renewal] + margins[bought.booster]
    return WeekOutcome(
        people=later,
        is_accepted=accepted,
        organic_plan=np.where(people.is_active, dearest, 0),
        margin_usd=np.where(people.is_active, margin, 0.0),
        is_churned=fate.leaves,
        leave_chance=fate.leave_chance,
    )


@dataclass(frozen=True, eq=False)
class _Fate:
    leaves: Mask
    leave_chance: Floats
    starts_decline: Mask
    ends_decline: Mask


@dataclass(frozen=True, eq=False)
class _Purchases:
    """Plans are numbered from 1, 0 is none."""

    offered: Ints
    renewal: Ints
    booster: Ints
    gap_days: Floats


def _plan_position(world: OfferWorld, plan_code: str) -> int:
    codes = [plan.plan_code for plan in world.plans]
    return codes.index(plan_code) if plan_code in codes else NO_PLAN


def _prices(world: OfferWorld) -> Floats:
    return np.array([0.0] + [p.price_usd for p in world.plans])


def _draw_fate(
    world: OfferWorld, people: OfferPeople, contacted: Mask, accepted: Mask, chance: WeekChance
) -> _Fate:
    it, campaign = world.behaviour.churn, world.behaviour.campaign
    adds = np.where(accepted, campaign.accepted_adds, campaign.ignored_adds) * contacted
    felt = people.fatigue * campaign.fatigue_decay_per_day**_CONTACT_DAY + adds * 0.5
    effects = np.exp(find_leaving_effects(world, people, felt))
    declining = people.decline_weeks > 0
    rescued = accepted & declining & (chance.uniform[:, 3] < it.rescued_by_accepted_offer)
    abrupt = 1 - np.exp(-STEP_DAYS * it.abrupt_per_day * effects)
    end_chance = np.where(declining & ~rescued, 1 / world.mean_decline_weeks, 0.0)
    ends = chance.uniform[:, 1] < end_chance
    leaves = (ends & (chance.uniform[:, 2] < it.leaves_share)) | (chance.uniform[:, 4] < abrupt)
    onset = chance.uniform[:, 5] < 1 - np.exp(-STEP_DAYS * it.onset_per_day * effects)
    return _Fate(
        leaves=leaves & people.is_active,
        leave_chance=1 - (1 - end_chance * it.leaves_share) * (1 - abrupt),
        starts_decline=onset & ~declining,
        ends_decline=ends | rescued,
    )


def _draw_purchases(
    world: OfferWorld, people: OfferPeople, actions: Ints, accepted: Mask, chance: WeekChance
) -> _Purchases:
    """Renewal: every day without a plan with the same chance, fading with the days expired."""
    money, boosters = world.behaviour.money, np.array([choice.is_booster for choice in world.choices])
    offered_of = np.array([_plan_position(world, choice.plan_code) + 1 for choice in world.choices])
    offered = np.where(accepted, offered_of[actions], 0)
    price = _prices(world)[people.wanted + 1]
    daily = (
        money.renewal
        * _find_vigour(world, people)
        * np.exp(np.minimum(people.days_left, 0) / money.renewal_fades_over_days)
        * np.where(people.balance_usd >= price, 1.0, money.topup_to_renew)
    )
    gap = np.floor(np.log(chance.uniform[:, 6]) / np.log1p(-np.clip(daily, 1e-9, 0.999)))
    free_days = STEP_DAYS - np.clip(people.days_left, 0, STEP_DAYS)
    renews = (people.wanted >= 0) & people.is_active & (gap < free_days)
    renews &= ~(accepted & ~boosters[actions])
    return _Purchases(
        offered=offered,
        renewal=np.where(renews, people.wanted + 1, 0),
        booster=_draw_booster(world, people, accepted & boosters[actions], chance),
        gap_days=np.clip(people.days_left, 0, STEP_DAYS) + gap,
    )


def _draw_booster(world: OfferWorld, people: OfferPeople, is_given: Mask, chance: WeekChance) -> Ints:
    """Every day with a plan and without allowance with the same chance."""
    money, desire = world.behaviour.money, people.data_mb * _find_vigour(world, people)
    plan_days = np.clip(people.days_left, 0, STEP_DAYS)
    dry_days = np.clip(plan_days - people.allowance_mb / np.maximum(desire, 1), 0, STEP_DAYS)
    daily = money.booster_when_exhausted * _find_vigour(world, people) * money.topup_to_renew
    buys = people.is_active & ~is_given & (chance.uniform[:, 7] < 1 - (1 - daily) ** dry_days)
    sizes = [number for number, plan in enumerate(world.plans, 1) if plan.is_booster]
    wants_big = people.data_mb * plan_days > 1500
    return np.where(buys, np.where(wants_big, sizes[-1], sizes[0]), 0)


def _find_vigour(world: OfferWorld, people: OfferPeople) -> Floats:
    return np.asarray(np.exp(-people.decline_depth * find_progress(world, people) ** 0.8))


@dataclass(frozen=True, eq=False)
class _Use:
    usage_mb_day: Floats
    allowance_mb: Floats
    days_left: Floats
    plan: Ints
    bought: Ints  # main plan bought without an offer, numbered from 1


def _count_purchase(counts: Floats, bought: Ints) -> Floats:
    is_it = bought[:, None] == np.arange(1, counts.shape[1] + 1)
    return np.asarray(np.where((bought > 0)[:, None], _COUNTS_FADE * counts, counts) + is_it)


def _use_data(world: OfferWorld, people: OfferPeople, bought: _Purchases, chance: WeekChance) -> _Use:
    usage = world.behaviour.usage
    is_plan = np.array([False] + [not p.is_booster for p in world.plans])
    allowances = np.array([0.0] + [p.allowance_mb for p in world.plans])
    validity = np.array([0] + [p.validity_days for p in world.plans])
    main = np.where(is_plan[bought.offered], bought.offered, bought.renewal)
    start = np.where(is_plan[bought.offered], _CONTACT_DAY, bought.gap_days)
    until = np.where(main > 0, np.maximum(people.days_left, start + validity[main]), people.days_left)
    extra = np.where(is_plan[bought.offered], 0.0, allowances[bought.offered]) + allowances[bought.booster]
    kept = np.where(people.days_left > 0, people.allowance_mb, 0.0)
    available = kept * ((main == 0) | (people.days_left <= 2)) + allowances[main] + extra
    desire = people.data_mb * _find_vigour(world, people) * np.exp(0.25 * chance.normal[:, 0])
    plan_days = np.clip(until, 0, STEP_DAYS) - np.where(main > 0, np.clip(start - people.days_left, 0, 7), 0)
    wanted = desire * np.clip(plan_days, 0, STEP_DAYS)
    used = np.minimum(wanted, available + usage.throttled_share * np.maximum(wanted - available, 0))
    without = usage.payg_desire_share * desire * (STEP_DAYS - np.clip(plan_days, 0, STEP_DAYS))
    return _Use(
        usage_mb_day=(used + without) / STEP_DAYS,
        allowance_mb=np.maximum(available - used, 0) * (until > STEP_DAYS),
        days_left=np.clip(until - STEP_DAYS, *CLOCK_BOUNDS["days_to_expiry"]),
        plan=np.where(main > 0, main - 1, people.plan),
        bought=bought.renewal,
    )


def _move_on(  # noqa: PLR0917 - everything that happened in the week
    world: OfferWorld,
    people: OfferPeople,
    contacted: Mask,
    accepted: Mask,
    bought: _Purchases,
    used: _Use,
    fate: _Fate,
    chance: WeekChance,
) -> OfferPeople:
    it = world.behaviour.campaign
    ignored = contacted & ~accepted
    adds = it.accepted_adds * accepted + it.ignored_adds * ignored
    to_end = STEP_DAYS - _CONTACT_DAY
    is_plan = np.array([False] + [not p.is_booster for p in world.plans])
    plans = (bought.renewal > 0).astype(int) + is_plan[bought.offered]
    boosters = (bought.booster > 0).astype(int) + ((bought.offered > 0) & ~is_plan[bought.offered])
    news = np.column_stack([contacted, ignored, plans, boosters])[:, :, None]
    weeks = np.where(people.decline_weeks > 0, people.decline_weeks + 1, 0.0)
    weeks = np.where(fate.ends_decline, 0.0, np.where(fate.starts_decline, 1.0, weeks))
    return replace(
        people,
        tenure_days=people.tenure_days + STEP_DAYS,
        days_left=used.days_left,
        plan=used.plan,
        bought_counts=_count_purchase(people.bought_counts, used.bought),
        allowance_mb=used.allowance_mb,
        balance_usd=_settle(world, people, bought, chance),
        fatigue=people.fatigue * it.fatigue_decay_per_day**STEP_DAYS
        + adds * it.fatigue_decay_per_day**to_end,
        decline_weeks=weeks,
        days_since_offer=np.where(
            contacted, STEP_DAYS / 2, np.minimum(people.days_since_offer + STEP_DAYS, 60.0)
        ),
        history=np.concatenate([news, people.history[:, :, :-1]], axis=2),
        usage_mb_day=used.usage_mb_day,
        usage_mean=0.75 * people.usage_mean + 0.25 * used.usage_mb_day,
        is_active=people.is_active & ~fate.leaves,
        observed=chance.normal[:, 1:4],
    )


def _settle(world: OfferWorld, people: OfferPeople, bought: _Purchases, chance: WeekChance) -> Floats:
    """Return balances: what is missing is topped up, exactly or by the usual amount; some goes into other services."""
    money, usage = world.behaviour.money, world.behaviour.usage
    prices = _prices(world)
    paid = prices[bought.offered] + prices[bought.renewal] + prices[bought.booster]
    missing = np.maximum(paid - people.balance_usd, 0)
    is_exact = chance.uniform[:, 8] < money.exact_topup_share
    needed = np.where(missing > 0, np.where(is_exact, missing, np.maximum(missing, people.topup_usd)), 0.0)
    low = (people.wanted == NO_PLAN) & (people.balance_usd * 3 < people.topup_usd)
    daily = np.where(low, money.topup_low_balance, money.topup_spontaneous) * _find_vigour(world, people)
    tops_up = (missing == 0) & (chance.uniform[:, 9] < 1 - (1 - daily) ** STEP_DAYS)
    balance = people.balance_usd + needed + np.where(tops_up, people.topup_usd, 0.0) - paid
    return np.asarray(np.maximum(balance, 0) * (1 - usage.other_services_share) ** STEP_DAYS)
