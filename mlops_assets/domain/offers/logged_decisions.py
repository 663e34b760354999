"""What off-policy evaluation reads: decisions that were taken, with the chance each one had.

Belongs here: the typed log, the target policy's matrix, and whether their shapes fit. Does not belong here: whether
the log is evidence enough (off_policy_refusals.py) or any estimate (off_policy_estimators.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import PolicyEvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class LoggedDecisions:
    """Rows of a decision log, one a decision.

    Where a campaign overrode the policy, `actions` holds what was proposed: propensities speak of proposals.

    Attributes:
        actions: int [rows], number of the action, 0 to actions - 1; "no offer" is an action.
        rewards: float64 [rows], in the unit of the estimates.
        propensities: float64 [rows], probability with which the logging policy took the action it took.
        customers: [rows], any comparable keys; rows of one customer are resampled, and held out, together.
        all_propensities: float64 [rows x actions], the logging policy's probability of every action; None if the
            log kept only that of the action taken. With it, missing support is seen row by row.

    Raises:
        PolicyEvaluationError: no row, arrays of different lengths, or two propensities for one decision.
    """

    actions: NDArray[np.integer[Any]]
    rewards: Floats
    propensities: Floats
    customers: NDArray[Any]
    all_propensities: Floats | None = None

    def __post_init__(self) -> None:
        shapes = {
            name: getattr(self, name).shape for name in ("actions", "rewards", "propensities", "customers")
        }
        if len(self.actions) == 0 or set(shapes.values()) != {(len(self.actions),)}:
            raise PolicyEvaluationError(
                "the log's columns do not fit together",
                where=str(shapes),
                expected="one dimension, at least one row, the same length",
            )
        if not np.issubdtype(self.actions.dtype, np.integer) or self.actions.min() < 0:
            raise PolicyEvaluationError(
                "actions are not numbered", where=f"{self.actions.dtype}", expected="integers, 0 or more"
            )
        if self.all_propensities is not None:
            self._check_all_propensities(self.all_propensities)

    def _check_all_propensities(self, whole: Floats) -> None:
        _check_matrix(self, whole, "all_propensities")
        taken = whole[np.arange(self.rows), self.actions]
        if not np.allclose(taken, self.propensities, rtol=_SUM_TOLERANCE, atol=0, equal_nan=True):
            raise PolicyEvaluationError(
                "the log has two different propensities for one decision",
                where="propensities and all_propensities",
                expected="all_propensities[row, action taken] == propensities[row]",
            )

    @classmethod
    def with_whole_propensities(
        cls,
        actions: NDArray[np.integer[Any]],
        rewards: Floats,
        all_propensities: Floats,
        customers: NDArray[Any],
    ) -> LoggedDecisions:
        """Return the log of a policy whose probability of every action was kept; arguments as the attributes."""
        if all_propensities.ndim != 2 or len(all_propensities) != len(actions):
            raise PolicyEvaluationError(
                "all_propensities does not fit the log",
                where=str(all_propensities.shape),
                expected=f"{len(actions)} rows, one column an action",
            )
        _check_action_numbers(actions, all_propensities.shape[1])
        taken = all_propensities[np.arange(len(actions)), actions]
        return cls(actions, rewards, taken, customers, all_propensities)

    @property
    def rows(self) -> int:
        """Number of logged decisions."""
        return len(self.actions)

    @cached_property
    def customer_numbers(self) -> NDArray[np.int64]:
        """Customer of each row, int64 [rows], numbered from 0 without gaps."""
        numbers: NDArray[np.int64] = np.unique(self.customers, return_inverse=True)[1].reshape(-1)
        return numbers.astype(np.int64)

    @cached_property
    def customer_count(self) -> int:
        """Number of different customers."""
        return int(self.customer_numbers.max()) + 1


def check_policy(log: LoggedDecisions, target: Floats) -> None:
    """Refuse a target policy whose matrix is not one of probabilities.

    Args:
        log: the decisions it is judged on.
        target: float64 [rows x actions], the policy's probability of each action in each logged situation.

    Raises:
        PolicyEvaluationError: wrong shape, a probability outside 0 to 1 or not finite, a row that does not sum to 1.
    """
    _check_matrix(log, target, "target policy")
    if not np.isfinite(target).all() or (target < 0).any():
        raise PolicyEvaluationError(
            "the target policy has a probability that is negative or not finite",
            where=f"row {int(np.argmin(np.isfinite(target).all(axis=1) & (target >= 0).all(axis=1)))}",
        )
    sums = target.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1)))
    if abs(sums[worst] - 1) > _SUM_TOLERANCE:
        raise PolicyEvaluationError(
            "the target policy's probabilities do not sum to 1",
            where=f"row {worst}: {sums[worst]:.6g}",
            expected="one distribution over actions a row, 'no offer' included",
        )


def check_reward_estimates(log: LoggedDecisions, target: Floats, estimates: Floats) -> None:
    """Refuse reward estimates float64 [rows x actions] of another shape than the policy's, or not finite."""
    if estimates.shape != target.shape or not np.isfinite(estimates).all():
        raise PolicyEvaluationError(
            "the reward estimates do not fit the policy",
            where=str(estimates.shape),
            expected=f"finite numbers, {log.rows} rows x {target.shape[1]} actions",
        )


def _check_matrix(log: LoggedDecisions, matrix: Floats, name: str) -> None:
    if matrix.ndim != 2 or len(matrix) != log.rows:
        raise PolicyEvaluationError(
            f"{name} does not fit the log",
            where=str(matrix.shape),
            expected=f"{log.rows} rows, one column an action",
        )
    _check_action_numbers(log.actions, matrix.shape[1])


def _check_action_numbers(actions: NDArray[np.integer[Any]], count: int) -> None:
    if actions.max() >= count:
        raise PolicyEvaluationError(
            "the log holds an action that the matrix has no column for",
            where=f"action {int(actions.max())}",
            expected=f"0 to {count - 1}",
        )
