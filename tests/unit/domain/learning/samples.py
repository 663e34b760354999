"""Small data sets with a known signal, and models that predict what a test tells them to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from mlops_assets.domain.learning.algorithms import Signature
from mlops_assets.domain.learning.dataset import CategoryColumn, Dataset, LabelColumn, dataset_from_arrow
from mlops_assets.domain.learning.exposure import Exposure
from mlops_assets.domain.learning.spec import ModelSpec, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEATURES = ["usage_mb", "noise", "topups", "plan", "is_roaming"]
CLASSES = ("high", "low", "mid")
TRAINED_THROUGH = dt.date(2026, 3, 1)
HOLDOUT_DAY = dt.date(2026, 3, 1)


def make_table(rows: int, task: Task = "binary", seed: int = 0) -> pa.Table:
    """Return features with gaps and a label that depends on usage_mb and plan."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 3))
    plans = random.choice(["basic", "plus", "pro"], rows)
    signal = numbers[:, 0] * 1.5 + (plans == "pro") + random.normal(size=rows) * 0.5
    numbers[random.random((rows, 3)) < 0.1] = np.nan
    labels = {
        "binary": (signal > 0.3).astype(np.int64),
        "multiclass": np.array(["low", "mid", "high"])[np.digitize(signal, [-0.5, 1.0])],
        "regression": signal,
        "quantile": signal,
    }
    return pa.table(
        {
            "subscriber_id": [f"s{number}" for number in range(rows)],
            "usage_mb": pa.array(numbers[:, 0], from_pandas=True),
            "noise": pa.array(numbers[:, 1], from_pandas=True),
            "topups": pa.array(numbers[:, 2], from_pandas=True),
            "plan": pa.array([None if random.random() < 0.05 else plan for plan in plans]),
            "is_roaming": pa.array(random.random(rows) < 0.3),
            "label": pa.array(labels[task]),
            "region": pa.array(random.choice(["north", "south"], rows)),
        }
    )


def make_dataset(rows: int, task: Task = "binary", seed: int = 0) -> Dataset:
    """Return `make_table` as a dataset."""
    return dataset_from_arrow(
        make_table(rows, task, seed),
        FEATURES,
        LabelColumn("label", task, classes=CLASSES if task == "multiclass" else ()),
        key_column="subscriber_id",
        segment_columns=["region"],
    )


def make_spec(**changes: object) -> ModelSpec:
    """Return a small binary model spec."""
    base = {
        "task": "binary",
        "label": {"kind": "column", "column": "label"},
        "features": FEATURES,
        "algorithms": {"linear": {}},
        "metric": "roc_auc",
    }
    return ModelSpec.model_validate(base | changes)


def make_holdout(
    y: Sequence[float] | NDArray[np.float64], day: dt.date = HOLDOUT_DAY, segments: Sequence[str] = ()
) -> Dataset:
    """Return rows with given labels; the one feature is the row number, which ScriptedModel looks up."""
    labels = np.asarray(y, dtype=np.float64)
    return Dataset(
        features=("row",),
        numbers=np.asfortranarray(np.arange(len(labels), dtype=np.float32)[:, None]),
        categories={},
        y=labels,
        keys=np.array([f"s{number}" for number in range(len(labels))], dtype=object),
        as_of=np.full(len(labels), np.datetime64(day, "D")),
        segment_values={"region": np.array(segments, dtype=object)} if segments else {},
    )


@dataclass(frozen=True, eq=False)
class ScriptedModel:
    """Predicts the scripted value of each row, or raises the scripted error."""

    scores: NDArray[np.float64]
    exposure: Exposure = field(default_factory=lambda: Exposure(trained_through_day=TRAINED_THROUGH))
    error: Exception | None = None
    bundle_sha256: str = "c" * 64
    signature: Signature = field(default_factory=lambda: Signature("binary", ("row",), ()))

    def predict(self, dataset: Dataset, threads: int = 1) -> NDArray[np.float64]:  # noqa: ARG002 - protocol
        if self.error is not None:
            raise self.error
        return np.asarray(self.scores[dataset.numbers[:, 0].astype(np.int64)], dtype=np.float64)


def make_categories(values: Sequence[str]) -> CategoryColumn:
    """Return a category column with the vocabulary in order of appearance."""
    vocabulary = tuple(dict.fromkeys(values))
    return CategoryColumn(np.array([vocabulary.index(value) for value in values], dtype=np.int32), vocabulary)
