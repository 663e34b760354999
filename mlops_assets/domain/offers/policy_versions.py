"""Policies in the model registry: verified before anything reads them, and with what is expected of their offers.

The world that judged a policy is registered beside it: its chance of an answer is what each offer is expected to bring.
Which world that is stands in the policy's own stamps, which the ledger's hash covers.

Belongs here: fetching and loading a version. Does not belong here: which version is champion (the ledger), or the
folders' form (policy_bundle.py, simulator_bundle.py).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from mlops_assets.domain.offers.policies import DistilledPolicy
from mlops_assets.domain.offers.policy_bundle import POLICY_FILE, load_policy
from mlops_assets.domain.offers.serving_policy import LoadedPolicy
from mlops_assets.domain.offers.simulator import Simulator
from mlops_assets.domain.offers.simulator_bundle import load_simulator
from mlops_assets.domain.ports import LedgerEntry, ModelRegistry, ModelSlot

WORLD_VERSION_STAMP, WORLD_SHA256_STAMP = "world_version", "judging_simulator_sha256"

# What is stored never changes, so a process verifies and loads each of them once.
_policies: dict[str, tuple[DistilledPolicy, dict[str, str]]] = {}
_worlds: dict[str, Simulator] = {}


def world_name(slot: ModelSlot) -> str:
    """Return the name under which the worlds of a slot's policies are registered."""
    return f"{slot.registered_name}.world"


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
    return _load(registry, slot, version, bundle_sha256)[0]


def load_serving_policy(registry: ModelRegistry, entry: LedgerEntry) -> LoadedPolicy:
    """Load a champion with the world that expects answers to its offers.

    Args:
        registry: holds both.
        entry: that made it champion.

    Raises:
        ModelIntegrityError: a file of either differs from its hash; nothing was loaded.
        RegistryError: the registry does not have one of them.
    """
    policy, stamps = _load(registry, entry.slot, entry.version, entry.bundle_sha256)
    version, sha256 = stamps.get(WORLD_VERSION_STAMP), stamps.get(WORLD_SHA256_STAMP)
    if not version or not sha256:
        return LoadedPolicy(policy)
    if sha256 not in _worlds:
        with tempfile.TemporaryDirectory(prefix="mlops-policy-") as folder:
            found = registry.version(world_name(entry.slot), version)
            _worlds[sha256] = load_simulator(registry.download(found, Path(folder) / "world"), sha256)
    return LoadedPolicy(policy, _worlds[sha256])


def _load(
    registry: ModelRegistry, slot: ModelSlot, version: str, bundle_sha256: str
) -> tuple[DistilledPolicy, dict[str, str]]:
    if bundle_sha256 not in _policies:
        with tempfile.TemporaryDirectory(prefix="mlops-policy-") as folder:
            found = registry.version(slot.registered_name, version)
            fetched = registry.download(found, Path(folder) / "bundle")
            policy = load_policy(fetched, bundle_sha256)
            stamps = json.loads((fetched / POLICY_FILE).read_bytes())["header"]["stamps"]
            _policies[bundle_sha256] = policy, stamps
    return _policies[bundle_sha256]
