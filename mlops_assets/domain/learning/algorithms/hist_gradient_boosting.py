"""Histogram gradient boosting of scikit-learn. Belongs here: the `hist_gradient_boosting` plug-in only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from mlops_assets.domain.learning.algorithms.protocol import (
    Algorithm,
    FitRequest,
    Hyperparameter,
    Signature,
    find_stopping_rows,
    make_signature,
    require_two_classes,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.algorithms.preprocessing import Preprocessing
    from mlops_assets.domain.learning.algorithms.sklearn_model import SklearnModel
    from mlops_assets.domain.learning.dataset import Dataset

_TRUSTED = (
    # The estimator's own encoder of categorical columns is a partial of this one checking function.
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
)
_MAX_CATEGORIES = 254


class HistGradientBoostingAlgorithm(Algorithm):
    """Boosted trees with native categories (up to 254, rarer ones count as missing) and native NaN."""

    name = "hist_gradient_boosting"
    version = "1"
    complexity = 3
    tasks = frozenset({"binary", "multiclass", "regression", "quantile"})
    hyperparameters: Mapping[str, Hyperparameter] = {
        "iterations": Hyperparameter(300, 1, 10_000, is_integer=True),
        "learning_rate": Hyperparameter(0.06, 1e-4, 1.0),
        "max_leaves": Hyperparameter(15, 2, 1_000, is_integer=True),
        "max_depth": Hyperparameter(None, 1, 100, is_integer=True),
        "min_rows_per_leaf": Hyperparameter(40, 1, 100_000, is_integer=True),
        "l2_penalty": Hyperparameter(1.0, 0.0, 1e6),
        "max_features_share": Hyperparameter(1.0, 0.01, 1.0),
        "early_stopping_rounds": Hyperparameter(20, 1, 1_000, is_integer=True),
    }

    @override
    def fit(self, train: Dataset, validation: Dataset | None, request: FitRequest) -> SklearnModel:
        """Fit; growth stops when the loss on validation (if given) has not improved for some rounds."""
        from mlops_assets.domain.learning.algorithms.preprocessing import fit_preprocessing
        from mlops_assets.domain.learning.algorithms.sklearn_model import (
            SklearnModel,
            limit_threads,
            sum_by_feature,
        )

        signature = make_signature(self, train, request)
        settings = self.complete_hyperparameters(request.hyperparameters, request.task)
        require_two_classes(train, request.task)
        preprocessing = fit_preprocessing(
            train, "ordinal", imputes=False, standardises=False, max_values=_MAX_CATEGORIES
        )
        stopping = find_stopping_rows(train, validation, request.task)
        estimator = _make_estimator(
            signature, preprocessing, settings, request.seed, stops_early=stopping is not None
        )
        held: dict[str, Any] = {}
        if stopping is not None:
            held = {"X_val": preprocessing.transform(stopping), "y_val": stopping.y}
        with limit_threads(request.threads):
            estimator.fit(preprocessing.transform(train), train.y, **held)
        weights = sum_by_feature(preprocessing.column_features, _total_gains(estimator))
        return SklearnModel(signature, preprocessing, estimator, weights)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> SklearnModel:
        """Load; only the types listed at the top of this file are accepted beyond plain ones."""
        from mlops_assets.domain.learning.algorithms.sklearn_model import load_sklearn_model

        return load_sklearn_model(files, signature, _TRUSTED)


def _make_estimator(
    signature: Signature,
    preprocessing: Preprocessing,
    settings: Mapping[str, Any],
    seed: int,
    *,
    stops_early: bool,
) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    is_category = [True] * len(preprocessing.categorical) + [False] * len(preprocessing.numeric)
    shared = {
        "max_iter": settings["iterations"],
        "learning_rate": settings["learning_rate"],
        "max_leaf_nodes": settings["max_leaves"],
        "max_depth": settings["max_depth"],
        "min_samples_leaf": settings["min_rows_per_leaf"],
        "l2_regularization": settings["l2_penalty"],
        "max_features": float(settings["max_features_share"]),
        "n_iter_no_change": settings["early_stopping_rounds"],
        "early_stopping": stops_early,
        "categorical_features": is_category if any(is_category) else None,
        "random_state": seed,
    }
    if signature.task in ("binary", "multiclass"):
        return HistGradientBoostingClassifier(**shared)
    if signature.task == "quantile":
        return HistGradientBoostingRegressor(loss="quantile", quantile=signature.quantile, **shared)
    return HistGradientBoostingRegressor(**shared)


def _total_gains(estimator: Any) -> NDArray[np.float64]:
    import numpy as np

    # scikit-learn publishes no importances for this estimator; the split gains are in its trees. Our matrix
    # has the categorical columns first, the order in which the estimator numbers its columns too.
    gains = np.zeros(estimator.n_features_in_)
    for trees in estimator._predictors:  # noqa: SLF001
        for tree in trees:
            splits = tree.nodes[tree.nodes["is_leaf"] == 0]
            np.add.at(gains, splits["feature_idx"], splits["gain"])
    return np.maximum(gains, 0.0)
