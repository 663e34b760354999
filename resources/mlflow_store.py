"""Opening an MLflow store so that no two processes create or upgrade it at the same time.

Belongs here: the first use of a store (defaults, creation, upgrade, quiet logs). Does not belong
here: what is tracked or registered in it (resources.mlflow_registry).

MLflow costs about three CPU seconds to import, so it is imported inside functions only.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import warnings
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import RegistryError, StorageError
from resources.atomic_files import publish, sweep_leftovers, temporary_path
from resources.file_lock import exclusive_lock
from resources.postgres_schema import first_line, is_passing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient

_SQLITE_PREFIX = "sqlite:///"
_POSTGRES_PREFIX = "postgresql"
_LONGEST_CREATION_S = 3600.0
_CHATTY_LOGGERS = ("mlflow.store.db.utils", "alembic.runtime.migration", "alembic.runtime.plugins")


def set_mlflow_defaults() -> None:
    """Switch off MLflow's usage reports and progress bars, unless the user has decided otherwise.

    Has to run before MLflow is imported, because MLflow opens its reporting channel on import.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def sqlite_file(tracking_uri: str) -> Path | None:
    """Return the database file of a `sqlite:///` address, or None for a server's address."""
    if not tracking_uri.startswith(_SQLITE_PREFIX):
        return None
    return Path(tracking_uri.removeprefix(_SQLITE_PREFIX))


def open_client(tracking_uri: str, artifact_root_uri: str | None) -> MlflowClient:
    """Return a client whose store exists and has the schema of this MLflow.

    Args:
        tracking_uri: `sqlite:///FILE`, `postgresql+psycopg2://...` or the address of an MLflow server.
        artifact_root_uri: where a new SQLite store puts the artifacts of its default experiment.

    Raises:
        RegistryError: the store cannot be opened, or a newer MLflow wrote it.
    """
    set_mlflow_defaults()
    _import_stores()
    from mlflow import MlflowClient

    database = sqlite_file(tracking_uri)
    with (
        quiet_mlflow(),
        explained_as_registry_error(shown_address(tracking_uri)),
        store_lock(tracking_uri),
    ):
        if database is not None:
            if database.exists():
                _upgrade_if_outdated(tracking_uri, database)
            else:
                _create(database, artifact_root_uri)
        elif tracking_uri.startswith(_POSTGRES_PREFIX):
            _create_tables(tracking_uri, artifact_root_uri)
        return MlflowClient(tracking_uri, tracking_uri)


def upgrade_database(tracking_uri: str) -> None:
    """Bring the tables of a PostgreSQL database to this MLflow's schema, if they are older.

    For the migration before a roll-out alone: whoever else opened it would take the tables from under processes of the
    release before. A SQLite file, which one machine uses, is upgraded as it is opened.

    Raises:
        RegistryError: the tables cannot be upgraded, or a newer MLflow wrote them; they are what they were.
        StorageError: the server cannot be reached.
    """
    if not tracking_uri.startswith(_POSTGRES_PREFIX):
        return
    set_mlflow_defaults()
    _import_stores()
    with quiet_mlflow(), store_lock(tracking_uri):
        _upgrade_if_outdated(tracking_uri)


@contextmanager
def store_lock(tracking_uri: str) -> Iterator[None]:
    """Hold the store's lock: for creating it, upgrading it, and look-then-write operations. A server has none."""
    database = sqlite_file(tracking_uri)
    if database is not None:
        with exclusive_lock(database.with_name(f"{database.name}.lock")):
            yield
    elif tracking_uri.startswith(_POSTGRES_PREFIX):
        with _postgres_lock(tracking_uri):
            yield
    else:
        yield


@contextmanager
def _postgres_lock(tracking_uri: str) -> Iterator[None]:
    """Hold an advisory lock of the database; the server frees it when its holder dies."""
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import OperationalError

    engine = create_engine(tracking_uri, poolclass=NullPool)
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise StorageError(
            f"the model registry cannot be reached ({first_line(error.orig)})",
            where=shown_address(tracking_uri),
            expected="a PostgreSQL server that answers",
            remedy="see whether the server runs and lets this user in, then run again",
            is_retryable=is_passing(error),
        ) from error
    with connection, connection.begin():
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('mlops'), hashtext('mlflow'))")
        yield


