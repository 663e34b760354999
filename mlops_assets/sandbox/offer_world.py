"""Campaign logs and true values of policies in the offer world.

Belongs here: whom the sandbox's campaign contacts, the log of that as `Transitions`, and what a policy is truly worth
over many weeks. Does not belong here: people (offer_people.py), their weeks (offer_week.py), anything that learns.

A policy meets observed states only. Every policy meets the same people and the same chance (common random numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.contact_cap import allow_actions
from mlops_assets.domain.offers.decision_data import HISTORY_WEEKS, OfferStates, Transitions
from mlops_assets.domain.offers.policies import DistilledPolicy, decide
from mlops_assets.sandbox.offer_people import (
    CONTROL,
    NO_PLAN,
    RANDOM,
    RULES,
    OfferPeople,
    OfferWorld,
    draw_people,
    observe,
)
from mlops_assets.sandbox.offer_week import draw_chance, live_week

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

# (people, their observed states, what is allowed, float64 [people] uniforms of its own) to int64 [people] actions.
Decider = Callable[[OfferPeople, OfferStates, "Mask", "Floats"], "Ints"]
_BURN_IN_WEEKS = 10


@dataclass(frozen=True, eq=False)
class TrueValue:
    """What a policy did and was worth.

    Attributes:
        totals_usd: float64 [people], discounted margin less contact cost.
        contact_rate: contacts a customer-week.
        acceptance: accepted share of contacts.
        alive_share: still customers at the end.
        contact_counts: float64 [HISTORY_WEEKS + 1], share of customer-weeks with so many contacts in the four weeks
            before.
    """

    totals_usd: Floats
    contact_rate: float
    acceptance: float
    alive_share: float
    contact_counts: Floats

    @property
    def mean_usd(self) -> float:
        """Value per customer."""
        return float(self.totals_usd.mean())


def find_eligible(world: OfferWorld, people: OfferPeople) -> Mask:
    """Return bool [people x choices]: a booster needs a running plan, all else is for everybody."""
    is_booster = np.array([choice.is_booster for choice in world.choices])
    return np.asarray(~is_booster[None, :] | (people.days_left > 0)[:, None])


def campaign_propensities(world: OfferWorld, people: OfferPeople) -> Floats:
    """Return float64 [people x choices], the campaign's probability of each action this week."""
    it = world.behaviour.campaign
    near = np.where((people.days_left >= -3) & (people.days_left <= 3), it.near_expiry_factor, 1.0)
    daily = np.where(people.stratum == RANDOM, it.random_contact_per_day, it.rules_contact_per_day * near)
    contact = np.where(people.stratum == CONTROL, 0.0, 1 - (1 - daily) ** 7)
    arms = _arm_shares(world, people)
    share_of = dict(zip(it.discounts, it.discount_shares, strict=True))
    codes = [plan.plan_code for plan in world.plans]
    chances = np.empty((people.rows, len(world.choices)))
    chances[:, 0] = 1 - contact
    for position, choice in enumerate(world.choices[1:], 1):
        arm = arms[:, codes.index(choice.plan_code)]
        chances[:, position] = contact * arm * share_of[choice.discount_share]
    return chances


def _arm_shares(world: OfferWorld, people: OfferPeople) -> Floats:
    """Return float64 [people x plans]: the rules' plan, or any with probability epsilon."""
    epsilon, codes = world.behaviour.campaign.epsilon, [plan.plan_code for plan in world.plans]
    follows = {"data_s": "data_m", "data_m": "data_l", "data_l": "booster_3gb", "voice_s": "combo_m"}
    again = {"data_l": "data_m"}
    running = [codes.index(follows.get(code, "data_s" if "booster" in code else code)) for code in codes]
    expired = [codes.index(again.get(code, "data_s" if "booster" in code else code)) for code in codes]
    has_plan = people.plan != NO_PLAN
    is_running = people.days_left > 0
    allowance = np.where(has_plan, np.array([p.allowance_mb for p in world.plans])[people.plan], 0.0)
    rule = np.where(is_running, np.array(running)[people.plan], np.array(expired)[people.plan])
    rule = np.where(has_plan, rule, codes.index("data_s"))
    rule = np.where(is_running & (people.allowance_mb < 0.2 * allowance), codes.index("booster_1gb"), rule)
    shares = np.full((people.rows, len(codes)), epsilon / len(codes))
    shares[np.arange(people.rows), rule] += 1 - epsilon
    return shares


def draw_actions(chances: Floats, uniform: Floats) -> Ints:
    """Return int64 [people], an action drawn by its probability in each row."""
    return np.asarray((chances.cumsum(axis=1) > uniform[:, None]).argmax(axis=1))


