"""A plug-in as somebody else would write it: one file, nothing but the protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from mlops_assets.domain.learning.algorithms.protocol import (
    Algorithm,
    FitRequest,
    Hyperparameter,
    Signature,
    make_signature,
    require_file,
    require_two_classes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

MODEL_FILE = "centroids.json"


@dataclass(frozen=True)
class CentroidModel:
    """Scores a row by how far it lies along the line from the centroid of label 0 to that of label 1."""

    signature: Signature
    middle: list[float]
    weights: list[float]

    def predict(self, dataset: Dataset, threads: int = 1) -> NDArray[np.float64]:  # noqa: ARG002 - protocol
        self.signature.check(dataset)
        numbers = np.asarray(dataset.numbers, dtype=np.float64)
        centred = np.where(np.isnan(numbers), 0.0, numbers - np.array(self.middle))
        return 1.0 / (1.0 + np.exp(-np.clip(centred @ np.array(self.weights), -30.0, 30.0)))

    def feature_importances(self) -> dict[str, float]:
        sizes = np.abs(self.weights) / np.abs(self.weights).sum()
        return dict(zip(self.signature.features, sizes.tolist(), strict=True))

    def save(self, folder: Path) -> None:
        kept = {name: value for name, value in asdict(self).items() if name != "signature"}
        (folder / MODEL_FILE).write_text(json.dumps(kept))


class CentroidAlgorithm(Algorithm):
    """Nearest centroid on standardised numbers, for binary labels."""

    name = "centroid"
    version = "1"
    complexity = 1
    tasks = frozenset({"binary"})
    hyperparameters: Mapping[str, Hyperparameter] = {"shrinkage": Hyperparameter(1.0, 0.01, 100.0)}

    @override
    def fit(self, train: Dataset, validation: Dataset | None, request: FitRequest) -> CentroidModel:
        signature = make_signature(self, train, request)
        settings = self.complete_hyperparameters(request.hyperparameters, request.task)
        require_two_classes(train, request.task)
        numbers = np.asarray(train.numbers, dtype=np.float64)
        middle, variance = np.nanmean(numbers, axis=0), np.nanvar(numbers, axis=0)
        gap = np.nanmean(numbers[train.y == 1], axis=0) - np.nanmean(numbers[train.y == 0], axis=0)
        weights = gap / (variance + settings["shrinkage"] * variance.mean() * 1e-6)
        return CentroidModel(signature, middle.tolist(), weights.tolist())

    def load(self, files: Mapping[str, bytes], signature: Signature) -> CentroidModel:
        return CentroidModel(signature, **json.loads(require_file(files, MODEL_FILE)))
