"""The landing zone, the reports and the deployments on Google Cloud Storage.

Belongs here: which objects they consist of. Does not belong here: what is in them, or how objects are written
(object_store).
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from mlops_assets.domain.deployment_ports import ActivationRecord, DeploymentPointer
from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.ports import LandedFile, ModelSlot
from resources import deployment_names as names
from resources.atomic_files import make_folder, temporary_path
from resources.landing_zone import is_unfinished, require_file_name, require_geography
from resources.object_store import ABSENT, QUESTIONS_AT_ONCE, ObjectChangedError
from resources.report_store import checked_parts, unreadable_report

if TYPE_CHECKING:
    from mlops_assets.domain.model_base import Record
    from resources.file_cache import FileCache
    from resources.object_store import ObjectStore, StoredObject

_NANOSECONDS = 1_000_000_000
_AnyRecord = TypeVar("_AnyRecord", bound="Record")


class GcsLandingZone:
    """Implements `ports.LandingZone`: the objects `<geography>/<file name>`.

    Args:
        store: the objects that the operator delivers.
        cache: local copies of them; the engine must be allowed to read there.
    """

    def __init__(self, store: ObjectStore, cache: FileCache) -> None:
        self.store, self.cache = store, cache

    def find(self, geography: str, file_name: str) -> LandedFile | None:
        """Return a local copy of the delivered file, or None.

        Raises:
            StorageError: a name is not allowed, or the store cannot be reached.
        """
        require_file_name(file_name)
        name = f"{require_geography(geography)}/{file_name}"
        found = None if is_unfinished(file_name) else self.store.find(name)
        if found is None:
            return None
        landed = self._landed(found)
        copy = landed.path.relative_to(self.cache.folder).as_posix()
        self.cache.fetch(copy, found.size_bytes, lambda target: self.store.download(name, target))
        return landed

    def list(self, geography: str) -> list[LandedFile]:
        """Return all delivered files of a geography by name; nothing is copied before `find` asks for it."""
        folder = require_geography(geography)
        found = [item for item in self.store.list(folder) if item.name.count("/") == 1]
        return [self._landed(item) for item in found if not is_unfinished(PurePosixPath(item.name).name)]

    def _landed(self, found: StoredObject) -> LandedFile:
        # A correction has the same name and another generation: its copy lies in a folder of its own.
        geography, name = found.name.split("/")
        path = self.cache.folder / geography / str(found.generation) / name
        modified_ns = round(found.updated_at_utc.timestamp() * _NANOSECONDS)
        return LandedFile(path, found.size_bytes, modified_ns)


class ObjectPath(PurePosixPath):
    """Where an object is, for people: `name` is its file name, its text the whole address."""

    __slots__ = ("address",)

    address: str

    @classmethod
    def of(cls, address: str) -> ObjectPath:
        """Return the path of an address such as gs://bucket/name."""
        path = cls(address.removeprefix("gs:/"))
        path.address = address
        return path

    def __str__(self) -> str:
        return self.address

    def __fspath__(self) -> str:
        return self.address


class GcsReportStore:
    """Implements `report_ports.ReportStore`.

    Args:
        store: the documents.
    """

    questions_at_once = QUESTIONS_AT_ONCE

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def save(self, relative_path: str, content: str | bytes) -> ObjectPath:
        """Write a report and return where it is; an older one of this name is replaced at once.

        Raises:
            StorageError: the path is refused, or the store cannot be reached.
        """
        name = "/".join(checked_parts(relative_path))
        self.store.write(name, content.encode("utf-8") if isinstance(content, str) else content)
        return ObjectPath.of(self.store.where(name))

    def list(self) -> list[str]:
        """Return the relative paths of all reports, sorted. Raises StorageError."""
        found = (item.name for item in self.store.list())
        return sorted(name for name in found if not any(part.startswith(".") for part in name.split("/")))

    def read(self, relative_path: str, most_bytes: int = -1) -> bytes:
        """Return the content of a report, or its first bytes only.

        Raises:
            StorageError: there is none, the path is refused, or the store cannot be reached.
        """
        name = "/".join(checked_parts(relative_path))
        content = self.store.read(name, most_bytes=most_bytes)
        if content is None:
            raise unreadable_report(self.store.where(name))
        return content


