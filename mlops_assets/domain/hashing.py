"""Hashes of values and files: the identity of builds, contracts and deliveries.

Belongs here: canonical JSON and sha256. Does not belong here: what goes into a build key.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_BLOCK_BYTES = 1 << 20
_sha256_by_version: dict[tuple[str, int, int, int, int], str] = {}


def canonical_json(value: Any) -> str:
    """Return one JSON text per value: sorted keys, no spaces, ISO dates, records as objects.

    Args:
        value: JSON values, dates, paths, enumerations of strings, sets, dataclasses and pydantic records.

    Raises:
        TypeError: the value has no canonical form; hash its fields instead.
        ValueError: a number is not finite.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
    )


def stable_hash(value: Any) -> str:
    """Return the sha256 of `canonical_json(value)` in hex; equal over processes and machines."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes in hex, read in blocks and remembered while it is unchanged.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    # Copies may keep the time of their original; number and change time of the file do not lie.
    version = (str(path), status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)
    if version not in _sha256_by_version:
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
        _sha256_by_version[version] = digest.hexdigest()
    return _sha256_by_version[version]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dt.date):  # also datetime
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"no canonical JSON for {type(value).__name__}")
