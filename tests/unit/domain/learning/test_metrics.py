"""Metrics agree with scikit-learn, with and without bootstrap weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics as reference

from mlops_assets.domain.errors import ConfigError, LearningError
from mlops_assets.domain.learning.evaluators import EVALUATORS, bootstrap
from mlops_assets.domain.learning.metrics import (
    METRICS,
    find_metric,
    measure,
    measure_all,
    measure_business_value,
    measure_calibration_error,
    measure_intervals,
    measure_standard_error,
    measure_standard_errors,
)
from mlops_assets.domain.learning.spec import BusinessSpec

rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 3)), min_size=2, max_size=60
).filter(lambda drawn: len({label for label, _, weight in drawn if weight}) == 2)


@given(rows)
def test_binary_metrics_equal_scikit_learn_with_ties_and_weights(drawn: list[tuple[int, int, int]]) -> None:
    y, steps, weights = (np.array(column, dtype=np.float64) for column in zip(*drawn, strict=True))
    scores = steps / 8
    expected = {
        "roc_auc": reference.roc_auc_score(y, scores, sample_weight=weights),
        "pr_auc": reference.average_precision_score(y, scores, sample_weight=weights),
        "log_loss": reference.log_loss(y, scores, sample_weight=weights),
        "brier": reference.brier_score_loss(y, scores, sample_weight=weights),
        "accuracy": reference.accuracy_score(y, scores >= 0.5, sample_weight=weights),
    }
    for name, value in expected.items():
        assert EVALUATORS[name](y, scores, None)(weights) == pytest.approx(value, abs=1e-9), name


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40))
def test_multiclass_metrics_equal_scikit_learn(drawn: list[tuple[int, int, int]]) -> None:
    y = np.array([label for label, _, _ in drawn], dtype=np.float64)
    raw = np.array([[a + 1.0, b + 1.5, 2.25] for _, a, b in drawn])
    scores = raw / raw.sum(axis=1, keepdims=True)
    best = scores.argmax(axis=1)
    assert measure("accuracy", y, scores) == pytest.approx(reference.accuracy_score(y, best))
    assert measure("macro_f1", y, scores) == pytest.approx(reference.f1_score(y, best, average="macro"))
    assert measure("log_loss", y, scores) == pytest.approx(reference.log_loss(y, scores, labels=[0, 1, 2]))


@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=40),
    st.sampled_from([0.1, 0.5, 0.9]),
)
def test_number_metrics_equal_scikit_learn(drawn: list[tuple[int, int]], quantile: float) -> None:
    y, values = (np.array(column, dtype=np.float64) for column in zip(*drawn, strict=True))
    assert measure("rmse", y, values) == pytest.approx(reference.root_mean_squared_error(y, values))
    assert measure("mae", y, values) == pytest.approx(reference.mean_absolute_error(y, values))
    expected = reference.mean_pinball_loss(y, values, alpha=quantile)
    assert measure("pinball", y, values, quantile) == pytest.approx(expected)


@given(rows, st.floats(0.1, 5))
def test_ranking_metrics_ignore_increasing_transforms(
    drawn: list[tuple[int, int, int]], power: float
) -> None:
    y, steps, _ = (np.array(column, dtype=np.float64) for column in zip(*drawn, strict=True))
    for name in ("roc_auc", "pr_auc"):
        assert measure(name, y, (steps / 8) ** power) == pytest.approx(measure(name, y, steps / 8))


def test_undefined_metrics_are_nan() -> None:
    empty = np.empty(0)
    assert all(math.isnan(value) for value in measure_all("binary", empty, empty).values())
    assert math.isnan(measure("roc_auc", np.zeros(5), np.linspace(0, 1, 5)))
    assert math.isnan(measure("pr_auc", np.zeros(5), np.linspace(0, 1, 5)))
    assert math.isnan(
        measure_business_value(empty, empty, BusinessSpec(saved_margin_usd=1, contact_cost_usd=1))
    )
    with pytest.raises(LearningError, match="pinball needs a quantile"):
        measure("pinball", np.zeros(2), np.zeros(2))


def test_every_metric_has_arithmetic_a_direction_and_a_task() -> None:
    assert METRICS.keys() == EVALUATORS.keys()
    assert METRICS["roc_auc"].gain(0.8, 0.7) == pytest.approx(0.1)
    assert METRICS["log_loss"].gain(0.8, 0.7) == pytest.approx(-0.1)
    with pytest.raises(ConfigError, match="did you mean 'roc_auc'"):
        find_metric("rocauc", "binary")
    with pytest.raises(ConfigError, match="not defined for task regression"):
        find_metric("roc_auc", "regression")


def test_calibration_error() -> None:
    y = np.array([0.0, 1.0] * 500)
    assert measure_calibration_error(y, np.full(1000, 0.5)) == pytest.approx(0)
    assert measure_calibration_error(y, np.full(1000, 0.9)) == pytest.approx(0.4)
    sure = np.array([[0.9, 0.1], [0.1, 0.9]] * 10)
    assert measure_calibration_error(np.array([0.0, 1.0] * 10), sure) == pytest.approx(0.1)


def test_standard_error_of_a_mean_is_the_textbook_one() -> None:
    random = np.random.default_rng(0)
    y, values = random.normal(size=2000), np.zeros(2000)
    expected = np.abs(y).std() / math.sqrt(2000)
    assert measure_standard_error("mae", y, values) == pytest.approx(expected, rel=0.15)
    assert measure_standard_error("mae", y, values) == measure_standard_error("mae", y, values)


def test_metrics_measured_together_get_what_each_gets_alone() -> None:
    random = np.random.default_rng(1)
    y = (random.random(500) < 0.2).astype(float)
    scores = np.clip(0.2 * y + random.random(500) * 0.8, 0, 1)
    names = ["roc_auc", "pr_auc", "log_loss", "brier", "accuracy", "macro_f1"]
    together = measure_standard_errors(names, y, scores, seed=3)
    assert together == {name: measure_standard_error(name, y, scores, seed=3) for name in names}
    values = {**{name: measure(name, y, scores) for name in names}, "calibration_error": 0.1, "mae": math.nan}
    intervals = measure_intervals(values, y, scores, seed=3, quantile=None)
    assert list(intervals) == names, "what is no metric, or undefined, has none"
    assert intervals["brier"][1] == values["brier"] + 1.96 * together["brier"]
    one_class = measure_intervals({"roc_auc": 0.5}, np.zeros(50), scores[:50], seed=3, quantile=None)
    assert one_class == {"roc_auc": (None, None)}


def test_rows_of_one_entity_are_drawn_together() -> None:
    units = np.array([0, 1, 0, 1])
    seen: list[np.ndarray] = []
    bootstrap([lambda weights: seen.append(weights) or 0.0], units, 20, 0)
    assert all((weights[:2] == weights[2:]).all() for weights in seen)


BUSINESS = BusinessSpec(contact_share=0.25, retention_rate=0.5, saved_margin_usd=40, contact_cost_usd=2)


def test_business_value_by_hand() -> None:
    y = np.array([1.0, 0, 0, 1, 0, 0, 0, 0])
    scores = np.array([0.9, 0.8, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1])
    # Two of eight are contacted, one of them would have left: (1 x 0.5 x 40 - 2 x 2) / 8 x 1000.
    assert measure_business_value(y, scores, BUSINESS) == pytest.approx(2000)


def test_business_value_counts_cost_as_a_loss() -> None:
    """Fault of a public system: with the sign turned, dearer contacts made a model look better."""
    y, scores = np.array([1.0, 0, 0, 0]), np.array([0.9, 0.3, 0.2, 0.1])
    values = [
        measure_business_value(y, scores, BUSINESS.model_copy(update={"contact_cost_usd": cost}))
        for cost in (0.0, 1.0, 5.0, 100.0)
    ]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0 < values[0]
    nobody_leaves = measure_business_value(np.zeros(4), scores, BUSINESS)
    assert nobody_leaves == pytest.approx(-0.25 * 2 * 1000)


@given(st.permutations(range(12)))
def test_business_value_does_not_depend_on_the_order_of_tied_rows(order: list[int]) -> None:
    y = np.array([1.0] * 3 + [0.0] * 9)[list(order)]
    assert measure_business_value(y, np.full(12, 0.3), BUSINESS) == pytest.approx(
        (0.25 * 0.5 * 40 * 0.25 - 0.5) * 1000
    )


@given(rows)
def test_perfect_ranking_has_the_highest_business_value(drawn: list[tuple[int, int, int]]) -> None:
    y = np.array([label for label, _, _ in drawn], dtype=np.float64)
    scores = np.array([step / 8 for _, step, _ in drawn])
    assume(0 < y.sum() < len(y))
    assert measure_business_value(y, y, BUSINESS) >= measure_business_value(y, scores, BUSINESS) - 1e-9
