"""The algorithms a model may name in its configuration.

A new algorithm is one file beside this one and one line below. Importing this package loads neither numpy
nor any learning library: a plug-in imports what it needs when it fits, loads or predicts.
"""

from __future__ import annotations

from mlops_assets.domain.learning.algorithms.catboost import CatBoostAlgorithm
from mlops_assets.domain.learning.algorithms.dummy import DummyAlgorithm
from mlops_assets.domain.learning.algorithms.hist_gradient_boosting import HistGradientBoostingAlgorithm
from mlops_assets.domain.learning.algorithms.linear import LinearAlgorithm
from mlops_assets.domain.learning.algorithms.protocol import (
    Algorithm,
    ContinuableAlgorithm,
    FitRequest,
    FittedModel,
    Signature,
    find_algorithm,
)
from mlops_assets.domain.learning.algorithms.random_forest import RandomForestAlgorithm

__all__ = [
    "ALGORITHMS",
    "BASELINE",
    "CONTINUABLE",
    "Algorithm",
    "FitRequest",
    "FittedModel",
    "Signature",
    "find_algorithm",
]

BASELINE = "dummy"
ALGORITHMS: dict[str, Algorithm] = {
    "dummy": DummyAlgorithm(),
    "linear": LinearAlgorithm(),
    "random_forest": RandomForestAlgorithm(),
    "hist_gradient_boosting": HistGradientBoostingAlgorithm(),
    "catboost": CatBoostAlgorithm(),
}
# Those whose models can be continued after drift.
CONTINUABLE: dict[str, ContinuableAlgorithm] = {"catboost": CatBoostAlgorithm()}
