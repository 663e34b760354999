"""Logistic and ridge regression. Belongs here: the `linear` plug-in only.

Task quantile is not offered: scikit-learn's QuantileRegressor solves a linear programme over all rows, which
takes minutes from some ten thousand rows on; the boosted plug-ins have the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    import numpy as np
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.algorithms.sklearn_model import SklearnModel
    from mlops_assets.domain.learning.dataset import Dataset
    from mlops_assets.domain.learning.spec import Task


class LinearAlgorithm(Algorithm):
    """L2-penalised linear model on imputed, one-hot encoded, standardised columns."""

    name = "linear"
    version = "1"
    complexity = 1
    tasks = frozenset({"binary", "multiclass", "regression"})
    hyperparameters: Mapping[str, Hyperparameter] = {
        "inverse_penalty": Hyperparameter(1.0, 1e-6, 1e6, tasks=frozenset({"binary", "multiclass"})),
        "max_iterations": Hyperparameter(
            300, 10, 10_000, is_integer=True, tasks=frozenset({"binary", "multiclass"})
        ),
        "penalty": Hyperparameter(1.0, 0.0, 1e9, tasks=frozenset({"regression"})),
        "max_values_per_category": Hyperparameter(50, 1, 1_000, is_integer=True),
    }

    @override
    def fit(self, train: Dataset, validation: Dataset | None, request: FitRequest) -> SklearnModel:
        """Fit by L-BFGS (classification) or in closed form (regression); validation is not used."""
        from mlops_assets.domain.learning.algorithms.preprocessing import fit_preprocessing
        from mlops_assets.domain.learning.algorithms.sklearn_model import SklearnModel, limit_threads

        signature = make_signature(self, train, request)
        settings = self.complete_hyperparameters(request.hyperparameters, request.task)
        require_two_classes(train, request.task)
        preprocessing = fit_preprocessing(
            train,
            "one_hot",
            imputes=True,
            standardises=True,
            max_values=settings["max_values_per_category"],
        )
        estimator = _make_estimator(request.task, settings)
        matrix = preprocessing.transform(train)
        with limit_threads(request.threads):
            _fit_quietly(estimator, matrix, train.y)
            weights = _contribution_deviations(estimator, matrix, preprocessing.column_features)
        return SklearnModel(signature, preprocessing, estimator, weights)

    def load(self, files: Mapping[str, bytes], signature: Signature) -> SklearnModel:
        """Load; a linear model needs no types beyond skops' own list."""
        from mlops_assets.domain.learning.algorithms.sklearn_model import load_sklearn_model

        return load_sklearn_model(files, signature, trusted=())


def _contribution_deviations(
    estimator: Any, matrix: NDArray[np.float32], column_features: Sequence[str]
) -> dict[str, float]:
    """Standard deviation over the rows of what each feature adds to the score, averaged over classes.

    The sum of absolute coefficients would favour features with many categories, however empty.
    """
    import numpy as np

    coefficients = np.atleast_2d(estimator.coef_).astype(np.float32)
    owners = np.array(column_features)
    deviations: dict[str, float] = {}
    for feature in dict.fromkeys(column_features):
        columns = np.flatnonzero(owners == feature)
        deviations[feature] = float((matrix[:, columns] @ coefficients[:, columns].T).std(axis=0).mean())
    return deviations


def _make_estimator(task: Task, settings: Mapping[str, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if task == "regression":
        return Ridge(alpha=settings["penalty"])
    return LogisticRegression(C=settings["inverse_penalty"], max_iter=settings["max_iterations"])


def _fit_quietly(estimator: Any, matrix: Any, y: Any) -> None:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Stopping at max_iterations is regularisation, not a fault; the leaderboard judges the result.
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(matrix, y)
