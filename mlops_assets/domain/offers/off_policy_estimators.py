"""The estimators of a policy's value, each as sums over logged rows.

Belongs here: the formulas, and the choice of a limit for those that have one. Does not belong here: intervals
(customer_bootstrap.py) and whether an estimate may be relied on (off_policy_refusals.py).

Notation: row i of n has context x_i, the action taken a_i, reward r_i and logged propensity p_i; the target takes a
with probability pi(a|x); w_i = pi(a_i|x_i) / p_i; q(x, a) is a reward model; DM_i = sum over a of pi(a|x_i) q(x_i, a);
e_i = r_i - q(x_i, a_i).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.offers.off_policy_spec import OffPolicySpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.offers.logged_decisions import LoggedDecisions

    Floats = NDArray[np.float64]

_LIMITS_TRIED = 30


@dataclass(frozen=True, eq=False)
class Terms:
    """An estimate as sums: sum(base) / rows + sum(correction) / sum(norm).

    Attributes:
        base: float64 [rows].
        correction: float64 [rows].
        norm: float64 [rows]; ones for a mean, weights for a self-normalised sum.
        limit: threshold or shrinkage that was used, where the estimator has one.
    """

    base: Floats
    correction: Floats
    norm: Floats
    limit: float | None = None


@dataclass(frozen=True, eq=False)
class WeightedLog:
    """What the estimators read.

    Attributes:
        rewards: float64 [rows].
        weights: float64 [rows], w.
        clipped: float64 [rows], min(w, max_weight).
        direct: float64 [rows], DM_i; None without a reward model.
        residuals: float64 [rows], e_i; None without a reward model.
    """

    rewards: Floats
    weights: Floats
    clipped: Floats
    direct: Floats | None
    residuals: Floats | None


def weigh_log(
    log: LoggedDecisions, target: Floats, reward_estimates: Floats | None, spec: OffPolicySpec
) -> WeightedLog:
    """Prepare a checked log for the estimators.

    Args:
        log: propensities as `find_fatal_problems` wants them.
        target: float64 [rows x actions], probabilities.
        reward_estimates: float64 [rows x actions], q; fitted on other customers than those of the row.
        spec: gives `max_weight`.
    """
    each = np.arange(log.rows)
    weights = target[each, log.actions] / log.propensities
    clipped = weights if spec.max_weight is None else np.minimum(weights, spec.max_weight)
    if reward_estimates is None:
        return WeightedLog(log.rewards, weights, clipped, None, None)
    direct = np.einsum("ra,ra->r", target, reward_estimates)
    return WeightedLog(
        log.rewards, weights, clipped, direct, log.rewards - reward_estimates[each, log.actions]
    )


def estimate_ips(log: WeightedLog, spec: OffPolicySpec) -> Terms:
    """Inverse propensity score: mean of w r (Horvitz and Thompson 1952; Dudik, Langford and Li 2011).

    Unbiased under full support and right propensities, unless weights are clipped (Ionides 2008).
    """
    del spec
    return Terms(np.zeros_like(log.rewards), log.clipped * log.rewards, np.ones_like(log.rewards))


def estimate_snips(log: WeightedLog, spec: OffPolicySpec) -> Terms:
    """Self-normalised IPS: sum(w r) / sum(w) (Swaminathan and Joachims 2015).

    A constant added to all rewards is added to the estimate, and nothing else; consistent, not unbiased.
    """
    del spec
    return Terms(np.zeros_like(log.rewards), log.clipped * log.rewards, log.clipped)


def estimate_dm(log: WeightedLog, spec: OffPolicySpec) -> Terms | None:
    """Direct method: mean of DM_i (Dudik et al. 2011). As wrong as the reward model.

    Its interval takes the model as given, so it is too narrow.
    """
    del spec
    if log.direct is None:
        return None
    return Terms(log.direct, np.zeros_like(log.direct), np.ones_like(log.direct))


def estimate_dr(log: WeightedLog, spec: OffPolicySpec) -> Terms | None:
    """Doubly robust: mean of DM_i + w e (Dudik et al. 2011; Dudik, Erhan, Langford and Li 2014).

    Unbiased if either the propensities or the reward model are right.
    """
    del spec
    return _corrected(log, log.clipped)


def estimate_sndr(log: WeightedLog, spec: OffPolicySpec) -> Terms | None:
    """DR with a self-normalised correction: mean of DM_i + sum(w e) / sum(w) (the SNIPS of residuals)."""
    del spec
    plain = _corrected(log, log.clipped)
    return None if plain is None else Terms(plain.base, plain.correction, log.clipped)


def estimate_switch_dr(log: WeightedLog, spec: OffPolicySpec) -> Terms | None:
    """Switch-DR: mean of DM_i + 1[w <= tau] w e (Wang, Agarwal and Dudik 2017).

    tau = 0 is the direct method, tau at the largest weight is DR.
    """
    return _limited(log, spec.switch_threshold, _switched, _limits_of(log.weights))


def estimate_dros(log: WeightedLog, spec: OffPolicySpec) -> Terms | None:
    """DR with optimistic shrinkage: mean of DM_i + lambda w / (w^2 + lambda) e (Su et al. 2020).

    lambda = 0 is the direct method; as lambda grows, the weights become those of DR.
    """
    return _limited(log, spec.shrinkage, _shrunk, _limits_of(log.weights) ** 2)


Estimator = Callable[[WeightedLog, OffPolicySpec], Terms | None]
# Each returns None where it needs a reward model and there is none.
ESTIMATORS: Mapping[str, Estimator] = {
    "ips": estimate_ips,
    "snips": estimate_snips,
    "dm": estimate_dm,
    "dr": estimate_dr,
    "sndr": estimate_sndr,
    "switch_dr": estimate_switch_dr,
    "dros": estimate_dros,
}


def _corrected(log: WeightedLog, weights: Floats) -> Terms | None:
    if log.direct is None or log.residuals is None:
        return None
    return Terms(log.direct, weights * log.residuals, np.ones_like(log.direct))


def _switched(weights: Floats, threshold: float) -> Floats:
    return np.where(weights <= threshold, weights, 0.0)


def _shrunk(weights: Floats, shrinkage: float) -> Floats:
    if shrinkage == 0:
        return np.zeros_like(weights)
    return weights / (weights**2 / shrinkage + 1)


def _limits_of(weights: Floats) -> Floats:
    """Return 0, and limits from the smallest weight above 0 to well beyond the largest, even in the logarithm."""
    above = weights[weights > 0]
    if not len(above):
        return np.zeros(1)
    return np.append(0.0, np.geomspace(above.min(), above.max() * 100, _LIMITS_TRIED))


def _limited(
    log: WeightedLog, limit: float | None, change: Callable[[Floats, float], Floats], limits: Floats
) -> Terms | None:
    if log.direct is None or log.residuals is None:
        return None
    if limit is None:
        limit = _choose_limit(log.direct, log.residuals, log.weights, change, limits)
    return Terms(
        log.direct, change(log.weights, limit) * log.residuals, np.ones_like(log.direct), limit=limit
    )


def _choose_limit(
    direct: Floats,
    residuals: Floats,
    weights: Floats,
    change: Callable[[Floats, float], Floats],
    limits: Floats,
) -> float:
    """Return the limit with the least estimated squared bias plus variance (as Su et al. 2020 do).

    The bias is estimated from the log as the mean of (changed w - w) e. Its own noise adds to the square, so that
    the choice leans towards DR.
    """

    def squared_error(limit: float) -> float:
        changed = change(weights, limit)
        bias = float(np.mean((changed - weights) * residuals))
        return bias**2 + float(np.var(direct + changed * residuals)) / len(direct)

    return min(map(float, limits), key=squared_error)
