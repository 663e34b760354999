"""A release that may serve: promoted by the ledger, unchanged, and answering as it did when it was packed.

Belongs here: the one way from a release to a model that may answer. Does not belong here: moving pointers
(activation) or keeping models in memory (mlops_assets.serving).
"""

from __future__ import annotations

from mlops_assets.domain.deployment.package import PackedModel, read_package
from mlops_assets.domain.deployment.self_test import run_self_test
from mlops_assets.domain.deployment_ports import DeploymentStore, Release
from mlops_assets.domain.errors import DeploymentError, ModelIntegrityError
from mlops_assets.domain.ports import ModelSlot, PromotionLedger


def load_release(
    store: DeploymentStore, ledger: PromotionLedger, slot: ModelSlot, release: Release
) -> PackedModel:
    """Prove, verify, load and test a release.

    Args:
        store: holds the package.
        ledger: holds the promotion.
        slot: use case, model and segment.
        release: what a pointer names, or is to name.

    Raises:
        DeploymentError: the ledger does not hold this promotion, or the self-test fails.
        ModelIntegrityError: a file is missing or not what was packed; no native loader was called.
    """
    require_promotion(ledger, slot, release)
    folder = store.package(release.bundle_sha256)
    if folder is None:
        raise ModelIntegrityError(
            "the package is not in the deployment store",
            where=f"{slot.registered_name}, bundle {release.bundle_sha256}",
            expected="a published package",
            remedy="`mlops deploy update` packs the champion anew from the registry",
        )
    packed = read_package(folder, slot, release)
    run_self_test(packed.scorer, packed.self_test)
    return packed


def require_promotion(ledger: PromotionLedger, slot: ModelSlot, release: Release) -> None:
    """Raise DeploymentError unless the ledger holds the promotion that a release names."""
    for entry in ledger.history(slot):
        if entry.decision_id != release.decision_id:
            continue
        found = (entry.makes_champion, entry.version, entry.bundle_sha256)
        if found == (True, release.version, release.bundle_sha256):
            return
    raise DeploymentError(
        "the promotion ledger does not hold this promotion",
        where=f"{slot.registered_name}, version {release.version}, decision {release.decision_id}",
        expected="a promotion of this version with this bundle's hash",
        remedy="`mlops deploy update` moves the pointer to the champion; find out who moved it elsewhere",
    )
