"""Baseline that ignores every feature. Belongs here: the `dummy` plug-in and its JSON file, nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from mlops_assets.domain.learning.algorithms.protocol import (
    Algorithm,
    FitRequest,
    Hyperparameter,
    Signature,
    make_signature,
    require_file,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

MODEL_FILE = "model.json"


@dataclass(frozen=True)
class DummyModel:
    """Predicts the same for every row: class shares, the mean, or the quantile of the training label."""

    signature: Signature
    constant: tuple[float, ...]

    def predict(self, dataset: Dataset, threads: int = 1) -> NDArray[np.float64]:  # noqa: ARG002 - protocol
        """Repeat the constant for each row."""
        import numpy as np

        self.signature.check(dataset)
        if self.signature.task == "multiclass":
            return np.tile(np.array(self.constant), (dataset.rows, 1))
        return np.full(dataset.rows, self.constant[0])

    def feature_importances(self) -> dict[str, float]:
        """Return 0 for every feature."""
        return dict.fromkeys(self.signature.features, 0.0)

    def save(self, folder: Path) -> None:
        """Write the constant as JSON."""
        (folder / MODEL_FILE).write_text(json.dumps({"constant": self.constant}))


class DummyAlgorithm(Algorithm):
    """The floor that every other algorithm has to clear."""

    name = "dummy"
    version = "1"
    complexity = 0
    tasks = frozenset({"binary", "multiclass", "regression", "quantile"})
    hyperparameters: Mapping[str, Hyperparameter] = {}

    @override
    def fit(self, train: Dataset, validation: Dataset | None, request: FitRequest) -> DummyModel:
        """Take the constant from the training label."""
        signature = make_signature(self, train, request)
        self.validate_hyperparameters(request.hyperparameters, request.task)
        return DummyModel(signature, best_constant(train.y, signature))

    def load(self, files: Mapping[str, bytes], signature: Signature) -> DummyModel:
        """Read the constant."""
        return DummyModel(signature, tuple(json.loads(require_file(files, MODEL_FILE))["constant"]))


def best_constant(y: NDArray[np.float64], signature: Signature) -> tuple[float, ...]:
    """Return the constant prediction that fits the labels [rows] best: shares, mean or quantile."""
    import numpy as np

    if signature.task == "multiclass":
        shares = np.bincount(y.astype(np.int64), minlength=len(signature.classes)) / len(y)
        return tuple(shares.tolist())
    if signature.quantile is not None:
        return (float(np.quantile(y, signature.quantile)),)
    return (float(y.mean()),)
