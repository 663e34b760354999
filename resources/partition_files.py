"""What a lake's partitions look like wherever they lie: their folders, their files, their manifest.

Belongs here: allowed names, the manifest's JSON, the temporary files of a writer. Does not belong here: where a
partition is published (lake, gcs_lake) or what it holds.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlops_assets.domain.errors import StorageError, TableInputError
from mlops_assets.domain.hashing import canonical_json
from mlops_assets.domain.ports import Manifest, PartitionId
from resources.atomic_files import make_folder, temporary_path

MANIFEST_NAME = "manifest.json"
WITHOUT_DAY = "all"
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,62}(/[a-z][a-z0-9_]{0,62}){0,3}", re.ASCII)
_SEGMENT = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9_.=-]{0,62}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_ROLE = re.compile(r"[a-z][a-z0-9_]{0,30}", re.ASCII)
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,10})?", re.ASCII)
_FILE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,200}", re.ASCII)
_BUILD_KEY = re.compile(r"[0-9a-f]{12,128}", re.ASCII)
_FORMAT_VERSION = 1


def table_folder(table: str, segment: str) -> str:
    """Return the folder of a table's segment below the lake; StorageError if a name is not allowed."""
    _require(_TABLE, table, "table")
    _require(_SEGMENT, segment, "segment")
    return f"{table}/{segment}"


def partition_folder(partition: PartitionId) -> str:
    """Return the folder of a partition below the lake; StorageError if a name is not allowed."""
    day = partition.day.isoformat() if partition.day else WITHOUT_DAY
    return f"{table_folder(partition.table, partition.segment)}/{day}"


def require_build_key(build_key: str) -> None:
    """Refuse what is no hash. Raises StorageError."""
    _require(_BUILD_KEY, build_key, "build key")


def parse_day(name: str) -> dt.date | None:
    """Return the day a folder is named by; None for others, such as a copy that somebody laid beside it."""
    if not _DAY.fullmatch(name):
        return None
    try:
        return dt.date.fromisoformat(name)
    except ValueError:
        return None


class StagedFiles:
    """The temporary files of a writer, in the folder that is given; what is not published goes with the writer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._temporary: dict[str, Path] = {}
        self._scratch: list[Path] = []

    def file(self, role: str, suffix: str = ".parquet") -> Path:
        """Return the temporary path where the file of this role is to be written."""
        if role not in self._temporary:
            self._temporary[role] = self._new_path(role, suffix)
        return self._temporary[role]

    def scratch(self, suffix: str = ".parquet") -> Path:
        """Return a temporary path for intermediate rows; the file is deleted with the end of the block."""
        self._scratch.append(self._new_path("scratch", suffix))
        return self._scratch[-1]

    def drop(self, role: str) -> None:
        """Take back a role: its file is not published."""
        if role in self._temporary:
            self._scratch.append(self._temporary.pop(role))

    def discard(self) -> None:
        """Delete what was written and not committed."""
        for temporary in (*self._temporary.values(), *self._scratch):
            with suppress(OSError):  # a leftover is swept by a later writer
                temporary.unlink(missing_ok=True)
        self._temporary, self._scratch = {}, []

    def _new_path(self, role: str, suffix: str) -> Path:
        _require(_ROLE, role, "role")
        _require(_SUFFIX, suffix, "suffix")
        make_folder(self.folder)
        return temporary_path(self.folder / f"{role}{suffix}")


def written_size(temporary: Path, role: str) -> int:
    """Return the bytes of a file that was announced. Raises StorageError if it was not written."""
    try:
        return temporary.stat().st_size
    except FileNotFoundError as error:
        raise StorageError(
            f"the {role} file was announced but not written",
            where=str(temporary.parent),
            expected="a written file before commit",
            remedy="write every file that `PartitionWriter.file` returned",
            is_retryable=False,
        ) from error


def encode_manifest(manifest: Manifest, sizes: Mapping[str, int]) -> bytes:
    """Return a manifest as JSON, with the bytes of each role's file."""
    content = {
        "format": _FORMAT_VERSION,
        "build_key": manifest.build_key,
        "row_count": manifest.row_count,
        "files": dict(manifest.files),
        "sizes": dict(sizes),
        "inputs": dict(manifest.inputs),
        "facts": dict(manifest.facts),
    }
    return canonical_json(content).encode()


def read_content(encoded: bytes, where: str) -> dict[str, Any]:
    """Return the JSON of a manifest. Raises StorageError if it is none."""
    try:
        content = json.loads(encoded)
    except (ValueError, RecursionError) as error:
        raise unreadable(where) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT_VERSION or not _is_manifest(content):
        raise unreadable(where)
    return content


def _is_manifest(content: Mapping[str, Any]) -> bool:
    """Whether everything is there and of its kind, and every file lies in the partition's own folder."""
    files, sizes = content.get("files"), content.get("sizes")
    return (
        isinstance(content.get("build_key"), str)
        and type(content.get("row_count")) is int
        and all(isinstance(content.get(name), dict) for name in ("files", "sizes", "inputs", "facts"))
        and all(isinstance(name, str) and _FILE_NAME.fullmatch(name) for name in dict(files or {}).values())
        and set(dict(files or {})) <= set(dict(sizes or {}))
    )


def as_manifest(content: Mapping[str, Any]) -> Manifest:
    """Return the manifest that the JSON says."""
    return Manifest(
        content["build_key"], content["row_count"], content["files"], content["inputs"], content["facts"]
    )


def unreadable(where: str) -> StorageError:
    """Return the error for a damaged manifest."""
    return StorageError(
        "the manifest of a partition is unreadable",
        where=where,
        expected=f"JSON of format {_FORMAT_VERSION}",
        remedy="delete this manifest and build the partition again",
        is_retryable=False,
    )


def published_file(
    content: Mapping[str, Any] | None, partition: PartitionId, role: str, where: str
) -> tuple[str, int]:
    """Return name and bytes of the file that is published for a role. Raises TableInputError if there is none."""
    if content is None or role not in content["files"]:
        raise TableInputError(
            f"{partition} has no published {role} file",
            where=where,
            expected=f"a manifest that names a {role} file",
            remedy="build this partition first",
        )
    return content["files"][role], content["sizes"][role]


def _require(pattern: re.Pattern[str], value: str, name: str) -> None:
    if not pattern.fullmatch(value):
        raise StorageError(
            f"{value!r} is not allowed as {name}",
            expected=f"a name like {pattern.pattern}",
            remedy="use letters, digits and _; no absolute path, `..`, backslash or control character",
            is_retryable=False,
        )
