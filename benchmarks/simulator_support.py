"""simulator_support: are a learned simulator's values true where its log has been, and is a policy beyond it refused?

In worlds with no, medium and strong fatigue, policies of the ladder and single offers are followed under a cap of one
contact in four weeks and in two, both in the simulator and in the true world, from the same customers. The value error
is |simulated - true| / true; ranks are compared over all policies of a world (Spearman 1904).
A contact every week is more than the log has shown and must be refused.

Belongs here: goals and figures. Does not belong here: the trial (offer_trial.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.measuring import Goal, Line, Usage
from benchmarks.offer_trial import CAP, FATIGUES, FULL, QUICK, Trial, TrialSizes, run_trial
from mlops_assets.domain.offers.catalogue_spec import ContactPolicy
from mlops_assets.domain.offers.ladder import make_horizon
from mlops_assets.domain.offers.policies import DistilledPolicy, build_constant_policy
from mlops_assets.domain.offers.policy_value import simulate_policy
from mlops_assets.domain.offers.simulator_support import find_support, find_support_problems
from mlops_assets.sandbox.offer_people import observe
from mlops_assets.sandbox.offer_world import follow_policy

NAME = "simulator_support"
_SEEDS, _QUICK_SEEDS, _FIRST_SEED, _APART = 2, 1, 520_000, 1_000
_TWICE, _WEEKLY = ContactPolicy(window_days=14), ContactPolicy(window_days=7)
_SINGLES = ("data_s", "booster_1gb")


@dataclass(frozen=True)
class _Figures:
    """Of one world: simulated and true values by policy, and how many beyond the support were refused of how many."""

    simulated: list[float]
    true: list[float]
    refused: int
    beyond: int
    refused_inside: int

    @property
    def error(self) -> float:
        simulated, true = np.array(self.simulated), np.array(self.true)
        return float(np.mean(np.abs(simulated - true) / true))

    @property
    def rank_correlation(self) -> float:
        ranks = [np.argsort(np.argsort(values)) for values in (self.simulated, self.true)]
        return float(np.corrcoef(*ranks)[0, 1])


def run(*, quick: bool) -> Iterator[Line]:
    """Yield value error, rank correlation and refusals."""
    sizes, seeds, started = (QUICK if quick else FULL), (_QUICK_SEEDS if quick else _SEEDS), Usage.taken()
    worlds = {
        f"{fatigue}_{number}": _measure(fatigue, _FIRST_SEED + _APART * (seeds * place + number), sizes)
        for place, fatigue in enumerate(FATIGUES)
        for number in range(seeds)
    }
    seconds = Usage.taken().since(started).wall_s
    told = {"worlds": len(worlds), "policies": len(next(iter(worlds.values())).true), "people": sizes.people}
    errors = {f"error_{name}": one.error for name, one in worlds.items()}
    ranks = {f"rank_{name}": one.rank_correlation for name, one in worlds.items()}
    refused, beyond = (sum(getattr(one, name) for one in worlds.values()) for name in ("refused", "beyond"))
    inside = {"refused_inside": sum(one.refused_inside for one in worlds.values())}
    figures = (
        ("value_error", float(np.mean(list(errors.values()))), Goal("value", 0.2 if quick else 0.05), errors),
        (
            "rank_correlation",
            float(np.mean(list(ranks.values()))),
            Goal("value", -1.0 if quick else 0.75, is_at_most=False),
            ranks,
        ),
        ("refused_beyond", refused / beyond, Goal("value", 1.0, is_at_most=False), inside),
    )
    for part, value, goal, facts in figures:
        yield Line(NAME, value, "share", goal, told, seconds, part=part, is_quick=quick, facts=facts)


def _measure(fatigue: str, seed: int, sizes: TrialSizes) -> _Figures:
    trial = run_trial(fatigue, seed, sizes)
    support, tolerance = find_support(trial.judged_log), sizes.gate.contact_rate_tolerance
    horizon = replace(make_horizon(sizes.agent), seed=seed + 7)
    start = observe(trial.world, trial.start)
    simulated, true, refused_inside = [], [], 0
    for policy, cap in _policies_inside(trial):
        value = simulate_policy(trial.judge, policy, start, cap, horizon)
        refused_inside += bool(find_support_problems(value, support, tolerance))
        simulated.append(value.mean_usd)
        true.append(trial.find_truth(follow_policy(policy), cap).mean_usd)
    beyond = [_single(trial, code) for code in _SINGLES[:1]] + [trial.policies["acceptance_margin"]]
    values = [simulate_policy(trial.judge, policy, start, _WEEKLY, horizon) for policy in beyond]
    refused = sum(bool(find_support_problems(value, support, tolerance)) for value in values)
    return _Figures(simulated, true, refused, len(beyond), refused_inside)


def _policies_inside(trial: Trial) -> list[tuple[DistilledPolicy, ContactPolicy]]:
    kept = [(policy, CAP) for policy in trial.policies.values()]
    kept += [(_single(trial, code), CAP) for code in _SINGLES]
    kept += [(trial.policies["incremental_margin"], _TWICE), (_single(trial, "data_s"), _TWICE)]
    return kept


def _single(trial: Trial, plan_code: str) -> DistilledPolicy:
    choices = trial.world.choices
    wanted = [float(choice.plan_code == plan_code and choice.discount_share == 0) for choice in choices]
    return build_constant_policy("best_single", choices, trial.judge.layout.columns, wanted)
