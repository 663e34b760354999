"""Files that are read once and compared with their recorded SHA-256 before anything interprets them.

Belongs here: the index that names the files of a folder with their hashes, reading plain files, comparing hashes. Does
not belong here: what the files mean (bundle, domain.deployment.package).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import ModelIntegrityError

# What lists the other files of a stored version with their hashes: a model's bundle, a policy's.
INDEX_FILES = ("bundle.json", "policy.json")


def make_empty_folder(folder: Path) -> None:
    """Make a folder unless it is there; ModelIntegrityError if it holds something already."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ModelIntegrityError(
            "the bundle's folder is not empty", where=str(folder), remedy="give a new folder"
        )


def write_index(folder: Path, name: str, content: Mapping[str, Any]) -> str:
    """Write the index of a folder whose other files are complete, and return its SHA-256 (hex).

    Args:
        folder: holds the files.
        name: of the index.
        content: JSON values to which `files`, file name to SHA-256, is added.
    """
    files = {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    index = json.dumps({**content, "files": files}, indent=1, sort_keys=True, allow_nan=False).encode()
    (folder / name).write_bytes(index)
    return sha256(index).hexdigest()


def read_plain(folder: Path, name: str) -> bytes:
    """Return a file's bytes; ModelIntegrityError if it is absent, a link or no plain file."""
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise ModelIntegrityError(
            f"{name} is not a plain file", where=str(folder), expected="a complete bundle"
        )
    return path.read_bytes()


def require_sha256(content: bytes, expected: str, path: Path) -> None:
    """Raise ModelIntegrityError unless the bytes have the expected SHA-256 (hex)."""
    found = sha256(content).hexdigest()
    if not hmac.compare_digest(found, expected):
        raise ModelIntegrityError(
            f"SHA-256 is {found}",
            where=str(path),
            expected=expected,
            remedy="fetch the bundle from the registry again; if it persists, roll back and investigate",
        )


def read_listed(folder: Path, listed: Mapping[str, str], besides: Collection[str]) -> dict[str, bytes]:
    """Return the content of every listed file, verified.

    Args:
        folder: holds the listed files and nothing else.
        listed: file name to SHA-256 (hex).
        besides: further names that the folder may and must not lack, read by somebody else.

    Raises:
        ModelIntegrityError: a file is changed, missing, surplus or not a plain file.
    """
    wanted, present = {*listed, *besides}, {path.name for path in folder.iterdir()}
    if present != wanted:
        raise ModelIntegrityError(
            f"missing files {sorted(wanted - present)}, surplus files {sorted(present - wanted)}",
            where=str(folder),
            expected=f"exactly {sorted(wanted)}",
            remedy="fetch the bundle from the registry again",
        )
    files = {name: read_plain(folder, name) for name in listed}
    for name, content in files.items():
        require_sha256(content, listed[name], folder / name)
    return files


def verify_folder(folder: Path, expected_sha256: str) -> None:
    """Verify a stored version by its index, whose own SHA-256 is the version's identity.

    Raises:
        ModelIntegrityError: there is not one index, or a file is changed, missing, surplus or not a plain file.
    """
    indexes = [name for name in INDEX_FILES if (folder / name).exists()]
    if len(indexes) != 1:
        raise ModelIntegrityError(
            f"the folder has {len(indexes)} indexes",
            where=str(folder),
            expected=f"one of {', '.join(INDEX_FILES)}",
            remedy="fetch the version from the registry again",
        )
    content = read_plain(folder, indexes[0])
    require_sha256(content, expected_sha256, folder / indexes[0])
    read_listed(folder, json.loads(content)["files"], besides=indexes)
