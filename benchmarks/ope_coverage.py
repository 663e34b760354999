"""ope_coverage: how often the doubly robust interval of off-policy evaluation holds the true value.

What is estimated is the mean margin of a week, less contact cost, that customers would have brought if a learned policy
had chosen the plan (in half of the contacts; else as the campaign draws it), in the situations that the campaign's log
met. The logging probabilities of all actions are known; customers whom the campaign never contacts are left out, since
no log says what an offer would have done to them. The truth is the same mean over a much larger population in the true
world, where the policy's action is lived and then undone, so that situations stay those of the log.

Belongs here: that experiment, with the estimates made by the platform's module. Does not belong here: any formula.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import Goal, Line, Usage
from benchmarks.offer_trial import CAP, newest
from mlops_assets.domain.offers.ladder import build_ladder
from mlops_assets.domain.offers.logged_decisions import LoggedDecisions
from mlops_assets.domain.offers.off_policy import PolicyEvaluation, evaluate_policy
from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec
from mlops_assets.domain.offers.offers_spec import OfferAgentSpec
from mlops_assets.domain.offers.policies import DistilledPolicy
from mlops_assets.domain.offers.reward_model import cross_fit_rewards
from mlops_assets.domain.offers.simulator_fit import fit_simulator
from mlops_assets.domain.offers.state_design import build_design, describe_actions
from mlops_assets.sandbox.offer_people import CONTROL, OfferPeople, OfferWorld, build_offer_world, observe
from mlops_assets.sandbox.offer_week import draw_chance, live_week
from mlops_assets.sandbox.offer_world import (
    campaign_propensities,
    draw_actions,
    log_campaign,
    start_people,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAME = "ope_coverage"
_REPLICATIONS, _QUICK_REPLICATIONS = 40, 3
_PEOPLE, _WEEKS, _TRUTH_PEOPLE, _TRUTH_ROUNDS = 3_000, 4, 200_000, 5
_CHOSEN_SHARE, _FATIGUE, _COST_USD, _SEED = 0.5, 1.0, 0.01, 630_000
_SPEC = OffPolicySpec(bootstrap_rounds=400)


@dataclass(frozen=True, eq=False)
class _Experience:
    """Weeks of a campaign: situations, decisions and rewards, and the target's probabilities there."""

    contexts: Floats
    log: LoggedDecisions
    target: Floats


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the share of replications whose interval holds the truth."""
    started, count = Usage.taken(), _QUICK_REPLICATIONS if quick else _REPLICATIONS
    world, policy = build_offer_world(_FATIGUE), _learn_policy()
    truths = [
        find_true_reward(world, policy, _TRUTH_PEOPLE // 10 if quick else _TRUTH_PEOPLE, _SEED - number)
        for number in range(_TRUTH_ROUNDS)
    ]
    truth = float(np.mean(truths))
    found = [evaluate(world, policy, _SEED + 10 * number) for number in range(1, count + 1)]
    doubly_robust = [one.estimates["dr"] for one in found]
    held = [one.low <= truth <= one.high for one in doubly_robust]
    facts = {
        "true_usd_a_week": truth,
        "error_of_truth": float(np.std(truths, ddof=1)) / len(truths) ** 0.5,
        "mean_estimate": float(np.mean([one.value for one in doubly_robust])),
        "mean_width": float(np.mean([one.high - one.low for one in doubly_robust])),
        "below": sum(one.high < truth for one in doubly_robust),
        "above": sum(one.low > truth for one in doubly_robust),
        "mean_ess": float(np.mean([one.ess for one in found])),
        "logged_usd_a_week": float(np.mean([one.logged.value for one in found if one.logged])),
        **{f"covered_{name}": _coverage(found, name, truth) for name in ("ips", "snips", "sndr")},
    }
    sizes = {"replications": count, "customers": _PEOPLE, "weeks": _WEEKS, "rows": found[0].rows}
    goal = Goal("value", 0.5 if quick else 0.9, is_at_most=False)
    seconds = Usage.taken().since(started).wall_s
    yield Line(NAME, float(np.mean(held)), "share", goal, sizes, seconds, is_quick=quick, facts=facts)


def _coverage(found: list[PolicyEvaluation], name: str, truth: float) -> float:
    return float(np.mean([one.estimates[name].low <= truth <= one.estimates[name].high for one in found]))


def evaluate(world: OfferWorld, policy: DistilledPolicy, seed: int) -> PolicyEvaluation:
    """Estimate the target's value from one campaign's log."""
    met = _live(world, policy, _PEOPLE, seed)
    described = describe_actions(world.choices).astype(np.float64)
    estimates = cross_fit_rewards(met.log, met.contexts, described, _build_reward_model, seed=seed)
    return evaluate_policy(met.log, met.target, _SPEC, estimates)


def find_true_reward(world: OfferWorld, policy: DistilledPolicy, count: int, seed: int) -> float:
    """Return the mean reward of the target's own actions in the situations of a campaign."""
    people, total, rows = _start(world, count, seed), 0.0, 0
    for week in range(_WEEKS):
        chance, random = draw_chance(people.rows, seed, week), np.random.default_rng([seed, 7, week])
        logging = campaign_propensities(world, people)
        target = find_target(world, policy, people, logging)
        wished = draw_actions(target, random.random(people.rows))
        total += float((live_week(world, people, wished, chance).margin_usd - _COST_USD * (wished > 0)).sum())
        rows += people.rows
        done = live_week(world, people, draw_actions(logging, random.random(people.rows)), chance)
        people = done.people.take(done.people.is_active)
    return total / rows


