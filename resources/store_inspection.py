"""Looking at stores without changing them: schemas beside this release's, Dagster's history, leftovers, the disk.

Belongs here: reading what is there, and saying that it is not there. Does not belong here: creating or migrating
(migration), or what follows from what is found (mlops_assets.commands.doctor).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import yaml

from resources.atomic_files import fsync_dir, is_temporary
from resources.dagster_instance import render_instance
from resources.mlflow_store import sqlite_file

if TYPE_CHECKING:
    import dagster as dg

    from mlops_assets.config.models import Environment

# What Dagster has of its own once it has worked on one machine; it would create what is missing of them.
_INSTANCE_FILES = ("dagster.yaml", "history/runs.db", "schedules/schedules.db", "event_log.db")
# File systems without rename that replaces, or with fsync and locks that only seem to work.
_WEAK_SYSTEMS = {
    "vfat",
    "msdos",
    "exfat",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "drvfs",
    "nfs",
    "nfs4",
    "fuse.gcsfuse",
}


def registry_schema(tracking_uri: str) -> tuple[str | None, str] | None:
    """Return the schema revision of an MLflow store and the one of this MLflow; None if there is no store.

    Raises:
        SQLAlchemyError: the database cannot be read.
    """
    from mlflow.store.db.utils import _get_latest_schema_revision
    from sqlalchemy import NullPool, create_engine, inspect, text

    file = sqlite_file(tracking_uri)
    if file is not None and not file.exists():
        return None
    address = f"sqlite:///file:{file}?mode=ro&uri=true" if file is not None else tracking_uri
    engine = create_engine(address, poolclass=NullPool)
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found, _get_latest_schema_revision()


@contextmanager
def existing_instance(environment: Environment, dagster_home: Path) -> Iterator[dg.DagsterInstance | None]:
    """Open Dagster's instance for looking; None if there is none yet. Neither tables nor settings are created."""
    import dagster as dg

    is_server = environment.database.kind == "postgresql"
    if not is_server and not all((dagster_home / name).is_file() for name in _INSTANCE_FILES):
        yield None
        return
    with TemporaryDirectory(prefix="mlops-doctor-") as folder, _dagster_home(dagster_home):
        if is_server:
            (Path(folder) / "dagster.yaml").write_text(_settings_for_looking(environment), encoding="utf-8")
        with dg.DagsterInstance.from_config(folder if is_server else str(dagster_home)) as instance:
            yield instance


@contextmanager
def _dagster_home(folder: Path) -> Iterator[None]:
    """Let settings that name DAGSTER_HOME mean this folder."""
    before = os.environ.get("DAGSTER_HOME")
    os.environ["DAGSTER_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["DAGSTER_HOME"]
        else:
            os.environ["DAGSTER_HOME"] = before


def _settings_for_looking(environment: Environment) -> str:
    settings = yaml.safe_load(render_instance(environment))
    settings["storage"]["postgres"]["should_autocreate_tables"] = False
    return str(yaml.safe_dump(settings))


def find_leftovers(folder: Path, older_than_s: float) -> list[Path]:
    """Return temporary files of interrupted writes below a folder; younger ones may belong to a living writer."""
    oldest_s = time.time() - older_than_s
    found = []
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place, name)
            with suppress(FileNotFoundError):  # its writer is done
                if is_temporary(name) and path.lstat().st_mtime < oldest_s:
                    found.append(path)
    return found


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    while not folder.is_dir():
        folder = folder.parent
    return folder


def missing_abilities(folder: Path) -> list[str]:
    """Return what a folder's file system lacks of what atomic writes need; nothing is written.

    Raises:
        OSError: the folder cannot be opened or made durable.
    """
    fsync_dir(folder)
    lacks = []
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        pass  # somebody holds it, so locks work
    except OSError as error:
        lacks.append(f"locks ({error.strerror})")
    finally:
        os.close(descriptor)
    system = file_system(folder)
    if system in _WEAK_SYSTEMS:
        lacks.append(
            f"a file system on which rename, fsync and SQLite's locks can be relied on (it is {system})"
        )
    return lacks


def file_system(folder: Path) -> str:
    """Return the type of the file system that holds a folder; empty where the system does not tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.is_file():
        return ""
    best, kind = "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, system, *_ = line.split()
        point = point.replace("\\040", " ")
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, system
    return kind


def sqlite_versions(title: str, path: Path) -> tuple[int, int] | None:
    """Return the schema version of one of our SQLite stores and this release's; None if there is no file.

    Args:
        title: `promotion ledger` or `mail outbox`.
        path: its file.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    from resources.ledger_schema import SCHEMA_VERSION as LEDGER
    from resources.outbox_rows import SCHEMA_VERSION as OUTBOX

    if not path.is_file():
        return None
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found), {"promotion ledger": LEDGER, "mail outbox": OUTBOX}[title]
