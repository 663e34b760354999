"""What a store of decisions or mails asks of its database, be it a SQLite file or a schema on PostgreSQL.

Belongs here: the interface between the stores and the databases. Does not belong here: a statement of any store, or
what a database's errors mean.

Both databases take the same statements with `:name` parameters and give rows by column name, so that each store is
written once. What differs (types, triggers, how rows are locked) is in the schemas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from mlops_assets.domain.errors import StorageError


class SqlRow(Protocol):
    """One row."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the value of a column."""
        ...


class SqlResult(Protocol):
    """What a statement has returned."""

    def fetchone(self) -> Any:
        """Return the next row (SqlRow), or None."""
        ...

    def fetchall(self) -> Sequence[Any]:
        """Return the rows (SqlRow) that are left."""
        ...


class SqlConnection(Protocol):
    """An open connection."""

    def execute(self, statement: str, values: Mapping[str, Any] = ..., /) -> SqlResult:
        """Run one statement with `:name` parameters."""
        ...


class SqlDatabase(Protocol):
    """The tables of one store."""

    @property
    def where(self) -> str:
        """Where it is, for messages; never a password."""
        ...

    def exists(self) -> bool:
        """Whether the tables are there; nothing is created. Raises StorageError if that cannot be known."""
        ...

    def create_if_missing(self) -> None:
        """Create the empty tables, all at once or not at all. Raises StorageError."""
        ...

    def reading(self) -> AbstractContextManager[SqlConnection]:
        """Open for reading: what the block reads is of one moment. Raises StorageError."""
        ...

    def writing(self) -> AbstractContextManager[SqlConnection]:
        """Open in a transaction: all of the block is kept, or nothing. Raises StorageError."""
        ...

    def damaged(self, fact: str) -> StorageError:
        """Return the error that says that what is stored cannot be used."""
        ...


@runtime_checkable
class Preparable(Protocol):
    """A store with a schema of its own."""

    def prepare(self) -> str:
        """Create the schema or bring it to this release's; return which, in words. Raises PlatformError."""
        ...


def prepare_tables(database: SqlDatabase) -> str:
    """Create tables, or bring them to this release's schema.

    Raises:
        StorageError: they cannot be reached, or are of a newer release.
    """
    was_there = database.exists()
    database.create_if_missing()
    with database.writing():  # opening for writing migrates, and refuses what is newer
        return "up to date" if was_there else "created"