def find_target(world: OfferWorld, policy: DistilledPolicy, people: OfferPeople, logging: Floats) -> Floats:
    """Return float64 [people x choices]: contacts and discounts as the campaign, half of the plans by the policy."""
    codes = np.array([choice.plan_code for choice in world.choices])
    advantages = policy.advantages(observe(world, people))[:, 1:]
    wanted = codes[1 + advantages.argmax(axis=1)]
    contact = 1 - logging[:, 0]
    by_discount = {
        share: logging[
            :, [c.discount_share == share and c.plan_code != "no_offer" for c in world.choices]
        ].sum(axis=1)
        for share in world.behaviour.campaign.discounts
    }
    chosen = np.zeros_like(logging)
    for position, choice in enumerate(world.choices[1:], 1):
        chosen[:, position] = by_discount[choice.discount_share] * (wanted == choice.plan_code)
    chosen[:, 0] = 1 - contact
    return _CHOSEN_SHARE * chosen + (1 - _CHOSEN_SHARE) * logging


def _learn_policy() -> DistilledPolicy:
    log = log_campaign(build_offer_world(_FATIGUE), 6_000, 6, _SEED + 5)
    spec = OfferAgentSpec(iterations=1, starting_states=1_500)
    return build_ladder(fit_simulator(log), newest(log), CAP, spec)["incremental_margin"]


def _live(world: OfferWorld, policy: DistilledPolicy, count: int, seed: int) -> _Experience:
    people, parts = _start(world, count, seed), []
    for week in range(_WEEKS):
        logging = campaign_propensities(world, people)
        uniform = np.random.default_rng([seed, 8, week]).random(people.rows)
        actions = draw_actions(logging, uniform)
        done = live_week(world, people, actions, draw_chance(people.rows, seed, week))
        rewards = done.margin_usd - _COST_USD * (actions > 0)
        design = build_design(observe(world, people)).astype(np.float64)
        target = find_target(world, policy, people, logging)
        parts.append((design, actions, rewards, logging, people.number, target))
        people = done.people.take(done.people.is_active)
    contexts, actions, rewards, logging, customers, target = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    log = LoggedDecisions.with_whole_propensities(actions, rewards, logging, customers)
    return _Experience(contexts, log, target)


def _start(world: OfferWorld, count: int, seed: int) -> OfferPeople:
    people = start_people(world, count, seed)
    return people.take(people.stratum != CONTROL)


def _build_reward_model() -> Any:
    from catboost import CatBoostRegressor

    return CatBoostRegressor(
        iterations=60, depth=4, learning_rate=0.15, thread_count=1, verbose=False, allow_writing_files=False
    )
