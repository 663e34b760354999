"""Dagster's event log in one SQLite file, over connections that stay open.

Belongs here: the three changes to Dagster's own storage that a laptop needs. Its SQLite storages make a new
SQLAlchemy engine for every statement and so compile every statement anew; with some 200 events a day's run,
that was a third of the run's own CPU time. And each of a day's 1,600 commits waited for the disk, a seventh of
its wall time: with `synchronous = NORMAL` a power cut may cost the last lines of this log, never its consistency
(https://www.sqlite.org/pragma.html#pragma_synchronous). And for each event of an asset or check it looks up whether
its schema has a table or a column, for which it makes an engine, too: what was found there is not looked up again.
What must not be lost, the lake and the promotion ledger, is elsewhere. Does not belong here: any change of what is
stored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event


class KeptConnectionEventLogStorage(ConsolidatedSqliteEventLogStorage):
    """Stores what its base stores, where its base stores it; to be named in dagster.yaml."""

    _engine: Engine | None = None
    _engine_pid = 0

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._known_tables: set[str] = set()
        self._known_asset_columns: set[str] = set()
        super().__init__(base_dir, inst_data)

    def has_table(self, table_name: str) -> bool:
        """Return whether the schema has a table: no migration of Dagster's takes one away."""
        if table_name not in self._known_tables and super().has_table(table_name):
            self._known_tables.add(table_name)
        return table_name in self._known_tables

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        known = self._known_asset_columns
        if column_name not in known and super()._has_asset_key_col_on_connection(conn, column_name):
            known.add(column_name)
        return column_name in known

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._kept_engine().connect() as connection, connection.begin():
            yield connection

    def _kept_engine(self) -> Engine:
        # A SQLite connection must not be used on both sides of a fork.
        if self._engine is None or self._engine_pid != os.getpid():
            self._engine = create_engine(
                self._conn_string, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            event.listen(self._engine, "connect", _sync_at_checkpoints)
            self._engine_pid = os.getpid()
        return self._engine

    def dispose(self) -> None:
        """Close the connections of this process."""
        if self._engine is not None and self._engine_pid == os.getpid():
            self._engine.dispose()
        self._engine = None
        super().dispose()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the connections behind."""
        return {**self.__dict__, "_engine": None}


def _sync_at_checkpoints(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL").close()
