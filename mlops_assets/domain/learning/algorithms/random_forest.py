"""Random forest of scikit-learn. Belongs here: the `random_forest` plug-in only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from mlops_assets.domain.learning.algorithms.protocol import (
    Algorithm,
    FitRequest,
    Hyperparameter,
    Signature,
    make_signature,
    require_two_classes,
)

if TYPE_CHECKING:
    from mlops_assets.domain.learning.algorithms.sklearn_model import SklearnModel
    from mlops_assets.domain.learning.dataset import Dataset

_TRUSTED = ("sklearn.tree._tree.Tree",)


class RandomForestAlgorithm(Algorithm):
    """Averaged deep trees on imputed, ordinal encoded columns."""

    name = "random_forest"
    version = "1"
    complexity = 2
    tasks = frozenset({"binary", "multiclass", "regression"})
    hyperparameters: Mapping[str, Hyperparameter] = {
        "trees": Hyperparameter(100, 1, 2_000, is_integer=True),
        "max_depth": Hyperparameter(None, 1, 100, is_integer=True),
        "min_rows_per_leaf": Hyperparameter(30, 1, 100_000, is_integer=True),
        "max_features_share": Hyperparameter(0.2, 0.01, 1.0),
        "rows_share": Hyperparameter(0.3, 0.01, 1.0),
        "max_values_per_category": Hyperparameter(250, 1, 10_000, is_integer=True),
    }

    @override
    def fit(self, train: Dataset, validation: Dataset | None, request: FitRequest) -> SklearnModel:
        """Fit the forest; validation is not used."""
        from mlops_assets.domain.learning.algorithms.preprocessing import fit_preprocessing
        from mlops_assets.domain.learning.algorithms.sklearn_model import SklearnModel, sum_by_feature

        signature = make_signature(self, train, request)
        settings = self.complete_hyperparameters(request.hyperparameters, request.task)
        require_two_classes(train, request.task)
        preprocessing = fit_preprocessing(
            train,
            "ordinal",
            imputes=True,
            standardises=False,
            max_values=settings["max_values_per_category"],
        )
        estimator = _make_estimator(settings, request)
        estimator.fit(preprocessing.transform(train), train.y)
        weights = sum_by_feature(preprocessing.column_features, estimator.feature_importances_)
        return SklearnModel(signature, preprocessing, estimator, weights)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> SklearnModel:
        """Load; scikit-learn's compiled tree is the one extra type."""
        from mlops_assets.domain.learning.algorithms.sklearn_model import load_sklearn_model

        return load_sklearn_model(files, signature, _TRUSTED)


def _make_estimator(settings: Mapping[str, Any], request: FitRequest) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    make = RandomForestRegressor if request.task == "regression" else RandomForestClassifier
    return make(
        n_estimators=settings["trees"],
        max_depth=settings["max_depth"],
        min_samples_leaf=settings["min_rows_per_leaf"],
        max_features=float(settings["max_features_share"]),
        max_samples=float(settings["rows_share"]),
        random_state=request.seed,
        n_jobs=request.threads,
    )
