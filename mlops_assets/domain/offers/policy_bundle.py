"""A policy as a folder: one native CatBoost file an offer, and `policy.json` with the SHA-256 of every file.

Belongs here: writing and reading. Does not belong here: what a policy does (policies.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import ModelIntegrityError
from mlops_assets.domain.offers.decision_data import OfferAction
from mlops_assets.domain.offers.policies import LADDER, DistilledPolicy
from mlops_assets.domain.offers.tree_bundle import TreeBundle, load_tree_bundle, save_tree_bundle

POLICY_FILE = "policy.json"


def save_policy(folder: Path, policy: DistilledPolicy, stamps: Mapping[str, Any] | None = None) -> str:
    """Write a policy into a new or empty folder and return the SHA-256 of `policy.json`.

    Args:
        folder: to write to.
        policy: any.
        stamps: origin (use case, segment, run, hashes), JSON values.

    Raises:
        ModelIntegrityError: the folder holds something already.
    """
    header = {
        "kind": policy.kind,
        "columns": list(policy.columns),
        "choices": [asdict(choice) for choice in policy.choices],
        "stamps": dict(stamps or {}),
    }
    models = {f"choice_{position}": model for position, model in enumerate(policy.models)}
    return save_tree_bundle(folder, POLICY_FILE, TreeBundle(header, models))


def load_policy(folder: Path, expected_sha256: str) -> DistilledPolicy:
    """Verify every byte of a stored policy, then load it.

    Raises:
        ModelIntegrityError: a file is changed, missing, surplus or not readable; no loader has touched a changed one.
    """
    bundle = load_tree_bundle(folder, POLICY_FILE, expected_sha256)
    header = bundle.header
    if header["kind"] not in LADDER:
        raise ModelIntegrityError(
            f"policy {header['kind']!r} is unknown", where=str(folder), expected=", ".join(LADDER)
        )
    choices = tuple(OfferAction(**choice) for choice in header["choices"])
    models = tuple(bundle.models[f"choice_{position}"] for position in range(len(choices)))
    return DistilledPolicy(header["kind"], choices, tuple(header["columns"]), models)
