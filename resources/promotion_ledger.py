"""The promotion ledger in one SQLite file.

Belongs here: the file of a ledger, its migration and its damage. Does not belong here: how decisions are recorded and
read (stored_ledger).

Why SQLite with a rollback journal and not WAL: decisions are rare, so that speed does not matter; all
committed state is in a single file that can be copied; `synchronous=EXTRA` survives a power cut.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlops_assets.domain.errors import StorageError
from resources.ledger_schema import (
    APPLICATION_ID,
    READABLE_VERSIONS,
    SCHEMA,
    SCHEMA_VERSION,
    migrate,
)
from resources.sqlite_file import SqliteFile
from resources.stored_ledger import StoredPromotionLedger

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from resources.sql_database import SqlConnection


@dataclass(frozen=True)
class _LedgerFile(SqliteFile):
    """A file of ours that is evidence, and that may come from an older release."""

    journal: Literal["WAL", "DELETE"] = "DELETE"
    older_versions: frozenset[int] = READABLE_VERSIONS

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open the file in a transaction, brought to the present schema before."""
        with self.opened() as connection:
            migrate(connection)
        with super().writing() as connection:
            yield connection

    def damaged(self, fact: str) -> StorageError:
        """Return the error that says that the ledger cannot be trusted."""
        return StorageError(
            f"{self.title} cannot be trusted: {fact}",
            where=self.where,
            expected="an unchanged, append-only ledger",
            remedy=self.remedy,
            is_retryable=False,
        )


class SqlitePromotionLedger(StoredPromotionLedger):
    """Append-only ledger in one SQLite file; safe for any number of threads and processes.

    Args:
        path: the ledger file; created with the first decision.
        busy_timeout_s: how long to wait for another writer, seconds.
    """

    def __init__(self, path: Path, busy_timeout_s: float = 60.0) -> None:
        self.path = path
        file = _LedgerFile(
            path=path,
            title="the promotion ledger",
            application_id=APPLICATION_ID,
            schema_version=SCHEMA_VERSION,
            schema=SCHEMA,
            remedy="put the latest good copy of this file back; nothing is promoted or served until then",
            busy_timeout_s=busy_timeout_s,
        )
        super().__init__(file)

    def _require_sound(self, connection: SqlConnection) -> None:
        answer = connection.execute("PRAGMA integrity_check(1)", {}).fetchone()["integrity_check"]
        if answer != "ok":
            raise self._damaged(f"SQLite's integrity check says: {answer}")
