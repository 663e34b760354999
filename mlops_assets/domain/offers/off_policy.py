"""What a policy would have been worth, judged on the log of another policy.

Belongs here: evaluating one policy, comparing two on the same resampled customers, and the verdict about a gain. Does
not belong here: the formulas (off_policy_estimators.py), the reasons to refuse (off_policy_refusals.py), fitting a
reward model (reward_model.py).

Decisions are judged one at a time: what a decision does to later ones (fatigue) is not in these figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mlops_assets.domain.errors import PolicyEvaluationError
from mlops_assets.domain.offers.customer_bootstrap import combine, resample
from mlops_assets.domain.offers.logged_decisions import (
    LoggedDecisions,
    check_policy,
    check_reward_estimates,
)
from mlops_assets.domain.offers.off_policy_estimators import ESTIMATORS, Terms, WeightedLog, weigh_log
from mlops_assets.domain.offers.off_policy_refusals import (
    Problem,
    count_positives,
    effective_rows,
    find_fatal_problems,
    find_problems,
)
from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LOGGED = "logged"


@dataclass(frozen=True)
class Estimate:
    """A figure with the bootstrap interval over customers.

    Attributes:
        value: mean reward a decision, or a difference of two, in the unit of the rewards.
        low: lower end of the interval.
        high: upper end.
        limit: threshold (Switch-DR) or shrinkage (DRos) that was used, else None.
    """

    value: float
    low: float
    high: float
    limit: float | None = None


@dataclass(frozen=True)
class PolicyEvaluation:
    """What the log says about one policy.

    Attributes:
        estimates: by name as in ESTIMATORS; those that need reward estimates are absent without them, all are
            absent where the propensities or rewards allow none.
        logged: mean reward of the logging policy itself; None where rewards are not finite.
        rows: logged decisions.
        customers: different customers.
        positives: rows with a reward above zero that have weight.
        ess: effective rows, of weights that are not clipped; 0 where there are no weights.
        clipped_share: share of rows whose weight was cut.
        problems: reasons to refuse a decision.
    """

    estimates: Mapping[str, Estimate]
    logged: Estimate | None
    rows: int
    customers: int
    positives: int
    ess: float
    clipped_share: float
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class PolicyComparison:
    """Two policies on the same log and the same resampled customers.

    Attributes:
        target: the policy in question.
        baseline: the policy it would replace; None: the logging policy, whose value needs no weights.
        gains: value of the target minus value of the baseline, by estimator.
    """

    target: PolicyEvaluation
    baseline: PolicyEvaluation | None
    gains: Mapping[str, Estimate]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Reasons to refuse, of either policy, each once."""
        return tuple(
            dict.fromkeys((*self.target.problems, *(self.baseline.problems if self.baseline else ())))
        )

    @property
    def ess(self) -> float:
        """Effective rows of the policy that has fewer."""
        return min(self.target.ess, self.baseline.ess) if self.baseline else self.target.ess


@dataclass(frozen=True)
class GainVerdict:
    """Whether a gain is proven; `reasons` say why, or why it cannot be decided."""

    outcome: Literal["proven", "not_proven", "refused"]
    reasons: tuple[str, ...]


def evaluate_policy(
    log: LoggedDecisions, target: Floats, spec: OffPolicySpec, reward_estimates: Floats | None = None
) -> PolicyEvaluation:
    """Estimate the value of a policy from decisions that another policy took.

    Args:
        log: the decisions.
        target: float64 [rows x actions], the policy's probability of each action in each logged situation.
        spec: limits, intervals, thresholds.
        reward_estimates: float64 [rows x actions], q(x, a) of `cross_fit_rewards`; None: only IPS and SNIPS.

    Raises:
        PolicyEvaluationError: the arguments' shapes do not fit, or the target is not a matrix of probabilities.
    """
    side = _prepare(log, target, spec, reward_estimates)
    return _evaluation(side, _draw([side], spec)[0], spec)


def compare_policies(
    log: LoggedDecisions,
    target: Floats,
    baseline: Floats | None,
    spec: OffPolicySpec,
    reward_estimates: Floats | None = None,
) -> PolicyComparison:
    """Estimate what one policy earns beyond another.

    Args:
        log: the decisions.
        target: float64 [rows x actions], the policy in question.
        baseline: the same of the policy it would replace; None: the logging policy itself.
        spec: limits, intervals, thresholds.
        reward_estimates: float64 [rows x actions], q(x, a).

    Raises:
        PolicyEvaluationError: as of `evaluate_policy`, for either policy.
    """
    side = _prepare(log, target, spec, reward_estimates)
    if baseline is None:
        (drawn,) = _draw([side], spec)
        gains = _gains(side, drawn, dict.fromkeys(side.terms, _LOGGED), side, drawn, spec)
        return PolicyComparison(_evaluation(side, drawn, spec), None, gains)
    other = _prepare(log, baseline, spec, reward_estimates)
    drawn, drawn_other = _draw([side, other], spec)
    gains = _gains(side, drawn, {name: name for name in side.terms}, other, drawn_other, spec)
    return PolicyComparison(_evaluation(side, drawn, spec), _evaluation(other, drawn_other, spec), gains)


