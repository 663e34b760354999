"""The folder of documents that people read, as reports are saved to it.

Belongs here: the interface. Does not belong here: its implementations (package `resources`), or any report.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Protocol

from mlops_assets.domain.ask_together import Store


class ReportStore(Store, Protocol):
    """Folder of documents that people read."""

    def save(self, relative_path: str, content: str | bytes) -> PurePath:
        """Write atomically and return where it is; refuses absolute paths and `..`."""
        ...

    def list(self) -> list[str]:
        """Return the relative paths of all documents, in order."""
        ...

    def read(self, relative_path: str, most_bytes: int = -1) -> bytes:
        """Return a document's bytes, or the first of them; StorageError if there is none."""
        ...