def start_people(world: OfferWorld, count: int, seed: int) -> OfferPeople:
    """Return customers after some weeks of the campaign; those who left meanwhile are not among them."""
    people = draw_people(world, count, seed)
    for week in range(_BURN_IN_WEEKS):
        chance = draw_chance(count, seed + 1_000_003, week)
        uniform = np.random.default_rng([seed, 3, week]).random(count)
        actions = draw_actions(campaign_propensities(world, people), uniform)
        people = live_week(world, people, actions, chance).people
    return people.take(people.is_active)


def log_campaign(world: OfferWorld, count: int, weeks: int, seed: int) -> Transitions:
    """Return what the campaign's decision log shows of some weeks.

    Args:
        world: its laws.
        count: people before the first campaign; a few of them have left when the log begins.
        weeks: logged.
        seed: of everything.
    """
    people = start_people(world, count, seed)
    states, parts = observe(world, people), []
    for week in range(weeks):
        chance = draw_chance(people.rows, seed, week)
        chances = campaign_propensities(world, people)
        actions = draw_actions(chances, np.random.default_rng([seed, 4, week]).random(people.rows))
        done = live_week(world, people, actions, chance)
        later = observe(world, done.people)
        logged = Transitions(
            states=states,
            actions=actions,
            choices=world.choices,
            eligible=find_eligible(world, people),
            propensities=chances[np.arange(people.rows), actions],
            is_accepted=done.is_accepted,
            organic_plan=done.organic_plan,
            plans=world.plans,
            margin_usd=done.margin_usd,
            is_churned=done.is_churned,
            next_values=later.values,
            weeks=np.full(people.rows, week, dtype=np.int64),
        )
        parts.append(logged)
        stays = done.people.is_active
        people, states = done.people.take(stays), later.take(stays)
    return join_weeks(parts)


def join_weeks(parts: list[Transitions]) -> Transitions:
    """Return the rows of several logs of the same choices as one."""
    first = parts[0]
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (
            "actions",
            "eligible",
            "propensities",
            "is_accepted",
            "organic_plan",
            "margin_usd",
            "is_churned",
            "next_values",
            "weeks",
        )
    }
    states = OfferStates(
        first.states.layout,
        np.concatenate([part.states.values for part in parts]),
        np.concatenate([part.states.customers for part in parts]),
    )
    return Transitions(states=states, choices=first.choices, plans=first.plans, **columns)


def follow_policy(policy: DistilledPolicy) -> Decider:
    """Return the decider of a learned policy; it sees observed states and nothing else."""
    return lambda _people, states, allowed, _uniform: decide(policy, states, allowed)


def follow_rules(world: OfferWorld) -> Decider:
    """Return the campaign's rules for everybody, at the rules' contact rate where a contact is allowed."""

    def decide_by_rules(people: OfferPeople, _states: OfferStates, allowed: Mask, uniform: Floats) -> Ints:
        everyone = OfferPeople(**{**vars(people), "stratum": np.full(people.rows, RULES)})
        actions = draw_actions(campaign_propensities(world, everyone), uniform)
        return np.where(allowed[np.arange(people.rows), actions], actions, 0)

    return decide_by_rules


def find_true_value(
    world: OfferWorld,
    start: OfferPeople,
    decider: Decider,
    cap: ContactPolicy,
    *,
    weeks: int,
    weekly_discount: float,
    contact_cost_usd: float,
    seed: int,
) -> TrueValue:
    """Follow a policy in the true world.

    Args:
        world: its laws.
        start: people, all active.
        decider: the policy.
        cap: contact policy, the same for every policy that is compared.
        weeks: to follow.
        weekly_discount: of value from one week to the next.
        contact_cost_usd: of a contact.
        seed: of the chance that every policy meets.
    """
    people, totals = start, np.zeros(start.rows)
    contacts, accepted, alive, counts = 0, 0, 0, np.zeros(HISTORY_WEEKS + 1)
    for week in range(weeks):
        chance = draw_chance(start.rows, seed, week)
        uniform = np.random.default_rng([seed, 5, week]).random(start.rows)
        here = np.flatnonzero(people.is_active)
        actions = np.zeros(start.rows, dtype=np.int64)
        present = people.take(here)
        states = observe(world, present)
        allowed = allow_actions(states, find_eligible(world, present), cap)
        actions[here] = decider(present, states, allowed, uniform[here])
        seen = np.minimum(states.weeks_of("offers").sum(axis=1), HISTORY_WEEKS).astype(int)
        counts += np.bincount(seen, minlength=HISTORY_WEEKS + 1)
        done = live_week(world, people, actions, chance)
        totals += weekly_discount**week * (done.margin_usd - contact_cost_usd * (actions > 0))
        contacts, accepted = contacts + int((actions > 0).sum()), accepted + int(done.is_accepted.sum())
        alive, people = alive + len(here), done.people
    return TrueValue(
        totals,
        contacts / max(alive, 1),
        accepted / max(contacts, 1),
        float(people.is_active.mean()),
        counts / max(alive, 1),
    )
