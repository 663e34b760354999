"""The ladder of policies: each learned in one simulator, all judged in another, and the one to deploy.

Belongs here: what each rung is, the comparison on the same people and chance, the choice. Does not belong here: value
iteration (agent.py), evidence from logged decisions (off_policy.py), promotion (policy_gate.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.agent import (
    IterationSettings,
    SuccessorTable,
    build_successors,
    distil_advantages,
    iterate_values,
)
from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.decision_data import NO_ACTION, OfferStates
from mlops_assets.domain.offers.offers_spec import OfferAgentSpec, PolicyGateSpec
from mlops_assets.domain.offers.policies import (
    LADDER,
    DistilledPolicy,
    PolicyError,
    PolicyKind,
    build_constant_policy,
)
from mlops_assets.domain.offers.policy_value import Horizon, SimulatedValue, simulate_policy
from mlops_assets.domain.offers.simulator import Simulator
from mlops_assets.domain.offers.simulator_support import ContactSupport, find_support_problems
from mlops_assets.domain.offers.tree_models import TreeSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """Value beyond another policy, US dollars per customer over the horizon, with its paired interval."""

    mean_usd: float
    low_usd: float
    high_usd: float


@dataclass(frozen=True, eq=False)
class JudgedPolicy:
    """A rung and what the judging simulator says of it.

    Attributes:
        policy: the rung.
        value: what it does and is worth there.
        gains: over each simpler rung, by its kind.
        problems: reasons to refuse it, in words.
    """

    policy: DistilledPolicy
    value: SimulatedValue
    gains: Mapping[PolicyKind, Gain]
    problems: tuple[str, ...]

    @property
    def kind(self) -> PolicyKind:
        """Rung."""
        return self.policy.kind


@dataclass(frozen=True, eq=False)
class JudgedLadder:
    """All rungs, the simplest first, the chosen one, and why it was chosen."""

    rungs: tuple[JudgedPolicy, ...]
    chosen: PolicyKind
    reason: str

    def find(self, kind: PolicyKind) -> JudgedPolicy:
        """Return a rung; KeyError if it was not judged."""
        return {rung.kind: rung for rung in self.rungs}[kind]


def make_horizon(spec: OfferAgentSpec, seed: int | None = None) -> Horizon:
    """Return how policies are followed by a use case's settings; `seed` replaces that of the settings."""
    return Horizon(
        spec.horizon_weeks,
        spec.weekly_discount,
        spec.contact_cost_usd,
        spec.seed if seed is None else seed,
    )


def build_ladder(
    simulator: Simulator, people: OfferStates, cap: ContactPolicy, spec: OfferAgentSpec, *, threads: int = 1
) -> dict[PolicyKind, DistilledPolicy]:
    """Learn every rung in a simulator.

    Args:
        simulator: the world to learn in.
        people: states as they occur; `spec.starting_states` of them are used.
        cap: contact policy, the same for every rung.
        spec: sizes, horizon, contact cost, seed.
        threads: at most so many.

    Raises:
        PolicyError: there are no people.
    """
    if people.rows == 0:
        raise PolicyError("there is nobody to learn a policy for", remedy="give states of people")
    settings = IterationSettings(spec.iterations, spec.draws, make_horizon(spec), threads)
    random = np.random.default_rng(spec.seed)
    table = build_successors(
        simulator,
        people.take(random.permutation(people.rows)[: spec.starting_states]),
        cap,
        settings,
    )
    week = _advantages(table.action_values(None, 1.0))
    values = iterate_values(table, settings)
    lasting = _advantages(table.action_values(values, spec.weekly_discount))
    choices, columns = simulator.choices, people.layout.columns

    def distil(kind: PolicyKind, advantages: Floats) -> DistilledPolicy:
        size = TreeSettings(70, 4, 0.2, seed=spec.seed, threads=threads)
        models = distil_advantages(table, advantages, size)
        return DistilledPolicy(kind, choices, columns, models)

    return {
        "no_offer": build_constant_policy("no_offer", choices, columns, np.zeros(len(choices))),
        "best_single": build_constant_policy("best_single", choices, columns, _keep_best(table, week)),
        "acceptance_margin": distil("acceptance_margin", _acceptance_margin(table)),
        "incremental_margin": distil("incremental_margin", week),
        "agent": distil("agent", lasting),
    }


def _advantages(action_values: Floats) -> Floats:
    return np.asarray(action_values - action_values[:, [NO_ACTION]])


