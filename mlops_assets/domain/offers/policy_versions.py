"""Policies in the model registry: verified before anything reads them.

Belongs here: fetching and loading a version. Does not belong here: which version is champion (the ledger), or the
folder's form (policy_bundle.py).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlops_assets.domain.offers.policies import DistilledPolicy
from mlops_assets.domain.offers.policy_bundle import load_policy
from mlops_assets.domain.ports import ModelRegistry, ModelSlot

# Stored policies never change, so a process verifies and loads each of them once.
_loaded: dict[str, DistilledPolicy] = {}


def load_policy_version(
    registry: ModelRegistry, slot: ModelSlot, version: str, bundle_sha256: str
) -> DistilledPolicy:
    """Fetch, verify and load a version of a policy.

    Args:
        registry: holds the bundle.
        slot: use case, agent and segment.
        version: registry version.
        bundle_sha256: the hash that the ledger (or the challenger's record) names.

    Raises:
        ModelIntegrityError: a file differs from its hash; nothing was loaded.
        RegistryError: the registry does not have the version.
    """
    if bundle_sha256 not in _loaded:
        with tempfile.TemporaryDirectory(prefix="mlops-policy-") as folder:
            fetched = registry.download(
                registry.version(slot.registered_name, version), Path(folder) / "bundle"
            )
            _loaded[bundle_sha256] = load_policy(fetched, bundle_sha256)
    return _loaded[bundle_sha256]