class GcsDeploymentStore:
    """Implements `deployment_ports.DeploymentStore`; safe for any number of processes.

        bundles/<bundle sha256>.json          the files of a package; written last
        bundles/<bundle sha256>/<token>/...   the files
        pointers/<use case>/<model>/<segment>.json
        activations/<use case>/<model>/<segment>/<decision id>.json
        damaged/                              lists of packages that were set aside

    Args:
        store: the objects.
        folder: of local copies of packages.
    """

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        self.store, self.folder = store, folder

    def publish(self, bundle_sha256: str, folder: Path) -> Path:
        """Store a copy of a package's folder, all at once or not at all; one that is there stays as it is.

        Raises:
            StorageError: the store cannot be reached, or the disk is full.
        """
        present = self.package(bundle_sha256)
        if present is not None:
            return present
        token = secrets.token_hex(8)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        plain = [path.relative_to(folder).as_posix() for path in files]
        for name, path in zip(plain, files, strict=True):
            self.store.upload(f"bundles/{bundle_sha256}/{token}/{name}", path)
        listed = names.PackageFiles(token=token, files=tuple(plain))
        try:
            self.store.write(_listing(bundle_sha256), _encode(listed), expected=ABSENT)
        except ObjectChangedError:  # somebody else was quicker
            for name in plain:
                self.store.delete(f"bundles/{bundle_sha256}/{token}/{name}")
        published = self.package(bundle_sha256)
        if published is None:
            raise names.damaged(
                self.store.where(_listing(bundle_sha256)), "a package went as it was published"
            )
        return published

    def package(self, bundle_sha256: str) -> Path | None:
        """Return a local copy of a published package, or None. Nothing in it is verified. Raises StorageError."""
        names.require_sha256(bundle_sha256)
        listed = self._read(_listing(bundle_sha256), names.PackageFiles)
        if listed is None:
            return None
        target = self.folder / f"{bundle_sha256}-{listed.token}"
        if not target.is_dir():
            self._copy(f"bundles/{bundle_sha256}/{listed.token}", listed.files, target)
        return target

    def set_aside(self, bundle_sha256: str) -> None:
        """Take a damaged package out of the way; its files stay, and its list goes below `damaged/`."""
        names.require_sha256(bundle_sha256)
        content, generation = self.store.read_versioned(_listing(bundle_sha256))
        if generation == ABSENT:
            return
        self.store.write(f"damaged/{bundle_sha256}-{secrets.token_hex(4)}.json", content)
        self.store.delete(_listing(bundle_sha256))
        for copy in self.folder.glob(f"{bundle_sha256}-*"):
            shutil.rmtree(copy, ignore_errors=True)

    def pointer(self, slot: ModelSlot) -> DeploymentPointer | None:
        """Return a slot's pointer, or None. Raises StorageError if it is damaged, or of another slot."""
        found, _ = self._pointer(slot)
        return found

    def swap(self, pointer: DeploymentPointer) -> None:
        """Replace the pointer of generation `pointer.generation - 1` (0: there is none) by this one.

        Raises:
            StalePointerError: the pointer is of another generation by now.
            StorageError: the present pointer is damaged, or the store cannot be reached.
        """
        current, version = self._pointer(pointer.slot)
        generation = current.generation if current else 0
        if generation != pointer.generation - 1:
            raise names.stale_pointer(pointer, f"of generation {generation}")
        try:
            self.store.write(names.pointer_name(pointer.slot), _encode(pointer), expected=version)
        except ObjectChangedError as error:
            raise names.stale_pointer(pointer, "changed by somebody else meanwhile") from error

    def marks(self) -> dict[ModelSlot, str]:
        """Return a mark per pointer: the generation of its object. Raises StorageError."""
        found = (
            (names.slot_of_pointer(item.name), str(item.generation)) for item in self.store.list("pointers")
        )
        return {slot: mark for slot, mark in found if slot is not None}

    def report(self, record: ActivationRecord) -> None:
        """Keep a record in place of an earlier attempt at the same decision. Raises StorageError."""
        self.store.write(names.activation_name(record.slot, record.decision_id), _encode(record))

    def activation(self, slot: ModelSlot, decision_id: str) -> ActivationRecord | None:
        """Return what became of the last attempt to activate a decision, or None. Raises StorageError."""
        return self._read(names.activation_name(slot, decision_id), ActivationRecord)

    def _pointer(self, slot: ModelSlot) -> tuple[DeploymentPointer | None, int]:
        """Return the pointer and the generation of its object."""
        name = names.pointer_name(slot)
        content, version = self.store.read_versioned(name)
        if version == ABSENT:
            return None, version
        found = names.decode(content, DeploymentPointer, self.store.where(name))
        if found.slot != slot:
            raise names.damaged(self.store.where(name), f"it is the pointer of {found.slot.registered_name}")
        return found, version

    def _read(self, name: str, kind: type[_AnyRecord]) -> _AnyRecord | None:
        content = self.store.read(name)
        return None if content is None else names.decode(content, kind, self.store.where(name))

    def _copy(self, prefix: str, files: tuple[str, ...], target: Path) -> None:
        """Make the local copy of a package, all at once; another process may be quicker."""
        make_folder(target.parent)
        staging = temporary_path(target)
        try:
            for name in files:
                path = staging / name
                path.parent.mkdir(parents=True, exist_ok=True)
                self.store.download(f"{prefix}/{name}", path)
            staging.rename(target)
        except OSError as error:
            if not target.is_dir():
                raise StorageError(
                    f"a package cannot be copied: {error.strerror or error}",
                    where=str(target),
                    expected="a writable folder with room for the package",
                    remedy="check disk, owner and permissions, then run again",
                ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _listing(bundle_sha256: str) -> str:
    return f"bundles/{bundle_sha256}.json"


def _encode(record: Record) -> bytes:
    return record.model_dump_json(indent=1).encode()
