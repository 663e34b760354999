"""The contract that every algorithm keeps for every task it offers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlops_assets.domain.errors import ConfigError, LearningError, ModelIntegrityError, NotFittedError
from mlops_assets.domain.learning.algorithms import ALGORITHMS, FitRequest, FittedModel, find_algorithm
from mlops_assets.domain.learning.dataset import Dataset
from mlops_assets.domain.learning.metrics import measure
from mlops_assets.domain.learning.spec import SearchDimension, Task
from tests.unit.domain.learning.samples import CLASSES, FEATURES, make_categories, make_dataset

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression", "quantile")
# Quicker than the defaults; a new algorithm needs no line here.
SMALL: dict[str, dict[str, float]] = {
    "dummy": {},
    "linear": {},
    "random_forest": {"trees": 20, "min_rows_per_leaf": 5, "rows_share": 0.8},
    "hist_gradient_boosting": {"iterations": 30},
    "catboost": {"iterations": 30},
}
PAIRS = [(name, task) for name, algorithm in ALGORITHMS.items() for task in TASKS if task in algorithm.tasks]
_fitted: dict[tuple[str, Task], FittedModel] = {}


def _fit(name: str, task: Task, **changes: object) -> FittedModel:
    request = FitRequest(
        task, SMALL.get(name, {}), seed=7, threads=1, quantile=0.8 if task == "quantile" else None
    )
    request = replace(request, **changes)  # type: ignore[arg-type]
    return ALGORITHMS[name].fit(make_dataset(400, task), make_dataset(150, task, seed=1), request)


def _fit_once(name: str, task: Task) -> FittedModel:
    if (name, task) not in _fitted:
        _fitted[name, task] = _fit(name, task)
    return _fitted[name, task]


def _save(model: FittedModel, folder: Path) -> dict[str, bytes]:
    model.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("name", "task"), PAIRS)
class TestContract:
    def test_same_seed_same_predictions(self, name: str, task: Task) -> None:
        data = make_dataset(100, task, seed=2)
        np.testing.assert_array_equal(_fit_once(name, task).predict(data), _fit(name, task).predict(data))

    def test_loaded_model_predicts_and_explains_the_same(self, name: str, task: Task, tmp_path: Path) -> None:
        model, data = _fit_once(name, task), make_dataset(100, task, seed=2)
        loaded = ALGORITHMS[name].load(_save(model, tmp_path), model.signature)
        np.testing.assert_allclose(loaded.predict(data), model.predict(data), rtol=0, atol=1e-12)
        assert loaded.feature_importances() == pytest.approx(model.feature_importances())

    def test_shapes_and_ranges(self, name: str, task: Task) -> None:
        model = _fit_once(name, task)
        for rows in (0, 1, 50):
            predictions = model.predict(make_dataset(50, task, seed=3).take(np.arange(rows)))
            assert predictions.dtype == np.float64
            assert predictions.shape == ((rows, len(CLASSES)) if task == "multiclass" else (rows,))
            assert np.isfinite(predictions).all()
            if task in ("binary", "multiclass"):
                assert predictions.min(initial=0) >= 0
                assert predictions.max(initial=0) <= 1
            if task == "multiclass":
                np.testing.assert_allclose(predictions.sum(axis=1), 1, atol=1e-6)

    def test_missing_and_unseen_values_are_scored(self, name: str, task: Task) -> None:
        data = make_dataset(3, task)
        strange = replace(
            data,
            numbers=np.full_like(data.numbers, np.nan),
            categories={**data.categories, "plan": make_categories(["new", "pro", "newer"])},
        )
        assert np.isfinite(_fit_once(name, task).predict(strange)).all()

    def test_importances_are_shares_of_the_features(self, name: str, task: Task) -> None:
        shares = _fit_once(name, task).feature_importances()
        assert list(shares) == FEATURES
        assert sum(shares.values()) == pytest.approx(0 if name == "dummy" else 1)
        if name != "dummy":
            assert max(shares, key=lambda feature: shares[feature]) == "usage_mb"

    def test_other_features_are_refused(self, name: str, task: Task) -> None:
        model, data = _fit_once(name, task), make_dataset(5, task)
        for wrong in (FEATURES[:-1], FEATURES[::-1]):
            with pytest.raises(LearningError, match="features differ"):
                model.predict(data.select(wrong))
        numeric = replace(
            data, numbers=np.zeros((5, 4), np.float32), categories={"plan": data.categories["plan"]}
        )
        with pytest.raises(LearningError, match="categorical features are"):
            model.predict(numeric)

    def test_a_model_that_was_never_saved_is_not_loaded(self, name: str, task: Task) -> None:
        with pytest.raises(NotFittedError):
            ALGORITHMS[name].load({}, _fit_once(name, task).signature)

    def test_nothing_to_train_on_is_refused(self, name: str, task: Task) -> None:
        request = FitRequest(task, quantile=0.5 if task == "quantile" else None)
        with pytest.raises(LearningError, match="nothing to train on"):
            ALGORITHMS[name].fit(make_dataset(5, task).take(np.arange(0)), None, request)

    def test_it_learns_the_signal(self, name: str, task: Task) -> None:
        metric = {
            "binary": "log_loss",
            "multiclass": "log_loss",
            "regression": "rmse",
            "quantile": "pinball",
        }[task]
        data, quantile = make_dataset(400, task, seed=4), 0.8 if task == "quantile" else None
        reached = measure(metric, data.y, _fit_once(name, task).predict(data), quantile)
        constant = measure(metric, data.y, _fit_once("dummy", task).predict(data), quantile)
        assert reached <= constant * (1 if name == "dummy" else 0.85)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_rows_without_validation_are_enough(name: str) -> None:
    model = ALGORITHMS[name].fit(make_dataset(100), None, FitRequest("binary", SMALL.get(name, {})))
    assert model.predict(make_dataset(10)).shape == (10,)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != "dummy"])
def test_one_class_cannot_be_learned(name: str) -> None:
    data = make_dataset(50)
    with pytest.raises(LearningError, match="same label"):
        ALGORITHMS[name].fit(data.take(data.y == 0), None, FitRequest("binary"))


@pytest.mark.parametrize("name", [name for name, task in PAIRS if task == "multiclass"])
def test_a_class_that_training_lacks_gets_probability_zero(name: str) -> None:
    data = make_dataset(300, "multiclass")
    without_mid = data.take(data.y != CLASSES.index("mid"))
    model = ALGORITHMS[name].fit(without_mid, data, FitRequest("multiclass", SMALL.get(name, {})))
    predictions = model.predict(data)
    assert predictions.shape == (300, 3)
    assert predictions[:, CLASSES.index("mid")].max() == 0


@pytest.mark.parametrize("name", ALGORITHMS)
def test_numeric_features_alone(name: str) -> None:
    data = make_dataset(100).select(["usage_mb", "noise"])
    assert ALGORITHMS[name].fit(data, None, FitRequest("binary", SMALL.get(name, {}))).predict(
        data
    ).shape == (100,)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_column_without_any_value(name: str) -> None:
    data = make_dataset(100)
    data.numbers[:, 1] = np.nan
    assert np.isfinite(
        ALGORITHMS[name].fit(data, data, FitRequest("binary", SMALL.get(name, {}))).predict(data)
    ).all()


@pytest.mark.parametrize("name", ["linear", "random_forest"])
def test_quantile_is_refused_where_it_is_not_offered(name: str) -> None:
    with pytest.raises(LearningError, match="does not support task quantile"):
        ALGORITHMS[name].fit(make_dataset(20, "quantile"), None, FitRequest("quantile", quantile=0.5))


def test_quantile_level_goes_with_the_task() -> None:
    with pytest.raises(LearningError, match=r"quantile is 0\.5"):
        ALGORITHMS["dummy"].fit(make_dataset(20), None, FitRequest("binary", quantile=0.5))


def test_quantile_predictions_cover_their_level() -> None:
    data = make_dataset(2000, "quantile")
    request = FitRequest("quantile", {"iterations": 60}, quantile=0.9)
    for name in ("hist_gradient_boosting", "catboost"):
        covered = (ALGORITHMS[name].fit(data, None, request).predict(data) >= data.y).mean()
        assert covered == pytest.approx(0.9, abs=0.04)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_defaults_are_accepted(name: str) -> None:
    for task in ALGORITHMS[name].tasks:
        ALGORITHMS[name].validate_hyperparameters(ALGORITHMS[name].default_hyperparameters(task), task)


def test_hyperparameters_are_checked() -> None:
    catboost, linear = ALGORITHMS["catboost"], ALGORITHMS["linear"]
    with pytest.raises(ConfigError, match="did you mean 'iterations'"):
        catboost.validate_hyperparameters({"iteration": 5}, "binary")
    for wrong in (0, 1.5, "5", True, None, float("nan")):
        with pytest.raises(ConfigError, match="is not accepted"):
            catboost.validate_hyperparameters({"iterations": wrong}, "binary")
    with pytest.raises(ConfigError, match="no meaning for task binary"):
        linear.validate_hyperparameters({"penalty": 1.0}, "binary")
    with pytest.raises(ConfigError, match="is not accepted"):
        catboost.validate_search({"depth": SearchDimension(low=2, high=40, integer=True)}, "binary")
    catboost.validate_search({"depth": SearchDimension(low=2, high=6, integer=True)}, "binary")
    catboost.validate_search({"learning_rate": SearchDimension(choices=[0.05, 0.1])}, "binary")


def test_unknown_algorithm_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'catboost'"):
        find_algorithm("catbost", ALGORITHMS)


def test_complexity_ranks_are_distinct() -> None:
    ranked = sorted(ALGORITHMS.values(), key=lambda algorithm: algorithm.complexity)
    shipped = ["dummy", "linear", "random_forest", "hist_gradient_boosting", "catboost"]
    assert [a.name for a in ranked if a.name in shipped] == shipped
    assert len({algorithm.complexity for algorithm in ranked}) == len(ranked)
    assert all(name == algorithm.name for name, algorithm in ALGORITHMS.items())


def test_a_file_with_foreign_types_is_refused(tmp_path: Path) -> None:
    forest = _fit_once("random_forest", "binary")
    with pytest.raises(ModelIntegrityError, match="types that this algorithm never writes"):
        ALGORITHMS["linear"].load(_save(forest, tmp_path), forest.signature)


def test_catboost_refuses_bytes_that_are_no_model() -> None:
    with pytest.raises(ModelIntegrityError, match="cannot read"):
        ALGORITHMS["catboost"].load({"model.cbm": b"nonsense"}, _fit_once("catboost", "binary").signature)


def test_registry_and_metrics_load_no_library() -> None:
    heavy = ("numpy", "sklearn", "catboost", "pandas", "skops", "optuna", "pyarrow", "dagster", "mlflow")
    program = (
        "import sys, mlops_assets.domain.learning.algorithms, mlops_assets.domain.learning.metrics;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_fitting_leaves_the_training_rows_alone() -> None:
    data: Dataset = make_dataset(100)
    before = data.numbers.copy()
    for name in ALGORITHMS:
        ALGORITHMS[name].fit(data, data, FitRequest("binary", SMALL.get(name, {}))).predict(data)
    np.testing.assert_array_equal(data.numbers, before)


def test_catboost_scores_few_rows_as_it_scores_many() -> None:
    model = ALGORITHMS["catboost"].fit(make_dataset(300), None, FitRequest("binary", {"iterations": 20}))
    many = make_dataset(2_500, seed=4)
    few = [model.predict(many.take(np.arange(start, start + 250))) for start in range(0, 2_500, 250)]
    np.testing.assert_array_equal(np.concatenate(few), model.predict(many))