def shown_address(tracking_uri: str) -> str:
    """Return a store's address for messages, without the password."""
    if not tracking_uri.startswith(_POSTGRES_PREFIX):
        return tracking_uri
    from sqlalchemy import make_url

    return make_url(tracking_uri).set(query={}).render_as_string(hide_password=True)


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Drop the progress messages of creation and migration; warnings and errors still show."""
    loggers = [logging.getLogger(name) for name in _CHATTY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def explained_as_registry_error(where: str, remedy: str = "") -> Iterator[None]:
    """Turn MLflow's exception into a RegistryError that says where and what to do."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise RegistryError(
            f"MLflow refused: {first_line(error)}",
            where=where,
            expected="a reachable MLflow store of the pinned version that holds what was asked for",
            remedy=remedy or "check the name, the tracking address and the MLflow version",
        ) from error


def _import_stores() -> None:
    """Import MLflow's SQL stores without the one warning they cause under SQLAlchemy 2.1."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="The ``noload`` loader strategy", category=DeprecationWarning
        )
        from mlflow.store.model_registry import sqlalchemy_store as _registry_store  # noqa: F401
        from mlflow.store.tracking import sqlalchemy_store as _tracking_store  # noqa: F401


def _create(database: Path, artifact_root_uri: str | None) -> None:
    """Build a fresh store aside and move it in place: a killed creation leaves nothing half-built."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    sweep_leftovers(database.parent, older_than_s=_LONGEST_CREATION_S)
    temporary = temporary_path(database)
    root_uri = artifact_root_uri or (database.parent / "artifacts").as_uri()
    store = SqlAlchemyStore(f"{_SQLITE_PREFIX}{temporary}", root_uri)
    store.engine.dispose()
    publish(temporary, database)


def _create_tables(tracking_uri: str, artifact_root_uri: str | None) -> None:
    """Create the tables of a database that has none; older ones are refused, see `upgrade_database`."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(tracking_uri, artifact_root_uri).engine.dispose()


def _upgrade_if_outdated(tracking_uri: str, file: Path | None = None) -> None:
    """Bring older tables to this MLflow's schema; of a file, a copy is kept before."""
    from alembic.util import CommandError
    from mlflow.store.db import utils
    from sqlalchemy.exc import SQLAlchemyError

    engine = utils.create_sqlalchemy_engine(tracking_uri)
    try:
        found = utils._get_schema_version(engine)  # noqa: SLF001 - MLflow has no public call for this
        is_empty_server = file is None and found is None
        if is_empty_server or found == utils._get_latest_schema_revision():  # noqa: SLF001
            return
        if file is not None:
            _back_up(file, file.with_name(f"{file.name}.before-{found}"))
        utils._upgrade_db(engine)  # noqa: SLF001 - what `mlflow db upgrade` runs
    except (SQLAlchemyError, CommandError, sqlite3.Error) as error:
        raise _unusable(shown_address(tracking_uri), file, error) from error
    finally:
        engine.dispose()


def _back_up(database: Path, copy: Path) -> None:
    temporary = temporary_path(copy)
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(temporary)) as target:
        source.backup(target)
    publish(temporary, copy)


def _unusable(where: str, file: Path | None, error: Exception) -> RegistryError:
    remedy = (
        "restore the file (a copy `*.before-<revision>` beside it is older than the upgrade)"
        if file
        else "run the release that wrote it or a newer one, or restore the database"
    )
    return RegistryError(
        f"the MLflow store cannot be opened or upgraded: {first_line(error)}",
        where=str(file) if file else where,
        expected="a store written by this or an older MLflow",
        remedy=f"{remedy}, or move it away to start afresh; champions are unaffected, the promotion ledger names them",
    )
