"""From the ledger's entry of a policy to the policy that serves.

Belongs here: loading it. Does not belong here: who is champion (the ledger), what a policy does (policies.py).
"""

from __future__ import annotations

from mlops_assets.domain.offers.policy_versions import load_policy_version
from mlops_assets.domain.offers.serving_policy import LoadedPolicy, PolicyLoader
from mlops_assets.domain.ports import Lake, LedgerEntry, ModelRegistry


def build_policy_loader(*, lake: Lake, registry: ModelRegistry) -> PolicyLoader:
    """Return what loads a champion, verified.

    Args:
        lake: holds the simulators, one of which expects the answers.
        registry: holds the policies.
    """

    def load(entry: LedgerEntry) -> LoadedPolicy:
        policy = load_policy_version(registry, entry.slot, entry.version, entry.bundle_sha256)
        return LoadedPolicy(policy)

    return load