def _acceptance_margin(table: SuccessorTable) -> Floats:
    net = np.array([choice.net_margin_usd for choice in table.simulator.choices])
    found = np.zeros(table.allowed.shape)
    found[table.offered] = table.acceptance * net - table.contact_cost_usd
    found[:, NO_ACTION] = 0.0
    return found


def _keep_best(table: SuccessorTable, advantages: Floats) -> Floats:
    """Return float64 [choices]: the mean advantage of the offer that earns most, where it may be made; others 0."""
    means = np.asarray(np.where(table.allowed, advantages, 0.0).mean(axis=0))
    means[NO_ACTION] = 0.0
    best = int(means.argmax())
    return np.asarray(np.where(np.arange(len(means)) == best, means, 0.0))


def judge_ladder(
    simulator: Simulator,
    policies: Mapping[PolicyKind, DistilledPolicy],
    people: OfferStates,
    cap: ContactPolicy,
    *,
    support: ContactSupport,
    horizon: Horizon,
    gate: PolicyGateSpec,
    threads: int = 1,
) -> JudgedLadder:
    """Follow every rung in a simulator that none of them was learned in, and choose.

    The choice is the rung of the highest value among those that stay within the support and whose gain over every
    simpler one within it has its lower bound above `gate.min_gain_usd`; `no_offer` needs no proof.

    Args:
        simulator: the judge, fitted to other customers than the policies' simulator.
        policies: by kind; any subset with `no_offer`.
        people: whom to follow, `gate.judged_people` of them.
        cap: contact policy.
        support: what the judge's log has shown of contacts.
        horizon: how long, at what discount.
        gate: confidence, margins, tolerance.
        threads: rungs that are followed at a time.

    Raises:
        PolicyError: `no_offer` or people are missing.
    """
    if "no_offer" not in policies or people.rows == 0:
        raise PolicyError("a ladder needs `no_offer` and people", where=", ".join(policies) or "no policy")
    random = np.random.default_rng(horizon.seed)
    start = people.take(random.permutation(people.rows)[: gate.judged_people])
    rungs: list[JudgedPolicy] = []
    kinds = [kind for kind in LADDER if kind in policies]
    with ThreadPoolExecutor(threads) as pool:
        values = pool.map(lambda kind: simulate_policy(simulator, policies[kind], start, cap, horizon), kinds)
    for kind, value in zip(kinds, values, strict=True):
        problems = find_support_problems(value, support, gate.contact_rate_tolerance)
        gains = {
            simpler.kind: compare_values(value, simpler.value, gate.confidence)
            for simpler in rungs
            if not simpler.problems
        }
        rungs.append(JudgedPolicy(policies[kind], value, gains, () if kind == "no_offer" else problems))
    chosen = _choose(rungs, gate.min_gain_usd)
    return JudgedLadder(tuple(rungs), chosen.kind, _explain(chosen, rungs, gate.min_gain_usd))


def compare_values(value: SimulatedValue, other: SimulatedValue, confidence: float) -> Gain:
    """Return the gain of one policy over another on the same people, normal interval over people."""
    difference = value.totals_usd - other.totals_usd
    mean = float(difference.mean())
    error = float(difference.std(ddof=1)) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    half = float(NormalDist().inv_cdf((1 + confidence) / 2) * error)
    return Gain(mean, mean - half, mean + half)


def _is_proven(rung: JudgedPolicy, min_gain_usd: float) -> bool:
    return not rung.problems and all(gain.low_usd > min_gain_usd for gain in rung.gains.values())


def _choose(rungs: Sequence[JudgedPolicy], min_gain_usd: float) -> JudgedPolicy:
    proven = [rung for rung in rungs if _is_proven(rung, min_gain_usd)]
    return max(proven, key=lambda rung: rung.value.mean_usd)


def _explain(chosen: JudgedPolicy, rungs: Sequence[JudgedPolicy], min_gain_usd: float) -> str:
    refused = [f"`{rung.kind}` is refused: {'; '.join(rung.problems)}" for rung in rungs if rung.problems]
    unproven = [rung.kind for rung in rungs if not rung.problems and not _is_proven(rung, min_gain_usd)]
    words = [f"`{chosen.kind}` is worth {chosen.value.mean_usd:.2f} USD per customer"]
    if chosen.gains:
        least = min(chosen.gains.values(), key=lambda gain: gain.low_usd)
        words.append(f"at least {least.low_usd:.2f} USD more than every simpler policy")
    if unproven:
        words.append(f"not proven better than a simpler one: {', '.join(unproven)}")
    return "; ".join([*words, *refused])
