"""One SQLite file of ours: created whole, opened only if it is what it should be, complaints explained.

Belongs here: creating, opening, transactions, what SQLite's errors mean. Does not belong here: any table.

Each commit is durable: `synchronous` is FULL with the write-ahead log and EXTRA with a rollback journal; the usual
settings of neither promise that.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlops_assets.domain.errors import StorageError
from resources.atomic_files import publish, temporary_path
from resources.file_lock import exclusive_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FACTS = {
    sqlite3.SQLITE_BUSY: ("stayed locked", "see which process holds the file, then run again"),
    sqlite3.SQLITE_LOCKED: ("stayed locked", "see which process holds the file, then run again"),
    sqlite3.SQLITE_FULL: ("has no room: the disk is full", "free space and run again"),
}
_NO_ACCESS = ("cannot be accessed", "check disk, owner and permissions of file and folder")
for _code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
    _FACTS[_code] = _NO_ACCESS


@dataclass(frozen=True)
class SqliteFile:
    """A database file of one purpose; safe for any number of threads and processes.

    Attributes:
        path: the file; created by `create_if_missing`.
        title: what it is, in messages, such as `the mail outbox`.
        application_id: number that tells it from any other SQLite file.
        schema_version: of `schema`.
        schema: statements that make the empty tables.
        remedy: what to do when the file is damaged.
        journal: `WAL` lets people read while a process writes; `DELETE` keeps all state in the one file, so that a
            copy of it is whole.
        busy_timeout_s: how long to wait for another writer, seconds.
        older_versions: of the schema that may be read as they are.
    """

    path: Path
    title: str
    application_id: int
    schema_version: int
    schema: str
    remedy: str
    journal: Literal["WAL", "DELETE"] = "WAL"
    busy_timeout_s: float = 60.0
    older_versions: frozenset[int] = frozenset()

    @property
    def where(self) -> str:
        """The path, for messages."""
        return str(self.path)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def create_if_missing(self) -> None:
        """Build the empty file aside and move it in place, so that an existing file is always whole.

        Raises:
            StorageError: the disk is full, the folder cannot be written, or another process holds the lock.
        """
        if self.path.exists():
            return
        with exclusive_lock(self.path.with_name(f"{self.path.name}.lock"), self.busy_timeout_s):
            if self.path.exists():
                return
            temporary = temporary_path(self.path)
            try:
                self._build(temporary)
            except sqlite3.Error as error:
                for left in self.path.parent.glob(f"{temporary.name}*"):  # with its journal
                    left.unlink(missing_ok=True)
                raise self._explained(error) from error
            publish(temporary, self.path)

    def _build(self, path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:  # closing writes the log back into the file
            connection.executescript(self.schema)
            connection.execute(f"PRAGMA application_id = {self.application_id:d}")
            connection.execute(f"PRAGMA user_version = {self.schema_version:d}")
            connection.execute(f"PRAGMA journal_mode = {self.journal}")

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """Open the existing file and check that it is ours; rows come by column name.

        Raises:
            StorageError: it is locked, full, damaged, another file or of another release.
        """
        connection: sqlite3.Connection | None = None
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        try:
            connection = sqlite3.connect(address, uri=True, timeout=self.busy_timeout_s, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute(f"PRAGMA synchronous = {'FULL' if self.journal == 'WAL' else 'EXTRA'}")
            connection.execute("PRAGMA foreign_keys = ON")
            self._require_ours(connection)
            yield connection
        except sqlite3.Error as error:
            raise self._explained(error) from error
        finally:
            if connection is not None:
                connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open the file; what the block reads is of one moment.

        Raises:
            StorageError: as `opened`.
        """
        with self.opened() as connection:
            connection.execute("BEGIN DEFERRED")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open the file in a transaction that holds the write lock; all of the block is kept, or nothing.

        Raises:
            StorageError: as `opened`.
        """
        with self.opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _require_ours(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (schema_version,) = connection.execute("PRAGMA user_version").fetchone()
        if application_id != self.application_id:
            raise self.damaged(f"it is empty or not {self.title}")
        if schema_version not in self.older_versions | {self.schema_version}:
            raise StorageError(
                f"{self.title} has schema version {schema_version}",
                where=self.where,
                expected=f"schema version {self.schema_version}{' or older' if self.older_versions else ''}",
                remedy="use the release of mlops-assets that wrote the file, or a newer one",
                is_retryable=False,
            )

    def _explained(self, error: sqlite3.Error) -> StorageError:
        """Say what a complaint of SQLite means and what to do; anything unknown counts as damage."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code not in _FACTS:
            return self.damaged(f"SQLite reports: {error}")
        fact, remedy = _FACTS[code]
        return StorageError(
            f"{self.title} {fact} ({error})",
            where=str(self.path),
            expected=f"a writable file, free within {self.busy_timeout_s:g} s",
            remedy=f"{remedy}; nothing was recorded",
        )

    def damaged(self, fact: str) -> StorageError:
        """Return the error that says that the file cannot be used."""
        return StorageError(
            f"{self.title} cannot be used: {fact}",
            where=self.where,
            expected="the file as this product wrote it",
            remedy=self.remedy,
            is_retryable=False,
        )
