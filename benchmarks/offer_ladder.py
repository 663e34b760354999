"""offer_ladder: the policy that the gate deploys, against all others, in a world whose truth is known.

Worlds with no, medium and strong contact fatigue, fresh seeds each. In every one: a campaign's log, a simulator of half
of its customers in which the ladder is learned, one of the other half in which the gate chooses; then every policy is
followed in the true world on new customers, under the same cap of one contact in four weeks, with the same chance.
Value is margin less discounts and contact cost, discounted over two years, lost customers included.

Belongs here: goals and figures. Does not belong here: the trial (offer_trial.py), the reference (offer_oracle.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import Goal, Line, Usage
from benchmarks.offer_oracle import follow_oracle
from benchmarks.offer_trial import CAP, FATIGUES, FULL, QUICK, Trial, TrialSizes, paired_interval, run_trial
from mlops_assets.sandbox.offer_world import follow_policy, follow_rules, start_people

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAME = "offer_ladder"
_SEEDS, _QUICK_SEEDS, _FIRST_SEED, _QUICK_FIRST_SEED, _APART = 5, 1, 470_000, 310_000, 1_000
_NEAR_BEST = 0.99
_RULES, _ORACLE = "rules", "oracle"
_CAPPED = ("acceptance_margin", "incremental_margin")


@dataclass(frozen=True)
class _World:
    """True totals by policy of one seed, float64 [people], and the gate's choice."""

    seed: int
    chosen: str
    totals: dict[str, Floats]
    contacts: dict[str, float]

    def gain(self, over: str) -> Floats:
        return self.totals[self.chosen] - self.totals[over]


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the goals of each fatigue, then how often the gate deployed a simpler policy than the agent."""
    sizes, seeds, first = (QUICK, _QUICK_SEEDS, _QUICK_FIRST_SEED) if quick else (FULL, _SEEDS, _FIRST_SEED)
    simpler: list[str] = []
    for fatigue in FATIGUES:
        started = Usage.taken()
        worlds = [
            find_values(fatigue, first + _APART * (seeds * FATIGUES.index(fatigue) + number), sizes)
            for number in range(seeds)
        ]
        simpler += [f"{fatigue} {one.seed}: {one.chosen}" for one in worlds if one.chosen != "agent"]
        told = _Told(fatigue, sizes, seeds, Usage.taken().since(started).wall_s, quick)
        yield from _lines(told, worlds)
    yield Line(
        NAME, float(len(simpler)), "worlds", Goal("value", 1, is_at_most=False),
        {"worlds": seeds * len(FATIGUES)}, 0.0, part="simpler_deployed", is_quick=quick,
        facts={"which": "; ".join(simpler)},
    )  # fmt: skip


def find_values(fatigue: str, seed: int, sizes: TrialSizes) -> _World:
    """Run a trial and follow every policy in its true world."""
    trial = run_trial(fatigue, seed, sizes)
    deciders = {kind: follow_policy(policy) for kind, policy in trial.policies.items()}
    deciders[_RULES] = follow_rules(trial.world)
    deciders[_ORACLE] = _learn_oracle(trial)
    values = {name: trial.find_truth(decider) for name, decider in deciders.items()}
    return _World(
        seed, trial.ladder.chosen,
        {name: value.totals_usd for name, value in values.items()},
        {name: value.contact_rate for name, value in values.items()},
    )  # fmt: skip


def _learn_oracle(trial: Trial) -> Any:
    people = start_people(trial.world, trial.sizes.agent.starting_states, trial.seed + 4)
    return follow_oracle(trial.world, people, CAP, trial.sizes.agent)


@dataclass(frozen=True)
class _Told:
    fatigue: str
    sizes: TrialSizes
    seeds: int
    seconds: float
    quick: bool

    def line(self, part: str, value: float, goal: Goal, facts: dict[str, Any], unit: str = "USD") -> Line:
        sizes = {
            "seeds": self.seeds, "people": self.sizes.people, "weeks": self.sizes.weeks,
            "followed": self.sizes.followed, "horizon_weeks": self.sizes.agent.horizon_weeks,
        }  # fmt: skip
        name = f"{self.fatigue}_{part}"
        return Line(NAME, value, unit, goal, sizes, self.seconds, part=name, is_quick=self.quick, facts=facts)


def _lines(told: _Told, worlds: list[_World]) -> Iterator[Line]:
    above_zero = Goal("value", 0.0, is_at_most=False)
    # A quick round has one small world: it shows that everything runs, its bounds say nothing.
    lenient = Goal("value", -10.0, is_at_most=False) if told.quick else above_zero
    if told.fatigue == "strong":
        for other in _CAPPED:
            yield told.line(f"over_{other}", _bound(worlds, other), lenient, _gain_facts(worlds, other))
            # What is deployed may be `no_offer`; that says nothing of the agent by itself.
            mean, low, high = paired_interval([one.totals["agent"] - one.totals[other] for one in worlds])
            facts = {"mean": mean, "low": low, "high": high}
            yield told.line(f"agent_over_{other}", low, lenient, facts)
    else:
        means = {name: _mean(worlds, name) for name in worlds[0].totals if name != _ORACLE}
        deployed = float(np.mean([one.totals[one.chosen].mean() for one in worlds]))
        best = max(means, key=lambda name: means[name])
        goal = Goal("value", 0.9 if told.quick else _NEAR_BEST, is_at_most=False)
        facts = {"best": best, "best_usd": means[best], "deployed_usd": deployed}
        yield told.line("share_of_best", deployed / means[best], goal, facts, unit="share")
    mean_gain = paired_interval([one.gain("no_offer") for one in worlds])[0]
    yield told.line("over_no_offer", mean_gain, lenient, _gain_facts(worlds, "no_offer"))
    yield told.line("over_rules", _bound(worlds, _RULES), lenient, _gain_facts(worlds, _RULES))
    regret = -paired_interval([one.gain(_ORACLE) for one in worlds])[0]
    share = regret / _mean(worlds, _ORACLE)
    yield told.line("regret_share", share, Goal("value", 0.1), _value_facts(worlds), unit="share")


def _bound(worlds: list[_World], other: str) -> float:
    return paired_interval([one.gain(other) for one in worlds])[1]


def _mean(worlds: list[_World], name: str) -> float:
    return float(np.mean([one.totals[name].mean() for one in worlds]))


def _gain_facts(worlds: list[_World], other: str) -> dict[str, Any]:
    mean, low, high = paired_interval([one.gain(other) for one in worlds])
    of_seeds = [round(float(one.gain(other).mean()), 3) for one in worlds]
    return {
        "mean": mean,
        "low": low,
        "high": high,
        "by_seed": of_seeds,
        "deployed": [w.chosen for w in worlds],
    }


def _value_facts(worlds: list[_World]) -> dict[str, Any]:
    values = {f"{name}_usd": _mean(worlds, name) for name in worlds[0].totals}
    rates = {f"{n}_contacts": float(np.mean([w.contacts[n] for w in worlds])) for n in worlds[0].contacts}
    return values | rates
