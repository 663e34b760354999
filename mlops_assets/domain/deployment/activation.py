"""Bringing the pointer of a slot to the champion that the ledger names.

Belongs here: the order of packing, verifying, moving, confirming and rolling back, such that an updater that dies
at any point leaves nothing that the next one does not put right. Does not belong here: which slots there are, the
clock (mlops_assets.serving.updater) or how a pointer is stored.

A champion is packed, then proven, verified and tested *before* the pointer moves. The pointer moves as `activating`,
the release is read once more from where servers read it, and only then the pointer says `active`; if that fails, it
returns to what was there before.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from mlops_assets.domain.deployment.activation_mail import make_activation_mail
from mlops_assets.domain.deployment.package import read_package, read_package_sha256, write_package
from mlops_assets.domain.deployment.releases import load_release
from mlops_assets.domain.deployment_ports import (
    ActivationRecord,
    DeploymentPointer,
    DeploymentStore,
    PointerState,
    Release,
)
from mlops_assets.domain.errors import ModelIntegrityError, PlatformError, StalePointerError, StorageError
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.ports import LedgerEntry, ModelRegistry, ModelSlot, PromotionLedger

ACTIVATION_VERSION = "1"  # to be raised when the same champion would be packed or activated in another way
_MOST_TRIES = 5


@dataclass(frozen=True)
class SlotUpdate:
    """A slot to bring up to date.

    Attributes:
        slot: use case, model and segment.
        config: the configuration's slice for it, JSON values; goes into a new package.
        recipients: who hears of a failed activation.
        find_card: returns the model card of a version as JSON values, None if none was written.
    """

    slot: ModelSlot
    config: Mapping[str, Any]
    recipients: Sequence[str] = ()
    find_card: Callable[[str], Mapping[str, Any] | None] = lambda _: None


@dataclass(frozen=True)
class DeploymentSite:
    """Everything that an update reads and writes."""

    ledger: PromotionLedger
    registry: ModelRegistry
    store: DeploymentStore
    outbox: Outbox


@dataclass(frozen=True)
class SlotOutcome:
    """What became of a slot.

    `status`: no_champion, current (nothing to do), activated or failed. `serving` is what the pointer names now,
    None for nothing, or if the pointer cannot be read. `error` is there if it failed.
    """

    slot: ModelSlot
    status: Literal["no_champion", "current", "activated", "failed"]
    champion_version: str | None = None
    serving: Release | None = None
    error: PlatformError | None = None


def update_slot(update: SlotUpdate, site: DeploymentSite, now_utc: dt.datetime) -> SlotOutcome:
    """Make the pointer name the champion, or leave it where it is and say why.

    Repeating the call changes nothing. A failed activation is recorded and mailed once for each decision.

    Raises:
        StorageError: the ledger is damaged, or not even the failure could be recorded.
    """
    champion = site.ledger.champion(update.slot)
    if champion is None:
        return SlotOutcome(update.slot, "no_champion")
    try:
        release, is_new = _activate(update, site, champion, now_utc)
    except PlatformError as error:
        return _report_failure(update, site, champion, error, now_utc)
    record = site.store.activation(update.slot, champion.decision_id)
    if is_new or record is None or record.outcome != "activated":
        _report(site.store, champion, "activated", now_utc)
    status: Literal["activated", "current"] = "activated" if is_new else "current"
    return SlotOutcome(update.slot, status, champion.version, release)


def _activate(
    update: SlotUpdate, site: DeploymentSite, champion: LedgerEntry, now_utc: dt.datetime
) -> tuple[Release, bool]:
    """Return what the pointer names and whether it was moved or confirmed just now."""
    release = _pack(update, site, champion)
    load_release(site.store, site.ledger, update.slot, release)
    for _ in range(_MOST_TRIES - 1):
        try:
            return release, _point_to(update.slot, release, site, now_utc)
        except StalePointerError:  # another updater was faster; see what it did
            continue
    return release, _point_to(update.slot, release, site, now_utc)


def _pack(update: SlotUpdate, site: DeploymentSite, champion: LedgerEntry) -> Release:
    """Return the champion's release; its package is published if it is absent, anew if it is damaged."""
    folder = site.store.package(champion.bundle_sha256)
    if folder is not None and (release := _find_intact(champion, folder)):
        return release
    with _own_folder() as temporary:
        version = site.registry.version(champion.slot.registered_name, champion.version)
        bundle = site.registry.download(version, temporary / "bundle")
        package, card = temporary / "package", update.find_card(champion.version)
        write_package(package, bundle, champion, config=update.config, model_card=card)
        if folder is not None:
            site.store.set_aside(champion.bundle_sha256)
        return _release_of(champion, site.store.publish(champion.bundle_sha256, package))


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Give a temporary folder; a disk that is full fails this slot's activation and not the whole update."""
    try:
        with tempfile.TemporaryDirectory(prefix="mlops-package-") as folder:
            yield Path(folder)
    except OSError as error:
        raise StorageError(
            f"the package cannot be written: {error.strerror or error}",
            where=tempfile.gettempdir(),
            remedy="make room in the folder for temporary files, then `mlops deploy update`",
        ) from error


