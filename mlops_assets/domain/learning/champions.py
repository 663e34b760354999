"""The champion of a slot, as the ledger names it, ready to score.

Belongs here: which entry is champion for a day, and loading its verified bundle. Does not belong here:
deciding who becomes champion (gate, promotion).
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mlops_assets.domain.errors import RegistryError
from mlops_assets.domain.learning.bundle import Scorer, find_kept, load_bundle
from mlops_assets.domain.learning.verified_files import verify_folder
from mlops_assets.domain.ports import LedgerEntry, ModelRegistry, ModelSlot, PromotionLedger


def champion_for_day(ledger: PromotionLedger, slot: ModelSlot, day: dt.date) -> LedgerEntry | None:
    """Return the champion that serves on `day`: the newest promotion decided on data of earlier days.

    A day that is run again, late, is thus served by the model that was champion then.
    """
    return newest_before(ledger.history(slot), day)


def current_champion(history: Sequence[LedgerEntry]) -> LedgerEntry | None:
    """Return the entry of a slot's history (oldest first) that made the present champion, None if there is none."""
    return next((entry for entry in reversed(history) if entry.makes_champion), None)


def newest_before(history: Sequence[LedgerEntry], day: dt.date) -> LedgerEntry | None:
    """Return the last entry of a history (oldest first) that made a champion and whose data end before `day`."""
    return current_champion([e for e in history if e.as_of_day is None or e.as_of_day < day])


def find_predecessor(history: Sequence[LedgerEntry]) -> LedgerEntry | None:
    """Return the entry that made champion the version before the present one; None if there was none.

    Going back twice leads two champions back: a way back is no predecessor.
    """
    current = current_champion(history)
    if current is None:
        return None
    promotions = [one for one in history if one.version == current.version and one.outcome == "promoted"]
    before = promotions[-1].previous_version
    return current_champion([entry for entry in history if entry.version == before])


def find_withdrawal(history: Sequence[LedgerEntry], version: str) -> LedgerEntry | None:
    """Return the rollback that took a version out of service, unless it became champion again."""
    for entry in reversed(history):
        if entry.outcome == "rolled_back" and entry.previous_version == version:
            return entry
        if entry.makes_champion and entry.version == version:
            return None
    return None


def decision_on(ledger: PromotionLedger, slot: ModelSlot, version: str, bundle_sha256: str) -> LedgerEntry:
    """Return the newest decision on a model version.

    Raises:
        RegistryError: none has been recorded yet.
    """
    for entry in reversed(ledger.history(slot)):
        if entry.bundle_sha256 == bundle_sha256:
            return entry
    raise RegistryError(
        f"the ledger holds no decision on version {version}",
        where=slot.registered_name,
        expected="an entry of the gate",
        remedy=f"materialise champion/{slot.use_case}/{slot.model} for {slot.segment} first",
    )


def load_version(registry: ModelRegistry, slot: ModelSlot, version: str, bundle_sha256: str) -> Scorer:
    """Fetch, verify and load a model version.

    Args:
        registry: holds the bundle.
        slot: use case, model and segment.
        version: registry version.
        bundle_sha256: the hash that the ledger (or the challenger's record) names; the registry's own copy
            of it is not trusted.

    Raises:
        ModelIntegrityError: a file differs from its hash; nothing was loaded.
        RegistryError: the registry does not have the version.
    """
    if kept := find_kept(bundle_sha256):
        return kept
    with tempfile.TemporaryDirectory(prefix="mlops-bundle-") as folder:
        fetched = registry.download(registry.version(slot.registered_name, version), Path(folder) / "bundle")
        return load_bundle(fetched, bundle_sha256)


def verify_version(registry: ModelRegistry, slot: ModelSlot, version: str, bundle_sha256: str) -> None:
    """Fetch a version of any kind, model or policy, and verify every byte of it; nothing is loaded.

    Raises:
        ModelIntegrityError: a file differs from its hash.
        RegistryError: the registry does not have the version.
    """
    with tempfile.TemporaryDirectory(prefix="mlops-bundle-") as folder:
        fetched = registry.download(registry.version(slot.registered_name, version), Path(folder) / "bundle")
        verify_folder(fetched, bundle_sha256)
