"""Reward models never predict a customer they have seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlops_assets.domain.errors import PolicyEvaluationError
from mlops_assets.domain.offers.off_policy import evaluate_policy
from mlops_assets.domain.offers.reward_model import assign_folds, cross_fit_rewards
from tests.unit.domain.offers.small_world import CHANCE, SPEC, TRUTH, live

WORLD = live(3000, 2, rows_a_customer=3)
NAMES = np.eye(3)
CONTEXTS = np.eye(4)[WORLD.situations]


class Remembering:
    """Predicts 1 for a customer it has learned from, else 0; the customer is the first context column."""

    def fit(self, X: Any, y: Any) -> None:  # noqa: N803
        assert len(X) == len(y)
        self.seen = set(X[:, 0])

    def predict(self, X: Any) -> Any:  # noqa: N803
        return np.isin(X[:, 0], list(self.seen)).astype(float)


class Echoing(Remembering):
    """Predicts the number of the row plus that of the action."""

    def predict(self, X: Any) -> Any:  # noqa: N803
        return X[:, 0] + X[:, 1:] @ np.arange(3)


class Refusing(Remembering):
    """Cannot be fitted."""

    def fit(self, X: Any, y: Any) -> None:  # noqa: ARG002, N803
        raise ValueError("too few rows")


def _logistic() -> LogisticRegression:
    return LogisticRegression(C=100, max_iter=500)


def test_no_row_is_predicted_by_a_model_that_saw_its_customer() -> None:
    customers = WORLD.log.customers.astype(np.float64)[:, None]
    assert cross_fit_rewards(WORLD.log, customers, NAMES, Remembering, folds=4).max() == 0


def test_predictions_stand_in_the_row_and_column_they_are_of() -> None:
    rows = np.arange(3000.0)[:, None] * 10
    assert (cross_fit_rewards(WORLD.log, rows, NAMES, Echoing) == rows + np.arange(3)).all()


def test_folds_keep_customers_whole_and_are_even() -> None:
    folds = assign_folds(WORLD.log, 3, seed=1)
    by_customer = {}
    for customer, fold in zip(WORLD.log.customers, folds, strict=True):
        assert by_customer.setdefault(customer, fold) == fold
    sizes = np.bincount(list(by_customer.values()))
    assert len(sizes) == 3
    assert np.ptp(sizes) <= 1
    assert (assign_folds(WORLD.log, 3, seed=1) == folds).all()
    assert (assign_folds(WORLD.log, 3, seed=2) != folds).any()


def test_classifier_and_regressor_learn_the_rewards_and_feed_dr() -> None:
    for build in (LinearRegression, _logistic):
        q = cross_fit_rewards(WORLD.log, CONTEXTS, NAMES, build)
        assert q.shape == (3000, 3)
        found = evaluate_policy(WORLD.log, WORLD.target, SPEC, q).estimates["dr"]
        assert found.low < TRUTH < found.high
        assert np.abs(q.mean(axis=0) - CHANCE.mean(axis=0)).max() < 0.1


def test_classifier_of_amounts_predicts_their_expectation() -> None:
    amounts = replace(WORLD.log, rewards=np.where(WORLD.log.rewards > 0, 10.0, -2.0))
    plain = cross_fit_rewards(WORLD.log, CONTEXTS, NAMES, _logistic)
    assert cross_fit_rewards(amounts, CONTEXTS, NAMES, _logistic) == pytest.approx(12 * plain - 2, abs=1e-6)


def test_one_reward_needs_no_model() -> None:
    same = replace(WORLD.log, rewards=np.full(3000, 0.7))
    assert (cross_fit_rewards(same, CONTEXTS, NAMES, Refusing) == 0.7).all()


def test_failure_of_the_estimator_is_told() -> None:
    with pytest.raises(PolicyEvaluationError, match="too few rows"):
        cross_fit_rewards(WORLD.log, CONTEXTS, NAMES, Refusing)


@pytest.mark.parametrize("folds", [1, 1001])
def test_folds_need_customers(folds: int) -> None:
    with pytest.raises(PolicyEvaluationError, match="folds"):
        assign_folds(WORLD.log, folds, seed=0)


def test_shapes_are_checked() -> None:
    with pytest.raises(PolicyEvaluationError, match="fit the log"):
        cross_fit_rewards(WORLD.log, CONTEXTS[:-1], NAMES, LinearRegression)
    with pytest.raises(PolicyEvaluationError, match="no features"):
        cross_fit_rewards(WORLD.log, CONTEXTS, NAMES[:2], LinearRegression)
