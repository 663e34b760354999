"""The deployment store in a local folder.

Belongs here: where packages, pointers and activation records lie, atomic moves, compare-and-swap. Does not belong
here: what a package holds or when a pointer moves (mlops_assets.domain.deployment).

    bundles/<bundle sha256>/              a package; never changed once it is there
    pointers/<use case>/<model>/<segment>.json
    activations/<use case>/<model>/<segment>/<decision id>.json
    damaged/                              packages that were set aside
    locks/
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlops_assets.domain.deployment_ports import ActivationRecord, DeploymentPointer
from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.ports import ModelSlot
from resources import deployment_names as names
from resources.atomic_files import (
    explained_write,
    fsync_dir,
    make_folder,
    sweep_leftovers,
    temporary_path,
    write_atomic,
)
from resources.file_lock import exclusive_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlops_assets.domain.model_base import Record

_LEFTOVER_AGE_S = 3600.0
_AnyRecord = TypeVar("_AnyRecord", bound="Record")


class LocalDeploymentStore:
    """Packages and pointers below one folder; safe for any number of processes.

    Args:
        root: the folder; created with the first package.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def publish(self, bundle_sha256: str, folder: Path) -> Path:
        """Store a copy of a package's folder, all at once or not at all; one that is there stays as it is.

        Args:
            bundle_sha256: of the model's bundle; the package's address.
            folder: plain files and folders of plain files.

        Raises:
            StorageError: the disk is full or the store cannot be written.
        """
        target = self._package_path(bundle_sha256)
        with self._locked("bundles"):
            if target.is_dir():
                return target
            make_folder(target.parent)
            for leftover in target.parent.glob(".*.tmp"):  # nobody else writes while we hold the lock
                shutil.rmtree(leftover, ignore_errors=True)
            staging = temporary_path(target)
            try:
                shutil.copytree(folder, staging)
                for path in (*staging.rglob("*"), staging):
                    _make_durable(path)
                staging.replace(target)
            except OSError as error:
                raise _explained(error, target) from error
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            fsync_dir(target.parent)
        return target

    def package(self, bundle_sha256: str) -> Path | None:
        """Return the folder of a published package, or None. Nothing in it is verified."""
        path = self._package_path(bundle_sha256)
        return path if path.is_dir() else None

    def set_aside(self, bundle_sha256: str) -> None:
        """Move a damaged package below `damaged/`; the next publication makes it anew. Raises StorageError."""
        path, aside = self._package_path(bundle_sha256), self.root / "damaged"
        make_folder(aside)
        with self._locked("bundles"):
            if path.is_dir():
                with explained_write(aside):
                    path.replace(aside / f"{bundle_sha256}-{secrets.token_hex(4)}")
                    fsync_dir(path.parent)

    def pointer(self, slot: ModelSlot) -> DeploymentPointer | None:
        """Return a slot's pointer, or None.

        Raises:
            StorageError: the file is damaged, or is the pointer of another slot.
        """
        path = self._pointer_path(slot)
        found = _read(path, DeploymentPointer)
        if found is not None and found.slot != slot:
            raise names.damaged(str(path), f"it is the pointer of {found.slot.registered_name}")
        return found

    def swap(self, pointer: DeploymentPointer) -> None:
        """Replace the pointer of generation `pointer.generation - 1` (0: there is none) by this one.

        Raises:
            StalePointerError: the pointer is of another generation by now.
            StorageError: the present pointer is damaged, or the disk is full.
        """
        path = self._pointer_path(pointer.slot)
        with self._locked(pointer.slot.registered_name):
            current = self.pointer(pointer.slot)
            generation = current.generation if current else 0
            if generation != pointer.generation - 1:
                raise names.stale_pointer(pointer, f"of generation {generation}")
            _write(path, pointer)
            sweep_leftovers(path.parent, _LEFTOVER_AGE_S)

    def marks(self) -> dict[ModelSlot, str]:
        """Return a mark per pointer: number, size and time of its file."""
        return dict(self._marks())

    def report(self, record: ActivationRecord) -> None:
        """Keep a record in place of an earlier attempt at the same decision. Raises StorageError."""
        _write(self._activation_path(record.slot, record.decision_id), record)

    def activation(self, slot: ModelSlot, decision_id: str) -> ActivationRecord | None:
        """Return what became of the last attempt to activate a decision, or None. Raises StorageError."""
        return _read(self._activation_path(slot, decision_id), ActivationRecord)

    def _marks(self) -> Iterator[tuple[ModelSlot, str]]:
        for path in sorted((self.root / "pointers").glob("*/*/*.json")):
            if path.name.startswith("."):
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            slot = ModelSlot(path.parts[-3], path.parts[-2], path.stem)
            yield slot, f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"

    def _locked(self, name: str) -> AbstractContextManager[None]:
        return exclusive_lock(self.root / "locks" / f"{name}.lock")

    def _package_path(self, bundle_sha256: str) -> Path:
        names.require_sha256(bundle_sha256)
        return self.root / "bundles" / bundle_sha256

    def _pointer_path(self, slot: ModelSlot) -> Path:
        return self.root / names.pointer_name(slot)

    def _activation_path(self, slot: ModelSlot, decision_id: str) -> Path:
        return self.root / names.activation_name(slot, decision_id)


def _make_durable(path: Path) -> None:
    if path.is_dir():
        fsync_dir(path)
        return
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _write(path: Path, record: Record) -> None:
    write_atomic(path, record.model_dump_json(indent=1).encode())


def _read(path: Path, kind: type[_AnyRecord]) -> _AnyRecord | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _explained(error, path) from error
    return names.decode(content, kind, str(path))


def _explained(error: OSError, path: Path) -> StorageError:
    return StorageError(
        f"the deployment store cannot be used: {error.strerror or error}",
        where=str(path),
        expected="a readable and writable folder with room for the package",
        remedy="check disk, owner and permissions, then run again; what was there is untouched",
    )
