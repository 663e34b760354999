"""A trained model as a folder of verified files.

Belongs here: writing and reading the folder, and the scorer that comes out of it. Does not belong here: where
bundles are kept (the registry) or which of them serves (the ledger).

`bundle.json` names every other file with its SHA-256; the SHA-256 of `bundle.json` itself is the bundle's
identity, so it covers models, stamps and signature alike. Files are read once: the bytes that were
hashed are the bytes that the native loader gets.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.domain.errors import LearningError, ModelIntegrityError
from mlops_assets.domain.learning.algorithms import ALGORITHMS, FittedModel, Signature, find_algorithm
from mlops_assets.domain.learning.calibration import Calibration
from mlops_assets.domain.learning.exposure import Exposure
from mlops_assets.domain.learning.training_ranges import RANGES_FILE, TrainingRanges
from mlops_assets.domain.learning.verified_files import (
    make_empty_folder,
    read_listed,
    read_plain,
    require_sha256,
    write_index,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlops_assets.domain.learning.dataset import Dataset

INDEX_FILE = "bundle.json"
CALIBRATION_FILE = "calibration.json"
SEEN_KEYS_FILE = "seen_keys.npy"
_FORMAT = 1
# Bundles never change and a native load takes seconds (skops): steps, cards, packages and the days of a replay share
# one. More than the slots of a platform are kept, or each day would push out what the next one asks for first.
_MOST_KEPT = 256
_kept: dict[str, Scorer] = {}
_keeping = threading.Lock()
_SAFE_NAME = re.compile(r"[a-z0-9_]+\.[a-z0-9]+")


@dataclass(frozen=True, eq=False)
class Scorer:
    """A model with its calibration, ready to score.

    Attributes:
        algorithm: key in ALGORITHMS.
        model: fitted model.
        calibration: applied to a binary model's probabilities; None for none.
        exposure: rows that the model has seen.
        stamps: origin (use case, model, segment, run, commit, hashes), JSON values.
        metrics: figures measured when it was trained; for people, never for the gate.
        bundle_sha256: identity of the stored bundle, empty before it is stored.
        ranges: values met in training; None in bundles that were stored before ranges were recorded.
    """

    algorithm: str
    model: FittedModel
    calibration: Calibration | None
    exposure: Exposure
    stamps: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    bundle_sha256: str = ""
    ranges: TrainingRanges | None = None

    @property
    def signature(self) -> Signature:
        """What the model asks for."""
        return self.model.signature

    @property
    def features(self) -> tuple[str, ...]:
        """Feature names in order."""
        return self.signature.features

    @property
    def categorical(self) -> tuple[str, ...]:
        """Features that are text."""
        return self.signature.categorical

    @property
    def importances(self) -> dict[str, float]:
        """Share of each feature, summing to 1."""
        return self.model.feature_importances()

    def predict(self, dataset: Dataset, threads: int = 1) -> NDArray[np.float64]:
        """Predict: binary P(1) [rows], multiclass [rows x classes], else value [rows].

        Raises:
            LearningError: other features than the model's, or a prediction that is not a finite number.
        """
        predictions = self.model.predict(dataset, threads)
        if self.calibration is not None:
            predictions = self.calibration.apply(predictions)
        is_finite = np.isfinite(predictions)
        if not is_finite.all():
            raise LearningError(
                f"{int((~is_finite).sum())} predictions are not finite",
                where=f"{self.algorithm}, {dataset.rows} rows",
                expected="a finite number for every row",
                remedy="do not use this model; look at the features of those rows",
            )
        return predictions


def save_bundle(folder: Path, scorer: Scorer) -> str:
    """Write a scorer into a new or empty folder and return the bundle's SHA-256.

    Raises:
        ModelIntegrityError: the folder holds something already.
    """
    make_empty_folder(folder)
    scorer.model.save(folder)
    if scorer.calibration is not None:
        (folder / CALIBRATION_FILE).write_text(scorer.calibration.to_json())
    if scorer.exposure.key_hashes is not None:
        np.save(folder / SEEN_KEYS_FILE, scorer.exposure.key_hashes, allow_pickle=False)
    if scorer.ranges is not None:
        (folder / RANGES_FILE).write_text(scorer.ranges.to_json())
    return write_index(folder, INDEX_FILE, _describe(scorer))


def find_kept(bundle_sha256: str) -> Scorer | None:
    """Return a bundle that this process has verified and loaded before, None if it is not kept."""
    return _kept.get(bundle_sha256)


def load_bundle(folder: Path, expected_sha256: str) -> Scorer:
    """Verify every byte of a bundle, then load it; equal bytes are loaded once by a process (the newest 256 are kept).

    Raises:
        ModelIntegrityError: a file is changed, missing, surplus or not a plain file; nothing was loaded.
    """
    content = read_plain(folder, INDEX_FILE)
    require_sha256(content, expected_sha256, folder / INDEX_FILE)
    index = json.loads(content)
    if index.get("format") != _FORMAT:
        raise ModelIntegrityError(
            f"bundle format {index.get('format')} is unknown", where=str(folder), expected=str(_FORMAT)
        )
    files = _read_verified(folder, index["files"])
    return find_kept(expected_sha256) or _keep(_assemble(index, files, expected_sha256))


def _keep(scorer: Scorer) -> Scorer:
    with _keeping:
        while len(_kept) >= _MOST_KEPT:
            del _kept[next(iter(_kept))]
        _kept[scorer.bundle_sha256] = scorer
    return scorer


def _describe(scorer: Scorer) -> dict[str, Any]:
    signature, through = scorer.signature, scorer.exposure.trained_through_day
    return {
        "format": _FORMAT,
        "algorithm": scorer.algorithm,
        "algorithm_version": find_algorithm(scorer.algorithm, ALGORITHMS).version,
        "signature": {
            "task": signature.task,
            "features": signature.features,
            "categorical": signature.categorical,
            "classes": signature.classes,
            "quantile": signature.quantile,
        },
        "trained_through_day": through.isoformat() if through else None,
        "importances": scorer.importances,
        "metrics": dict(scorer.metrics),
        "stamps": dict(scorer.stamps),
    }


def _read_verified(folder: Path, listed: Mapping[str, str]) -> dict[str, bytes]:
    unsafe = sorted(name for name in listed if not _SAFE_NAME.fullmatch(name))
    if unsafe:
        raise ModelIntegrityError(
            f"file names {unsafe} are refused", where=str(folder), expected="plain names"
        )
    return read_listed(folder, listed, besides=[INDEX_FILE])


def _assemble(index: Mapping[str, Any], files: Mapping[str, bytes], bundle_sha256: str) -> Scorer:
    raw = index["signature"]
    signature = Signature(
        raw["task"], tuple(raw["features"]), tuple(raw["categorical"]), tuple(raw["classes"]), raw["quantile"]
    )
    return Scorer(
        algorithm=index["algorithm"],
        model=find_algorithm(index["algorithm"], ALGORITHMS).load(files, signature),
        calibration=Calibration.from_json(files[CALIBRATION_FILE]) if CALIBRATION_FILE in files else None,
        exposure=_read_exposure(index, files),
        stamps=index["stamps"],
        metrics=index["metrics"],
        bundle_sha256=bundle_sha256,
        ranges=TrainingRanges.from_json(files[RANGES_FILE]) if RANGES_FILE in files else None,
    )


def _read_exposure(index: Mapping[str, Any], files: Mapping[str, bytes]) -> Exposure:
    if SEEN_KEYS_FILE in files:
        return Exposure(key_hashes=np.load(io.BytesIO(files[SEEN_KEYS_FILE]), allow_pickle=False))
    day = index["trained_through_day"]
    return Exposure(trained_through_day=dt.date.fromisoformat(day) if day else None)
