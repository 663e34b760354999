"""The tables of one store in a schema of its own on PostgreSQL: created whole, opened, complaints explained.

Belongs here: connecting, creating, transactions, what PostgreSQL's errors mean. Does not belong here: any table.

A connection lives as long as its block: nothing is shared between threads or over a fork, and a database that was
restarted is met by the next block. SQLAlchemy is imported at the first use.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.domain.errors import StorageError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.exc import DBAPIError

_POLL_S = 0.5
_CONNECT_S = 10
# A session that stands still within a transaction is ended: its locks would keep everybody else out.
_IDLE_IN_TRANSACTION_MS = 60_000
# Classes of SQLSTATE that pass by themselves: connection, resources, operator, transaction; and a lock not obtained.
_PASSING_CODES = ("08", "53", "57", "40", "55P03")
_FORBIDDEN = ("28", "42501", "3D000")
_VERSION_TABLE = "store_version"


class PostgresConnection:
    """Implements `sql_database.SqlConnection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Mapping[str, Any] | None = None, /) -> Any:
        """Run one statement with `:name` parameters; rows come by column name."""
        from sqlalchemy import text

        found = self._connection.execute(text(statement), dict(values or {}))
        return found.mappings() if found.returns_rows else found


@dataclass(frozen=True)
class PostgresSchema:
    """Implements `sql_database.SqlDatabase`; safe for any number of threads and processes.

    Attributes:
        address: returns the URL; called at each use, since it reads the password from the environment.
        name: of the schema.
        title: what it is, in messages, such as `the mail outbox`.
        schema_version: of `statements`.
        statements: make the empty tables.
        remedy: what to do when the content is damaged.
        has_one_writer: `writing` lets in one at a time.
        lock_timeout_s: how long to wait for another writer, seconds.
        patience_s: how long to try to connect, seconds; a step that fails nevertheless is repeated by its run.
    """

    address: Callable[[], URL]
    name: str
    title: str
    schema_version: int
    statements: str
    remedy: str
    has_one_writer: bool = True
    lock_timeout_s: float = 60.0
    patience_s: float = 20.0
    _known: list[bool] = field(default_factory=list, repr=False, compare=False)

    @property
    def where(self) -> str:
        """Host, database and schema, for messages."""
        url = self.address()
        return f"{url.host or 'localhost'}/{url.database}, schema {self.name}"

    def exists(self) -> bool:
        """Whether the tables are there; once seen they are not looked for again.

        Raises:
            StorageError: the database cannot be reached.
        """
        if not self._known:
            with self._connected() as connection:
                if self._read_version(connection) is None:
                    return False
            self._known.append(True)
        return True

    def create_if_missing(self) -> None:
        """Create schema and tables in one transaction; of several who try, one does it.

        Raises:
            StorageError: the database cannot be reached, or this user may not create a schema.
        """
        if self.exists():
            return
        with self._connected() as connection:
            self._lock(connection)
            if self._read_version(connection) is None:
                connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{self.name}"')
                connection.exec_driver_sql(self.statements)
                connection.exec_driver_sql(
                    f"CREATE TABLE {_VERSION_TABLE} AS SELECT {self.schema_version:d} AS version"
                )
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator[PostgresConnection]:
        """Open for reading; what the block reads is of one moment.

        Raises:
            StorageError: the database cannot be reached, or its tables are of another release.
        """
        with self._connected("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY") as connection:
            self._require_version(connection)
            yield PostgresConnection(connection)

    @contextmanager
    def writing(self) -> Iterator[PostgresConnection]:
        """Open in a transaction: all of the block is kept, durably, or nothing.

        If the connection breaks while the transaction is committed, nobody here knows which of the two it was.

        Raises:
            StorageError: the database cannot be reached or another writer does not end; its tables are of another
                release.
        """
        with self._connected("SET LOCAL synchronous_commit = on") as connection:
            if self.has_one_writer:
                self._lock(connection)
            self._require_version(connection)
            yield PostgresConnection(connection)
            connection.commit()

    def damaged(self, fact: str) -> StorageError:
        """Return the error that says that what is stored cannot be trusted."""
        return self._error(f"{self.title} cannot be trusted: {fact}", "the tables as this product wrote them")

    @contextmanager
    def _connected(self, first_statement: str = "") -> Iterator[Connection]:
        """Open a connection for a block; without a commit in it nothing is kept."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        engine = self._engine()
        try:
            with self._connect(engine) as connection:
                if first_statement:
                    connection.exec_driver_sql(first_statement)
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(self.lock_timeout_s * 1000)}")
                yield connection
        except DBAPIError as error:
            raise self._explained(error) from error
        except SQLAlchemyError as error:
            raise self.damaged(first_line(error)) from error
        finally:
            engine.dispose()

    def _engine(self) -> Engine:
        from sqlalchemy import NullPool, create_engine

        options = f"-csearch_path={self.name} -cidle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS}"
        arguments = {
            "connect_timeout": _CONNECT_S,
            "options": options,
            "application_name": f"mlops {self.name}",
            "keepalives_idle": 30,
            "tcp_user_timeout": 60_000,
        }
        return create_engine(self.address(), poolclass=NullPool, connect_args=arguments)

    def _connect(self, engine: Engine) -> Connection:
        """Connect, again and again while the server cannot be reached: nothing was asked of it so far."""
        from sqlalchemy.exc import DBAPIError

        give_up_s = time.monotonic() + self.patience_s
        while True:
            try:
                return engine.connect()
            except DBAPIError as error:
                if not is_passing(error) or time.monotonic() + _POLL_S > give_up_s:
                    raise
                time.sleep(_POLL_S)

    def _lock(self, connection: Connection) -> None:
        """Wait for other writers of this schema; the lock ends with the transaction, or with its holder."""
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(hashtext('mlops'), hashtext(%(name)s))", {"name": self.name}
        )

    def _read_version(self, connection: Connection) -> int | None:
        """Return the version of the tables, or None if there are none."""
        table = f'"{self.name}".{_VERSION_TABLE}'
        if connection.exec_driver_sql("SELECT to_regclass(%(table)s)", {"table": table}).scalar() is None:
            return None
        found = connection.exec_driver_sql(f"SELECT version FROM {table}").scalars().all()  # noqa: S608 - names of our own
        return int(found[0]) if len(found) == 1 else 0

    def _require_version(self, connection: Connection) -> None:
        version = self._read_version(connection)
        if version != self.schema_version:
            raise self._error(
                f"{self.title} has schema version {version}", f"schema version {self.schema_version}"
            )

    def _explained(self, error: DBAPIError) -> StorageError:
        """Say what a complaint of PostgreSQL means and what to do."""
        said = first_line(error.orig)
        if _code(error) == "55P03":
            fact, remedy = "stayed locked", "see in pg_stat_activity which session holds it, then run again"
        elif is_passing(error):
            fact, remedy = (
                "cannot be reached",
                "see whether the server runs and has connections left, then run again",
            )
        elif _is_refused(error):
            fact, remedy = "does not let us in", "check user, password and grants of the database"
        else:
            return self.damaged(f"PostgreSQL reports: {said}")
        return StorageError(
            f"{self.title} {fact} ({said})",
            where=self.where,
            expected="a PostgreSQL server that answers",
            remedy=f"{remedy}; unless this happened during a commit, nothing was recorded",
            is_retryable=not _is_refused(error),
        )

    def _error(self, fact: str, expected: str) -> StorageError:
        return StorageError(fact, where=self.where, expected=expected, remedy=self.remedy, is_retryable=False)


def is_passing(error: DBAPIError) -> bool:
    """Whether the same may succeed later: the connection could not be had or broke, or the server was busy."""
    from sqlalchemy.exc import OperationalError

    if _code(error):
        return _code(error).startswith(_PASSING_CODES)
    return (isinstance(error, OperationalError) or error.connection_invalidated) and not _is_refused(error)


def first_line(error: object) -> str:
    """Return the first line of what an error says."""
    return (str(error).splitlines() or [""])[0]


def _code(error: DBAPIError) -> str:
    """Return the SQLSTATE; empty where there was no session yet, or none any more."""
    return str(getattr(error.orig, "pgcode", None) or "")


def _is_refused(error: DBAPIError) -> bool:
    """Whether the server knows no such user, password or database, or grants too little."""
    said = str(error.orig)
    is_unknown = not _code(error) and ("authentication failed" in said or "does not exist" in said)
    return is_unknown or _code(error).startswith(_FORBIDDEN)
