"""What a model has seen, so that nobody tests it on rows it learned from.

Belongs here: the record of a model's training rows and the test whether a row is among them. Does not
belong here: planning splits (splits.py) or the decision that follows (gate.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.splits import hash_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

_PURPOSE = "exposure"


@dataclass(frozen=True, eq=False)
class Exposure:
    """Rows used to fit, tune or calibrate a model. Exactly one of the two fields is set.

    Attributes:
        trained_through_day: last day whose labels were seen (time splits).
        key_hashes: sorted uint64 hashes of the entity keys seen (hash splits of snapshots).
    """

    trained_through_day: dt.date | None = None
    key_hashes: NDArray[np.uint64] | None = None

    def __post_init__(self) -> None:
        """Refuse a record that says nothing or two things."""
        if (self.trained_through_day is None) == (self.key_hashes is None):
            raise LearningError(
                "a model's exposure is not known",
                expected="either the last day or the keys that it has seen",
                remedy="pass the split plan's `trained_through_day`, or the keys of the rows",
            )


def exposure_to_keys(keys: Sequence[Any] | NDArray[Any]) -> Exposure:
    """Record the keys of the train and validation rows of a hash split."""
    return Exposure(key_hashes=np.sort(hash_keys([str(key) for key in keys], _PURPOSE)))


def exposure_of(trained_through_day: dt.date | None, *seen: Dataset) -> Exposure:
    """Return the record of a model that has seen these parts of a corpus.

    Args:
        trained_through_day: of a time split's plan; None for a hash split, then the parts' keys are recorded.
        seen: train and validation.
    """
    if trained_through_day is not None:
        return Exposure(trained_through_day=trained_through_day)
    return exposure_to_keys(np.concatenate([part.keys for part in seen]))


def join_exposures(first: Exposure, second: Exposure) -> Exposure:
    """Return the record of a model that has seen what two others have.

    Raises:
        LearningError: one knows days, the other keys.
    """
    if first.trained_through_day is not None and second.trained_through_day is not None:
        return Exposure(trained_through_day=max(first.trained_through_day, second.trained_through_day))
    if first.key_hashes is not None and second.key_hashes is not None:
        return Exposure(key_hashes=np.union1d(first.key_hashes, second.key_hashes))
    raise LearningError(
        "it cannot be told which rows the model has seen",
        expected="two records of days, or two of keys",
        remedy="keep one kind of split for a model, or fit from nothing",
    )


def find_seen_rows(exposure: Exposure, dataset: Dataset) -> NDArray[np.bool_]:
    """Return the mask [rows] of the rows whose label the model may have seen.

    A label window opens after its as-of day, hence a row is unseen if its as-of day is not before the last
    seen day.

    Raises:
        LearningError: the model was trained by day but the rows carry no as-of day.
    """
    if exposure.key_hashes is not None:
        hashes = hash_keys([str(key) for key in dataset.keys], _PURPOSE)
        return np.isin(hashes, exposure.key_hashes)
    if dataset.as_of is None:
        raise LearningError(
            "it cannot be told which rows the model has seen",
            expected="rows with an as-of day, since the model was trained on a time split",
            remedy="keep one kind of split for a model; a model trained under another one cannot be compared",
        )
    return np.asarray(dataset.as_of < np.datetime64(exposure.trained_through_day, "D"))