def _find_intact(champion: LedgerEntry, folder: Path) -> Release | None:
    try:
        release = _release_of(champion, folder)
        read_package(folder, champion.slot, release)
    except ModelIntegrityError:
        return None
    return release


def _release_of(champion: LedgerEntry, folder: Path) -> Release:
    return Release(
        decision_id=champion.decision_id,
        version=champion.version,
        bundle_sha256=champion.bundle_sha256,
        package_sha256=read_package_sha256(folder),
    )


def _point_to(slot: ModelSlot, release: Release, site: DeploymentSite, now_utc: dt.datetime) -> bool:
    """Move and confirm the pointer where needed; False if it was there already."""
    store, pointer = site.store, site.store.pointer(slot)
    if pointer and pointer.serving == release and pointer.state == "active":
        return False
    if not (pointer and pointer.serving == release):
        before = _confirmed(pointer)
        pointer = _follow(slot, pointer, "activating", release, before, now_utc)
        store.swap(pointer)
    try:
        _confirm(slot, release, site)
    except PlatformError as error:
        _roll_back(slot, pointer, store, error, now_utc)
    store.swap(_follow(slot, pointer, "active", release, pointer.previous, now_utc))
    return True


def _confirmed(pointer: DeploymentPointer | None) -> Release | None:
    """Return the release that was last known to serve."""
    if pointer is None:
        return None
    return pointer.previous if pointer.state == "activating" else pointer.serving


def _confirm(slot: ModelSlot, release: Release, site: DeploymentSite) -> None:
    """Read pointer and package as a server does."""
    pointer = site.store.pointer(slot)
    if pointer is None or pointer.serving != release:
        raise StalePointerError("the pointer was moved on", where=slot.registered_name)
    load_release(site.store, site.ledger, slot, release)


def _roll_back(
    slot: ModelSlot,
    pointer: DeploymentPointer,
    store: DeploymentStore,
    error: PlatformError,
    now_utc: dt.datetime,
) -> NoReturn:
    if not isinstance(error, StalePointerError):
        state: PointerState = "active" if pointer.previous else "withdrawn"
        store.swap(_follow(slot, pointer, state, pointer.previous, None, now_utc))
    raise error


def _follow(
    slot: ModelSlot,
    pointer: DeploymentPointer | None,
    state: PointerState,
    serving: Release | None,
    previous: Release | None,
    now_utc: dt.datetime,
) -> DeploymentPointer:
    """Return the pointer of the next generation."""
    return DeploymentPointer(
        use_case=slot.use_case,
        model=slot.model,
        segment=slot.segment,
        generation=pointer.generation + 1 if pointer else 1,
        state=state,
        serving=serving,
        previous=previous,
        changed_at_utc=now_utc,
    )


def _report_failure(
    update: SlotUpdate,
    site: DeploymentSite,
    champion: LedgerEntry,
    error: PlatformError,
    now_utc: dt.datetime,
) -> SlotOutcome:
    pointer = _find_pointer(site.store, update.slot)
    serving = pointer.serving if pointer else None
    mail = make_activation_mail(
        champion,
        error,
        serving_version=serving.version if serving else None,
        recipients=update.recipients,
        at_utc=now_utc,
    )
    site.outbox.enqueue(mail, now_utc)
    _report(site.store, champion, "failed", now_utc, str(error))
    return SlotOutcome(update.slot, "failed", champion.version, serving, error)


def _find_pointer(store: DeploymentStore, slot: ModelSlot) -> DeploymentPointer | None:
    try:
        return store.pointer(slot)
    except PlatformError:  # the failure that is being reported may be that the pointer is damaged
        return None


def _report(
    store: DeploymentStore,
    champion: LedgerEntry,
    outcome: Literal["activated", "failed"],
    now_utc: dt.datetime,
    error: str = "",
) -> None:
    slot = champion.slot
    pointer = _find_pointer(store, slot)
    store.report(
        ActivationRecord(
            use_case=slot.use_case,
            model=slot.model,
            segment=slot.segment,
            decision_id=champion.decision_id,
            version=champion.version,
            bundle_sha256=champion.bundle_sha256,
            outcome=outcome,
            generation=pointer.generation if pointer else 0,
            at_utc=now_utc,
            error=error,
        )
    )
