"""What each process opens for itself, once, at its first use: a database, a session.

Belongs here: opening it once, noticing a fork, leaving it behind when its owner is sent to another process. Does not
belong here: what is opened (duckdb_engine, spark_engine).
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

Handle = TypeVar("Handle")
# DuckDB aborts when a connection that was opened before a fork is closed in the child: keep them alive.
_inherited: list[object] = []


class PerProcessHandle(ABC, Generic[Handle]):
    """The base of what owns such a handle; safe for threads."""

    def __init__(self) -> None:
        self._handle: Handle | None = None
        self._opened_by_pid = 0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Carry the settings only, so that the owner can be sent to another process."""
        return {**self.__dict__, "_handle": None, "_opened_by_pid": 0, "_lock": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close what this process has opened; it is opened again when needed."""
        with self._lock:
            if self._handle is None:
                return
            if self._opened_by_pid == os.getpid():
                self._close(self._handle)
            else:
                _inherited.append(self._handle)
            self._handle = None

    def _opened(self) -> Handle:
        with self._lock:
            if self._handle is not None and self._opened_by_pid != os.getpid():
                self._require_reopening()
                _inherited.append(self._handle)
                self._handle = None
            if self._handle is None:
                self._handle, self._opened_by_pid = self._open(), os.getpid()
            return self._handle

    @abstractmethod
    def _open(self) -> Handle:
        """Open the handle of this process."""

    @abstractmethod
    def _close(self, handle: Handle) -> None:
        """Close a handle that this process has opened."""

    def _require_reopening(self) -> None:
        """Raise if a process cannot open a handle after its parent has."""
