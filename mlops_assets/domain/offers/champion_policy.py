"""From the ledger's entry of a policy to the policy that serves.

Belongs here: loading it. Does not belong here: who is champion (the ledger), what a policy does (policies.py).
"""

from __future__ import annotations

from mlops_assets.domain.offers.policy_versions import load_serving_policy
from mlops_assets.domain.offers.serving_policy import LoadedPolicy, PolicyLoader
from mlops_assets.domain.ports import LedgerEntry, ModelRegistry


def build_policy_loader(registry: ModelRegistry) -> PolicyLoader:
    """Return what loads a champion, verified, with the world that expects answers to its offers.

    Args:
        registry: holds the policies and the worlds that judged them.
    """

    def load(entry: LedgerEntry) -> LoadedPolicy:
        return load_serving_policy(registry, entry)

    return load
