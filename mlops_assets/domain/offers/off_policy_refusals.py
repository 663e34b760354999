"""Why a log is no ground to decide about a policy, in words.

Belongs here: every condition under which an estimate must not be relied on. Does not belong here: the estimates.

An estimate can be computed where a decision must not be taken: few effective rows make it a lottery, and where the
log never does what the policy would do, nothing was observed at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mlops_assets.domain.offers.logged_decisions import LoggedDecisions
from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ProblemKind = Literal[
    "propensity", "reward", "support", "effective_rows", "positives", "customers", "mean_weight"
]
_LEAST_PROPENSITY = 1e-9  # nobody observes what has a smaller chance; its weight would overflow
_SUPPORT_TOLERANCE = 1e-9  # share of the target's weight
_STANDARD_ERRORS = 5.0
_ROUNDING = 1e-6
_ACTIONS_NAMED = 5


@dataclass(frozen=True)
class Problem:
    """One reason to refuse; `words` say it to a person."""

    kind: ProblemKind
    words: str

    def __str__(self) -> str:
        return self.words


def find_fatal_problems(log: LoggedDecisions) -> Iterator[Problem]:
    """Yield what makes every weight or reward meaningless: no estimate is computed then."""
    chances = log.propensities
    bad = ~(np.isfinite(chances) & (chances >= _LEAST_PROPENSITY) & (chances <= 1 + _ROUNDING))
    if bad.any():
        yield Problem(
            "propensity",
            f"{int(bad.sum())} of {log.rows} logged propensities are zero (below {_LEAST_PROPENSITY:g}), not finite "
            f"or no probability (first: row {int(np.argmax(bad))}, {chances[bad][0]:g}); what was done had a chance",
        )
    elif log.all_propensities is not None and not _is_policy(log.all_propensities):
        yield Problem(
            "propensity",
            "the logged probabilities of all actions are not finite, negative or do not sum to 1 in some row",
        )
    lost = ~np.isfinite(log.rewards)
    if lost.any():
        yield Problem(
            "reward",
            f"{int(lost.sum())} of {log.rows} rewards are not finite (first: row {int(np.argmax(lost))})",
        )


def find_problems(
    log: LoggedDecisions, target: Floats, weights: Floats, spec: OffPolicySpec
) -> Iterator[Problem]:
    """Yield what forbids a decision, though estimates can be computed.

    Args:
        log: propensities and rewards as `find_fatal_problems` wants them.
        target: float64 [rows x actions], probabilities.
        weights: float64 [rows], not clipped: clipping would hide how few rows carry the estimate.
        spec: the thresholds.
    """
    yield from _find_missing_support(log, target)
    effective, least = effective_rows(weights), least_effective_rows(log, spec)
    if effective < least:
        yield Problem(
            "effective_rows",
            f"the {log.rows} logged rows count as only {effective:.0f} for this policy, {least:.0f} are needed; "
            "log for longer, or judge a policy closer to the logged one",
        )
    positives = count_positives(log, weights)
    if positives < spec.min_positives:
        yield Problem(
            "positives",
            f"only {positives} rows that this policy could have decided have a reward above zero, "
            f"{spec.min_positives} are needed",
        )
    if log.customer_count < spec.min_customers:
        yield Problem(
            "customers",
            f"only {log.customer_count} customers, {spec.min_customers} are needed for an interval over customers",
        )
    yield from _find_wrong_mean_weight(log, weights)


def effective_rows(weights: Floats) -> float:
    """Return the effective sample size sum(w)^2 / sum(w^2) (Kish 1965); 0 if no row has weight."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def least_effective_rows(log: LoggedDecisions, spec: OffPolicySpec) -> float:
    """Return how many effective rows a decision needs."""
    return max(float(spec.min_effective_rows), spec.min_effective_share * log.rows)


def count_positives(log: LoggedDecisions, weights: Floats) -> int:
    """Count rows with a reward above zero that the target gives some weight; others say nothing about it."""
    return int(((log.rewards > 0) & (weights > 0)).sum())


def _is_policy(matrix: Floats) -> bool:
    is_finite = np.isfinite(matrix).all() and (matrix >= 0).all()
    return bool(is_finite and np.allclose(matrix.sum(axis=1), 1, atol=_ROUNDING))


def _find_missing_support(log: LoggedDecisions, target: Floats) -> Iterator[Problem]:
    if log.all_propensities is None:
        lacks = np.bincount(log.actions, minlength=target.shape[1]) == 0
        unseen, reason = target[:, lacks].sum(axis=0), "that the log never took"
        actions = np.flatnonzero(lacks)
    else:
        unseen = np.where(log.all_propensities > 0, 0.0, target).sum(axis=0)
        actions, reason = (
            np.arange(target.shape[1]),
            "in situations where the logging policy could not take them",
        )
    share = float(unseen.sum()) / log.rows
    if share > _SUPPORT_TOLERANCE:
        numbers = [str(action) for action in actions[unseen > 0]]
        named = ", ".join(numbers[:_ACTIONS_NAMED]) + (", ..." if len(numbers) > _ACTIONS_NAMED else "")
        yield Problem(
            "support",
            f"the policy puts {share:.2%} of its weight on actions {reason} (actions {named}); "
            "nothing was observed there",
        )


def _find_wrong_mean_weight(log: LoggedDecisions, weights: Floats) -> Iterator[Problem]:
    """Weights average 1 under full support and right propensities; look at the distance in standard errors."""
    mean = float(weights.mean())
    of_customers = np.bincount(log.customer_numbers, weights - mean)
    error = float(np.sqrt(np.square(of_customers).sum())) / log.rows
    if abs(mean - 1) > _STANDARD_ERRORS * error + _ROUNDING:
        yield Problem(
            "mean_weight",
            f"the importance weights average {mean:.3f} instead of 1 (standard error {error:.3f}): the logged "
            "propensities are not those that decided, or the log lacks what the policy would do",
        )
