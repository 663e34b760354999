"""The leaderboard: one entry per algorithm, failures contained, simple models win ties."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mlops_assets.domain.errors import ConfigError, LearningError
from mlops_assets.domain.learning import leaderboard
from mlops_assets.domain.learning.exposure import Exposure
from mlops_assets.domain.learning.leaderboard import Entry, pick_best, run_leaderboard
from mlops_assets.domain.learning.metrics import METRICS, measure
from mlops_assets.domain.learning.search import search_hyperparameters
from mlops_assets.domain.learning.spec import AlgorithmSpec, SearchDimension
from tests.unit.domain.learning.samples import TRAINED_THROUGH, make_dataset, make_spec

AUC, LOSS = METRICS["roc_auc"], METRICS["log_loss"]


def _entry(name: str, complexity: int, value: float, error: float = 0.01, metric: str = "roc_auc") -> Entry:
    return Entry(name, complexity, metrics={metric: value}, standard_error=error)


def test_all_configured_algorithms_and_the_baseline_are_entered() -> None:
    board = run_leaderboard(
        make_spec(
            algorithms={"linear": {}, "catboost": {"hyperparameters": {"iterations": 20}}}, calibrate=True
        ),
        make_dataset(400),
        make_dataset(300, seed=1),
        clock=itertools.count().__next__,
    )
    assert sorted(entry.algorithm for entry in board.entries) == ["catboost", "dummy", "linear"]
    assert board.entries[-1].algorithm == "dummy"
    assert board.best.algorithm in ("linear", "catboost")
    assert board.best.metrics["roc_auc"] > 0.8
    assert board.best.standard_error > 0
    assert [entry.cpu_seconds for entry in board.entries] == [1, 1, 1]
    assert all(entry.hyperparameters for entry in board.entries if entry.algorithm != "dummy")
    data = make_dataset(100, seed=2)
    scorer = board.challenger(Exposure(trained_through_day=TRAINED_THROUGH), {"run": "r1"})
    assert measure("roc_auc", data.y, scorer.predict(data)) > 0.8


def test_only_the_specs_features_are_used() -> None:
    board = run_leaderboard(make_spec(features=["usage_mb"]), make_dataset(200), make_dataset(100, seed=1))
    assert board.best.model is not None
    assert board.best.model.signature.features == ("usage_mb",)


def test_a_failing_algorithm_is_an_entry_with_its_error() -> None:
    spec = make_spec(
        task="quantile",
        quantile=0.5,
        metric="pinball",
        algorithms={"linear": {}, "hist_gradient_boosting": {"hyperparameters": {"iterations": 20}}},
    )
    board = run_leaderboard(spec, make_dataset(200, "quantile"), make_dataset(100, "quantile", seed=1))
    assert board.best.algorithm == "hist_gradient_boosting"
    assert board.entries[-1].algorithm == "linear"
    assert "does not support task quantile" in board.entries[-1].error


def test_one_class_in_training_fails_every_algorithm_but_the_baseline() -> None:
    train = make_dataset(200)
    board = run_leaderboard(make_spec(), train.take(train.y == 0), make_dataset(100, seed=1))
    assert board.best.algorithm == "dummy"
    assert "same label" in board.entries[-1].error


def test_all_failing_is_an_error_that_names_them() -> None:
    validation = make_dataset(100, seed=1)
    with pytest.raises(LearningError, match=r"every algorithm failed.*linear.*roc_auc is undefined"):
        run_leaderboard(make_spec(), make_dataset(100), validation.take(validation.y == 0))


def test_configuration_is_checked_before_anything_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    data, fitted = make_dataset(50), []
    monkeypatch.setattr(leaderboard._Contest, "enter", lambda *_: fitted.append(1))
    for algorithms in (
        {"linaer": {}},
        {"linear": {"hyperparameters": {"c": 1}}},
        {"linear": {"search": {"c": {"choices": [1]}}}},
    ):
        with pytest.raises(ConfigError):
            run_leaderboard(make_spec(algorithms=algorithms), data, data)
    assert fitted == []
    with pytest.raises(LearningError, match="validation part is empty"):
        run_leaderboard(make_spec(), data, data.take(np.arange(0)))


def test_search_is_seeded_and_keeps_the_best_setting() -> None:
    search = {
        "search": {"inverse_penalty": {"low": 1e-6, "high": 1.0, "log": True}},
        "search_trials": 5,
    }
    spec = make_spec(algorithms={"linear": search}, metric="log_loss")
    boards = [run_leaderboard(spec, make_dataset(200), make_dataset(100, seed=1)) for _ in range(2)]
    first, second = (board.best for board in boards)
    assert first.hyperparameters == second.hyperparameters
    assert first.hyperparameters["inverse_penalty"] != 1.0
    assert first.metrics == second.metrics


def test_the_search_tries_as_many_settings_as_asked() -> None:
    tried = []

    def attempt(settings: Mapping[str, Any]) -> float:
        tried.append(settings)
        return float(settings["depth"])

    search = {"depth": SearchDimension(low=1, high=9, integer=True)}
    spec = AlgorithmSpec(hyperparameters={"iterations": 7}, search=search, search_trials=5)
    search_hyperparameters(spec, attempt, 0, is_higher_better=True)
    assert len(tried) == 5
    assert all(one["iterations"] == 7 and 1 <= one["depth"] <= 9 for one in tried)


def test_settings_that_fail_are_skipped_by_the_search() -> None:
    search = {"search": {"max_features_share": {"choices": [0.5, 1.0]}}, "search_trials": 2}
    spec = make_spec(algorithms={"random_forest": {"hyperparameters": {"trees": 5}} | search})
    train = make_dataset(200)
    board = run_leaderboard(spec, train.take(train.y == 1), make_dataset(100, seed=1))
    assert "every trial" in board.entries[-1].error


def test_a_simpler_algorithm_wins_within_one_standard_error() -> None:
    entries = [_entry("catboost", 4, 0.805), _entry("linear", 1, 0.796), _entry("dummy", 0, 0.5)]
    best, reason = pick_best(entries, AUC)
    assert best.algorithm == "linear"
    assert "within one standard error" in reason
    assert pick_best([*entries[:1], _entry("linear", 1, 0.794)], AUC)[0].algorithm == "catboost"


def test_direction_of_the_metric_is_respected() -> None:
    entries = [_entry("catboost", 4, 0.40, metric="log_loss"), _entry("linear", 1, 0.42, metric="log_loss")]
    assert pick_best(entries, LOSS)[0].algorithm == "catboost"
    close = [entries[0], _entry("linear", 1, 0.409, metric="log_loss")]
    assert pick_best(close, LOSS)[0].algorithm == "linear"


def test_an_unknown_standard_error_gives_nothing_away() -> None:
    entries = [_entry("catboost", 4, 0.81, math.nan), _entry("linear", 1, 0.80)]
    assert pick_best(entries, AUC)[0].algorithm == "catboost"
