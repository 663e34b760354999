"""Reward models q(x, a), cross-fitted: no row is predicted by a model that has seen its customer.

Belongs here: folds by customer, fitting and predicting with any scikit-learn-like estimator. Does not belong here:
the choice of estimator, or what the predictions are used for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mlops_assets.domain.errors import PolicyEvaluationError
from mlops_assets.domain.learning.algorithms.protocol import FIT_ERRORS
from mlops_assets.domain.offers.logged_decisions import LoggedDecisions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class RewardEstimator(Protocol):
    """A regressor, or a classifier of numeric rewards, as scikit-learn has them."""

    def fit(self, X: Any, y: Any) -> Any:  # noqa: N803 (scikit-learn's names)
        """Learn rewards [rows] of a design [rows x columns]."""
        ...

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return rewards [rows]; not asked of an estimator that has `predict_proba`."""
        ...


def cross_fit_rewards(
    log: LoggedDecisions,
    contexts: Floats,
    action_features: Floats,
    build_estimator: Callable[[], RewardEstimator],
    *,
    folds: int = 3,
    seed: int = 0,
) -> Floats:
    """Predict the reward of every action in every logged situation.

    One model a fold learns reward from context and action features on the other folds' customers.

    Args:
        log: actions and rewards to learn from.
        contexts: float64 [rows x columns], finite unless the estimator takes missing values.
        action_features: float64 [actions x columns]; the unit matrix where an action is only a name.
        build_estimator: returns a new estimator; with the same seed inside, predictions repeat.
        folds: parts that customers are split into, at least 2.
        seed: of the split.

    Returns:
        float64 [rows x actions]; of a classifier the expectation over its classes.

    Raises:
        PolicyEvaluationError: shapes do not fit, fewer customers than folds, or the estimator cannot be fitted.
    """
    if contexts.ndim != 2 or len(contexts) != log.rows or action_features.ndim != 2:
        raise PolicyEvaluationError(
            "contexts or action features do not fit the log",
            where=f"contexts {contexts.shape}, action features {action_features.shape}",
            expected=f"{log.rows} rows of contexts, one row of features an action",
        )
    if log.actions.max() >= len(action_features):
        raise PolicyEvaluationError("a logged action has no features", where=f"action {log.actions.max()}")
    fold_of_row = assign_folds(log, folds, seed)
    estimates = np.empty((log.rows, len(action_features)))
    for fold in range(folds):
        held = fold_of_row == fold
        estimates[held] = _fit_and_predict(log, contexts, action_features, build_estimator, held)
    return estimates


def assign_folds(log: LoggedDecisions, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each row, int64 [rows]; a customer's rows share one, folds differ by one customer at most.

    Raises:
        PolicyEvaluationError: fewer than 2 folds, or fewer customers than folds.
    """
    if not 2 <= folds <= log.customer_count:
        raise PolicyEvaluationError(
            "customers cannot be split into folds",
            where=f"{log.customer_count} customers, {folds} folds",
            expected="2 folds or more, and a customer for each",
        )
    fold_of_customer = np.random.default_rng(seed).permutation(np.arange(log.customer_count) % folds)
    of_rows: NDArray[np.int64] = fold_of_customer[log.customer_numbers]
    return of_rows


def _fit_and_predict(
    log: LoggedDecisions,
    contexts: Floats,
    action_features: Floats,
    build_estimator: Callable[[], RewardEstimator],
    held: NDArray[np.bool_],
) -> Floats:
    """Fit on the rows that are not held out and return float64 [held rows x actions]."""
    actions, rewards = log.actions[~held], log.rewards[~held]
    shape = int(held.sum()), len(action_features)
    if np.ptp(rewards) == 0:  # most classifiers refuse to learn a single class
        return np.full(shape, rewards[0])
    estimator, found = build_estimator(), np.empty(shape)
    try:
        estimator.fit(np.hstack([contexts[~held], action_features[actions]]), rewards)
        for action, features in enumerate(action_features):
            asked = np.hstack([contexts[held], np.broadcast_to(features, (shape[0], len(features)))])
            found[:, action] = _expected_reward(estimator, asked)
    except FIT_ERRORS as error:
        raise PolicyEvaluationError(
            "the reward model cannot be fitted to the log",
            where=f"{type(error).__name__}: {error}",
            remedy="choose an estimator that takes these contexts and rewards",
        ) from error
    return found


def _expected_reward(estimator: Any, design: Floats) -> Floats:
    if not hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict(design), dtype=np.float64)
    chances = np.asarray(estimator.predict_proba(design), dtype=np.float64)
    expected: Floats = chances @ np.asarray(estimator.classes_, dtype=np.float64)
    return expected
