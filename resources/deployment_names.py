"""What a deployment store's records are called and how they are read, wherever they lie.

Belongs here: names below the store, allowed names, records as JSON. Does not belong here: where they are kept
(deployment_store, gcs_stores).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import Field, ValidationError

from mlops_assets.domain.errors import StalePointerError, StorageError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.model_base import Record
from mlops_assets.domain.ports import ModelSlot

if TYPE_CHECKING:
    from mlops_assets.domain.deployment_ports import DeploymentPointer

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_AnyRecord = TypeVar("_AnyRecord", bound=Record)
# Neither absolute nor "..": each part begins with a letter, a digit or "_".
_File = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$", max_length=500)
]


class PackageFiles(Record):
    """The files of a package that lies in an object store; `token` is the folder of this publication."""

    token: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    files: tuple[_File, ...]


def require_sha256(bundle_sha256: str) -> None:
    """Refuse what is no hash. Raises StorageError."""
    if not _SHA256.fullmatch(bundle_sha256):
        raise _refused(bundle_sha256, "64 hex digits")


def pointer_name(slot: ModelSlot) -> str:
    """Return the name of a slot's pointer. Raises StorageError if the slot's names are not allowed."""
    use_case, model, segment = _plain_parts(slot.use_case, slot.model, slot.segment)
    return f"pointers/{use_case}/{model}/{segment}.json"


def slot_of_pointer(name: str) -> ModelSlot | None:
    """Return the slot whose pointer has this name; None if it is none."""
    path = PurePosixPath(name)
    is_pointer = len(path.parts) == 4 and path.parts[0] == "pointers" and path.suffix == ".json"
    return ModelSlot(path.parts[1], path.parts[2], path.stem) if is_pointer else None


def activation_name(slot: ModelSlot, decision_id: str) -> str:
    """Return the name of the record of a decision's activation. Raises StorageError as `pointer_name`."""
    folders = "/".join(_plain_parts(slot.use_case, slot.model, slot.segment))
    encoded = decision_id.encode("utf-8", "backslashreplace").decode()
    name = decision_id if _PLAIN.fullmatch(decision_id) else stable_hash(encoded)
    return f"activations/{folders}/{name}.json"


def decode(content: bytes, kind: type[_AnyRecord], where: str) -> _AnyRecord:
    """Return the record that the JSON says. Raises StorageError if it is damaged."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        found = error.errors()[0]
        raise damaged(where, f"{'.'.join(map(str, found['loc'])) or 'content'}: {found['msg']}") from error


def stale_pointer(pointer: DeploymentPointer, fact: str) -> StalePointerError:
    """Return the error for a pointer that was moved by somebody else."""
    return StalePointerError(
        f"the deployment pointer is {fact}",
        where=pointer.slot.registered_name,
        expected=f"generation {pointer.generation - 1}",
        remedy="read the pointer again and decide anew",
    )


def damaged(where: str, fact: str) -> StorageError:
    """Return the error for a record that cannot be trusted."""
    return StorageError(
        f"the deployment store cannot be trusted: {fact}",
        where=where,
        expected="a record that the platform wrote",
        remedy="remove the file; `mlops deploy update` writes it anew from the promotion ledger",
        is_retryable=False,
    )


def _plain_parts(*names: str) -> tuple[str, ...]:
    for name in names:
        if not _PLAIN.fullmatch(name):
            raise _refused(name, "letters, digits, `.`, `_` and `-`, at most 128")
    return names


def _refused(name: str, expected: str) -> StorageError:
    return StorageError(
        "a deployment cannot have this name",
        where=repr(name[:200]),
        expected=expected,
        remedy="correct the name; nothing was read or written",
        is_retryable=False,
    )