def judge_gain(comparison: PolicyComparison, margin: float, estimator: str = "dr") -> GainVerdict:
    """Decide whether a policy is proven to earn more than the one it would replace.

    Args:
        comparison: of both on one log.
        margin: least gain a decision worth the change, in the unit of the rewards.
        estimator: name as in ESTIMATORS.

    Returns:
        `refused` with every problem in words; else `proven` if the interval's lower end lies above the margin.

    Raises:
        PolicyEvaluationError: the comparison is free of problems and lacks this estimator.
    """
    if comparison.problems:
        return GainVerdict("refused", tuple(map(str, comparison.problems)))
    gain = comparison.gains.get(estimator)
    if gain is None:
        raise PolicyEvaluationError(
            "the comparison has no such estimate",
            where=estimator,
            expected=f"one of {sorted(comparison.gains)}",
            remedy="give reward estimates for estimators that need a reward model",
        )
    figures = f"gain {gain.value:.6g}, interval {gain.low:.6g} to {gain.high:.6g} by {estimator}"
    if gain.low > margin:
        return GainVerdict("proven", (f"{figures}: above the margin of {margin:g}",))
    return GainVerdict("not_proven", (f"{figures}: the lower end is not above the margin of {margin:g}",))


@dataclass(frozen=True, eq=False)
class _Side:
    """One policy on the log: terms by estimator, beside them those of the logging policy."""

    log: LoggedDecisions
    weighted: WeightedLog | None
    terms: Mapping[str, Terms]
    problems: tuple[Problem, ...]


def _prepare(
    log: LoggedDecisions, target: Floats, spec: OffPolicySpec, reward_estimates: Floats | None
) -> _Side:
    check_policy(log, target)
    if reward_estimates is not None:
        check_reward_estimates(log, target, reward_estimates)
    terms: dict[str, Terms] = {}
    if np.isfinite(log.rewards).all():
        terms[_LOGGED] = Terms(log.rewards, np.zeros(log.rows), np.ones(log.rows))
    fatal = tuple(find_fatal_problems(log))
    if fatal:
        return _Side(log, None, terms, fatal)
    weighted = weigh_log(log, target, reward_estimates, spec)
    for name, estimate in ESTIMATORS.items():
        found = estimate(weighted, spec)
        if found is not None and found.norm.sum() > 0:
            terms[name] = found
    return _Side(log, weighted, terms, tuple(find_problems(log, target, weighted.weights, spec)))


def _draw(sides: Sequence[_Side], spec: OffPolicySpec) -> list[dict[str, Floats]]:
    """Return estimates float64 [rounds] by name for each side, all on the same resampled customers."""
    terms = [one for side in sides for one in side.terms.values()]
    if not terms:
        return [{} for _ in sides]
    log = sides[0].log
    drawn = iter(resample(terms, log.customer_numbers, spec.bootstrap_rounds, spec.seed))
    return [{name: next(drawn) for name in side.terms} for side in sides]


def _evaluation(side: _Side, drawn: Mapping[str, Floats], spec: OffPolicySpec) -> PolicyEvaluation:
    log, weighted = side.log, side.weighted
    estimates = {
        name: _interval(combine(terms), drawn[name], spec, terms.limit) for name, terms in side.terms.items()
    }
    return PolicyEvaluation(
        estimates={name: found for name, found in estimates.items() if name != _LOGGED},
        logged=estimates.get(_LOGGED),
        rows=log.rows,
        customers=log.customer_count,
        positives=count_positives(log, weighted.weights) if weighted else 0,
        ess=effective_rows(weighted.weights) if weighted else 0.0,
        clipped_share=float(np.mean(weighted.clipped < weighted.weights)) if weighted else 0.0,
        problems=side.problems,
    )


def _gains(
    side: _Side,
    drawn: Mapping[str, Floats],
    name_in_other: Mapping[str, str],
    other: _Side,
    drawn_other: Mapping[str, Floats],
    spec: OffPolicySpec,
) -> dict[str, Estimate]:
    """Return paired differences by estimator; one that either side lacks is left out."""
    return {
        name: _interval(
            combine(side.terms[name]) - combine(other.terms[theirs]), drawn[name] - drawn_other[theirs], spec
        )
        for name, theirs in name_in_other.items()
        if name != _LOGGED and theirs in other.terms
    }


def _interval(value: float, drawn: Floats, spec: OffPolicySpec, limit: float | None = None) -> Estimate:
    """Return the percentile interval; samples in which no row had weight are left out."""
    tail = (1 - spec.confidence) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), limit)
