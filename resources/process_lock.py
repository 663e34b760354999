"""One process at a time, on one machine or over a PostgreSQL server: locks that end with their holder.

Belongs here: taking such a lock, noticing that it was lost, saying who holds it. Does not belong here: what is done
while it is held.

A lock of PostgreSQL belongs to a session. It ends when the server notices that the session is gone, which may be before
its holder notices; whoever needs more than that asks `is_held` and waits before it relies on the lock (leader).
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from mlops_assets.domain.errors import StorageError
from resources.atomic_files import explained_write, make_folder
from resources.database_address import make_address
from resources.postgres_schema import first_line, is_passing

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.exc import DBAPIError

    from mlops_assets.config.models import Environment

_CONNECT_S = 5
_SILENCE_MS = 5_000  # of the network; longer, and the connection counts as broken
_APPLICATION = "mlops lock"


class ProcessLock(Protocol):
    """A lock of one name."""

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it. Raises StorageError if that cannot be known."""
        ...

    def is_held(self) -> bool:
        """Ask whether the lock is still ours; it is not if the answer is silence."""
        ...

    def holder(self) -> str:
        """Say who has the lock, for people; empty if that is not known."""
        ...

    def release(self) -> None:
        """Give the lock back."""
        ...


@dataclass
class FileLock:
    """Implements `ProcessLock` by a locked file; the kernel frees it when its holder dies."""

    path: Path
    _stream: IO[str] | None = field(default=None, init=False, repr=False)

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it; the file then names this process.

        Raises:
            StorageError: the file cannot be opened.
        """
        if self._stream is not None:
            return True
        make_folder(self.path.parent)
        with explained_write(self.path):
            stream = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            return False
        stream.truncate(0)
        stream.write(_own_name())
        stream.flush()
        self._stream = stream
        return True

    def is_held(self) -> bool:
        """Say whether it was taken; the kernel takes it away from nobody."""
        return self._stream is not None

    def holder(self) -> str:
        """Return what the holder has written."""
        return self.path.read_text(encoding="utf-8") if self.path.is_file() else ""

    def release(self) -> None:
        """Close the file, which frees it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


@dataclass
class PostgresLock:
    """Implements `ProcessLock` by an advisory lock of a session of its own.

    Attributes:
        address: returns the URL of the database.
        name: of the lock; all who use the same name in this database compete.
    """

    address: Callable[[], URL]
    name: str
    _connection: Connection | None = field(default=None, init=False, repr=False)

    def try_acquire(self) -> bool:
        """Take the lock if nobody has it.

        Raises:
            StorageError: the server cannot be asked.
        """
        from sqlalchemy.exc import DBAPIError

        if self._connection is not None:
            return True
        try:
            connection = self._engine().connect()
            if connection.exec_driver_sql(
                "SELECT pg_try_advisory_lock(hashtext('mlops'), hashtext(%(name)s))", {"name": self.name}
            ).scalar():
                self._connection = connection
                return True
            connection.close()
        except DBAPIError as error:
            raise self._unknown(error) from error
        return False

    def is_held(self) -> bool:
        """Ask the server over the session that took the lock; no answer means that it is lost."""
        from sqlalchemy.exc import DBAPIError

        if self._connection is None:
            return False
        try:
            return bool(self._connection.exec_driver_sql("SELECT true").scalar())
        except DBAPIError:
            self.release()
            return False

    def holder(self) -> str:
        """Return the session that holds the lock, as PostgreSQL shows it."""
        from sqlalchemy.exc import DBAPIError

        wanted = (
            "SELECT application_name || ', since ' || date_trunc('second', backend_start) FROM pg_stat_activity "
            "JOIN pg_locks USING (pid) WHERE locktype = 'advisory' AND granted "
            "AND classid = (hashtext('mlops')::bigint & 4294967295)::oid "
            "AND objid = (hashtext(%(name)s)::bigint & 4294967295)::oid"
        )
        try:
            with self._engine().connect() as connection:
                return str(connection.exec_driver_sql(wanted, {"name": self.name}).scalar() or "")
        except DBAPIError:
            return ""

    def release(self) -> None:
        """Close the session, which frees the lock."""
        from sqlalchemy.exc import DBAPIError

        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except DBAPIError:  # it is broken already
                connection.invalidate()

    def _engine(self) -> Engine:
        from sqlalchemy import NullPool, create_engine

        arguments = {
            "connect_timeout": _CONNECT_S,
            "application_name": f"{_APPLICATION} {self.name}: {_own_name()}"[:63],
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": _SILENCE_MS,
        }
        return create_engine(
            self.address(), poolclass=NullPool, connect_args=arguments, isolation_level="AUTOCOMMIT"
        )

    def _unknown(self, error: DBAPIError) -> StorageError:
        return StorageError(
            f"the lock `{self.name}` cannot be asked for ({first_line(error.orig)})",
            where=f"{self.address().host or 'localhost'}/{self.address().database}",
            expected="a PostgreSQL server that answers",
            remedy="see whether the server runs and lets this user in, then run again",
            is_retryable=is_passing(error),
        )


def open_lock(environment: Environment, home: Path, name: str) -> ProcessLock:
    """Return a lock that all processes of an environment see: on its database server, or on its one machine."""
    database = environment.database
    if database.kind == "postgresql":
        return PostgresLock(make_address(database, database.platform), name)
    return FileLock(home / "locks" / name)


def _own_name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
