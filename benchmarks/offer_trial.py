"""One trial of the offer loop in a world whose truth is known: log, two simulators, ladder, judgement, true values.

Belongs here: what `offer_ladder` and `simulator_support` share. Does not belong here: goals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.decision_data import OfferStates, Transitions
from mlops_assets.domain.offers.ladder import JudgedLadder, build_ladder, judge_ladder, make_horizon
from mlops_assets.domain.offers.offers_spec import OfferAgentSpec, PolicyGateSpec
from mlops_assets.domain.offers.policies import DistilledPolicy, PolicyKind
from mlops_assets.domain.offers.simulator import Simulator
from mlops_assets.domain.offers.simulator_fit import fit_simulator, split_customers
from mlops_assets.domain.offers.simulator_support import find_support
from mlops_assets.sandbox.offer_people import FATIGUE_STRENGTH, OfferPeople, OfferWorld, build_offer_world
from mlops_assets.sandbox.offer_world import Decider, TrueValue, find_true_value, log_campaign, start_people

if TYPE_CHECKING:
    from numpy.typing import NDArray

FATIGUES = tuple(FATIGUE_STRENGTH)
CAP = ContactPolicy()


@dataclass(frozen=True)
class TrialSizes:
    """People and weeks in the log, people whose truth is followed, settings of the agent and the gate."""

    people: int
    weeks: int
    followed: int
    agent: OfferAgentSpec
    gate: PolicyGateSpec


FULL = TrialSizes(
    20_000,
    8,
    5_000,
    OfferAgentSpec(iterations=16, starting_states=2_500),
    PolicyGateSpec(judged_people=2_500),
)
QUICK = TrialSizes(
    5_000,
    6,
    1_500,
    OfferAgentSpec(iterations=8, starting_states=800, horizon_weeks=52),
    PolicyGateSpec(judged_people=600),
)


@dataclass(frozen=True, eq=False)
class Trial:
    """A world with its log, what was learned from it, and customers of the future to follow."""

    world: OfferWorld
    log: Transitions
    judge: Simulator
    judged_log: Transitions
    policies: Mapping[PolicyKind, DistilledPolicy]
    ladder: JudgedLadder
    start: OfferPeople
    sizes: TrialSizes
    seed: int

    @property
    def newest_judged(self) -> OfferStates:
        """States of the judge's customers in the newest week."""
        return newest(self.judged_log)

    def find_truth(self, decider: Decider, cap: ContactPolicy = CAP) -> TrueValue:
        """Follow a policy in the true world; every policy of a trial meets the same people and chance."""
        agent = self.sizes.agent
        return find_true_value(
            self.world, self.start, decider, cap, weeks=agent.horizon_weeks,
            weekly_discount=agent.weekly_discount, contact_cost_usd=agent.contact_cost_usd, seed=self.seed + 3,
        )  # fmt: skip


def newest(log: Transitions) -> OfferStates:
    """Return the states of the newest week."""
    return log.states.take(log.weeks == log.weeks.max())


def run_trial(fatigue: str, seed: int, sizes: TrialSizes) -> Trial:
    """Log a campaign, learn on one half of the customers, judge on the other; 1,000 seeds apart are independent."""
    world = build_offer_world(FATIGUE_STRENGTH[fatigue])
    log = log_campaign(world, sizes.people, sizes.weeks, seed)
    learned, judged = split_customers(log, seed)
    agent = sizes.agent.model_copy(update={"seed": seed})
    policies = build_ladder(fit_simulator(learned, seed=seed), newest(learned), CAP, agent)
    judge = fit_simulator(judged, seed=seed)
    ladder = judge_ladder(
        judge, policies, newest(judged), CAP,
        support=find_support(judged), horizon=make_horizon(agent, seed + 1), gate=sizes.gate,
    )  # fmt: skip
    start = start_people(world, sizes.followed, seed + 2)
    return Trial(world, log, judge, judged, policies, ladder, start, sizes, seed)


def paired_interval(differences: list[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Return mean, lower and upper end at 95 % of paired differences over customers, each seed with equal weight."""
    means = np.array([one.mean() for one in differences])
    variances = [one.var(ddof=1) / len(one) for one in differences]
    error = np.sqrt(np.sum(variances)) / len(means)
    return float(means.mean()), float(means.mean() - 1.96 * error), float(means.mean() + 1.96 * error)
