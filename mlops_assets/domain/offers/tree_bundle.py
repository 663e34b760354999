"""Tree models and arrays as a folder of native files that is verified before anything interprets it.

Belongs here: writing and reading such a folder. Does not belong here: what its models mean (policy_bundle.py,
simulator_bundle.py).

The index file names every other file with its SHA-256; the SHA-256 of the index is the identity of the whole.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from mlops_assets.domain.errors import ModelIntegrityError
from mlops_assets.domain.learning.verified_files import (
    make_empty_folder,
    read_listed,
    read_plain,
    require_sha256,
    write_index,
)
from mlops_assets.domain.offers.tree_models import Kind, TreeModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMAT = 1
_SAFE_NAME = re.compile(r"[a-z0-9_]+\.(cbm|npy)")


@dataclass(frozen=True, eq=False)
class TreeBundle:
    """What a folder holds: a header of JSON values, models and arrays by name (lower case, digits, underscores)."""

    header: Mapping[str, Any]
    models: Mapping[str, TreeModel]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def save_tree_bundle(folder: Path, index_file: str, bundle: TreeBundle) -> str:
    """Write a bundle into a new or empty folder and return the SHA-256 of its index.

    Raises:
        ModelIntegrityError: the folder holds something already.
    """
    make_empty_folder(folder)
    for name, model in bundle.models.items():
        if model.booster is not None:
            model.booster.save_model(str(folder / f"{name}.cbm"), format="cbm")
    for name, array in bundle.arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    index = {
        "format": _FORMAT,
        "header": dict(bundle.header),
        "models": {name: _describe(model) for name, model in bundle.models.items()},
    }
    return write_index(folder, index_file, index)


def load_tree_bundle(folder: Path, index_file: str, expected_sha256: str) -> TreeBundle:
    """Verify every byte of a bundle, then load it.

    Raises:
        ModelIntegrityError: a file is changed, missing, surplus, not a plain file or not readable by its loader.
    """
    content = read_plain(folder, index_file)
    require_sha256(content, expected_sha256, folder / index_file)
    index = json.loads(content)
    if index.get("format") != _FORMAT:
        raise ModelIntegrityError(
            f"bundle format {index.get('format')} is unknown", where=str(folder), expected=str(_FORMAT)
        )
    unsafe = sorted(name for name in index["files"] if not _SAFE_NAME.fullmatch(name))
    if unsafe:
        raise ModelIntegrityError(
            f"file names {unsafe} are refused", where=str(folder), expected="plain names"
        )
    files = read_listed(folder, index["files"], besides=[index_file])
    arrays = {
        name.removesuffix(".npy"): np.load(io.BytesIO(found), allow_pickle=False)
        for name, found in files.items()
        if name.endswith(".npy")
    }
    models = {name: _load_model(name, told, files) for name, told in index["models"].items()}
    return TreeBundle(index["header"], models, arrays)


def _describe(model: TreeModel) -> dict[str, Any]:
    return {
        "kind": model.kind,
        "has_trees": model.booster is not None,
        "constant": model.constant.tolist(),
        "scale": model.scale.tolist(),
        "shift": model.shift.tolist(),
    }


def _load_model(name: str, told: Mapping[str, Any], files: Mapping[str, bytes]) -> TreeModel:
    import catboost

    if told["kind"] not in get_args(Kind):
        raise ModelIntegrityError(f"model kind {told['kind']!r} is unknown", where=name)
    booster, file = None, f"{name}.cbm"
    if told["has_trees"]:
        if file not in files:
            raise ModelIntegrityError("the index names a model without a file", where=file)
        booster = catboost.CatBoost()
        try:
            booster.load_model(blob=files[file], format="cbm")
        except catboost.CatBoostError as error:
            raise ModelIntegrityError(f"CatBoost cannot read the model: {error}", where=file) from error
    constant, scale, shift = (
        np.asarray(told[key], dtype=np.float64) for key in ("constant", "scale", "shift")
    )
    return TreeModel(told["kind"], constant, booster, scale, shift)
