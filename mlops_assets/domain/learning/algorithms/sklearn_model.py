"""A fitted scikit-learn estimator behind our preprocessing.

Belongs here: prediction, importances and storage (skops) shared by the scikit-learn plug-ins. Does not belong
here: the choice of estimator or of its hyperparameters.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mlops_assets.domain.errors import ModelIntegrityError
from mlops_assets.domain.learning.algorithms.preprocessing import Preprocessing
from mlops_assets.domain.learning.algorithms.protocol import Signature, require_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

MODEL_FILE = "model.skops"
PREPROCESSING_FILE = "preprocessing.json"
# Threads of gradient boosting meet after every tree: with few rows they only wait for each other, and on a busy machine
# for the processor as well.
_ROWS_A_THREAD = 50_000


@dataclass(frozen=True)
class SklearnModel:
    """Estimator and preprocessing, fitted together.

    Attributes:
        signature: what it was fitted on.
        preprocessing: fitted on the same training rows.
        estimator: fitted scikit-learn classifier or regressor.
        weights: importance per feature in the plug-in's own unit, non-negative.
    """

    signature: Signature
    preprocessing: Preprocessing
    estimator: Any
    weights: Mapping[str, float]

    def predict(self, dataset: Dataset, threads: int = 1) -> NDArray[np.float64]:
        """Predict with at most `threads` threads; shapes as in FittedModel."""
        self.signature.check(dataset)
        if dataset.rows == 0:
            # scikit-learn refuses empty input; an empty segment is no error to us.
            shape = (0, len(self.signature.classes)) if self.signature.task == "multiclass" else (0,)
            return np.empty(shape)
        matrix = self.preprocessing.transform(dataset)
        threads = min(threads, 1 + dataset.rows // _ROWS_A_THREAD)
        if hasattr(self.estimator, "n_jobs"):
            self.estimator.n_jobs = threads
        with limit_threads(threads):
            if self.signature.task in ("binary", "multiclass"):
                raw = self.estimator.predict_proba(matrix)
                return align_classes(raw, self.estimator.classes_, self.signature)
            return np.asarray(self.estimator.predict(matrix), dtype=np.float64)

    def feature_importances(self) -> dict[str, float]:
        """Return the weights as shares of 1."""
        whole = sum(self.weights.values())
        return {name: self.weights[name] / whole if whole > 0 else 0.0 for name in self.signature.features}

    def save(self, folder: Path) -> None:
        """Write `model.skops` and `preprocessing.json`."""
        import skops.io

        content = skops.io.dumps({"estimator": self.estimator, "weights": dict(self.weights)})
        (folder / MODEL_FILE).write_bytes(content)
        (folder / PREPROCESSING_FILE).write_text(self.preprocessing.to_json())


def sum_by_feature(column_features: Sequence[str], weights: NDArray[np.float64]) -> dict[str, float]:
    """Add up the weights of the matrix columns that come from the same feature."""
    totals = dict.fromkeys(column_features, 0.0)
    for feature, weight in zip(column_features, weights.tolist(), strict=True):
        totals[feature] += weight
    return totals


def load_sklearn_model(
    files: Mapping[str, bytes], signature: Signature, trusted: Sequence[str]
) -> SklearnModel:
    """Load a model whose file may only hold skops' own safe types and the `trusted` ones.

    Raises:
        NotFittedError: a file is absent.
        ModelIntegrityError: the file holds other types; nothing of it was built.
    """
    from zipfile import BadZipFile

    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    content = require_file(files, MODEL_FILE)
    try:
        state = skops.io.loads(content, trusted=list(trusted))
    except (BadZipFile, KeyError, ValueError) as error:  # a pickle, for example
        raise ModelIntegrityError(
            "the model file is no skops file", where=MODEL_FILE, remedy="do not use the file; retrain"
        ) from error
    except (UntrustedTypesFoundException, TypeError) as error:
        raise ModelIntegrityError(
            "the model file holds types that this algorithm never writes",
            where=MODEL_FILE,
            expected=f"only {sorted(trusted)} beyond plain ones",
            remedy="do not use the file; retrain",
        ) from error
    preprocessing = Preprocessing.from_json(require_file(files, PREPROCESSING_FILE))
    return SklearnModel(signature, preprocessing, state["estimator"], state["weights"])


def limit_threads(threads: int) -> AbstractContextManager[Any]:
    """Bound the OpenMP and BLAS threads that scikit-learn starts inside the block."""
    return cast("AbstractContextManager[Any]", _find_pools(len(sys.modules)).limit(limits=threads))


@lru_cache(maxsize=1)
def _find_pools(_modules: int) -> Any:
    """Return the thread pools of all loaded libraries; finding them takes as long as a small prediction."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def align_classes(
    raw: NDArray[Any], fitted_classes: NDArray[Any] | Sequence[float], signature: Signature
) -> NDArray[np.float64]:
    """Bring [rows x fitted classes] to P(1) [rows] or to [rows x signature.classes], absent ones being 0."""
    if signature.task == "binary":
        return np.asarray(raw[:, 1], dtype=np.float64)
    full = np.zeros((len(raw), len(signature.classes)))
    full[:, np.asarray(fitted_classes, dtype=np.int64)] = raw
    return full
