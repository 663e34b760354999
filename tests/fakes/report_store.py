"""A report store in memory.

Belongs here: a dictionary of documents. Does not belong here: rendering.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from mlops_assets.domain.errors import StorageError


class FakeReportStore:
    """Documents by relative path; `saved` is there for assertions."""

    questions_at_once = 1

    def __init__(self) -> None:
        self.saved: dict[str, bytes] = {}

    def save(self, relative_path: str, content: str | bytes) -> Path:
        """Keep a document."""
        path = PurePosixPath(relative_path)
        outside = path.is_absolute() or ".." in path.parts or not path.parts or relative_path.endswith("/")
        if outside or "\\" in relative_path or "\0" in relative_path or path.name.startswith("."):
            raise StorageError("a report cannot have this path", where=repr(relative_path))
        self.saved[path.as_posix()] = content.encode() if isinstance(content, str) else content
        return Path("/reports", *path.parts)

    def list(self) -> list[str]:
        """Return all relative paths, sorted."""
        return sorted(self.saved)

    def read(self, relative_path: str, most_bytes: int = -1) -> bytes:
        """Return a document, or its first bytes."""
        if relative_path not in self.saved:
            raise StorageError("the report cannot be read", where=relative_path)
        content = self.saved[relative_path]
        return content if most_bytes < 0 else content[:most_bytes]
