"""People's releases of held deliveries over a database, and in one SQLite file: who, when, why, for which bytes.

Belongs here: storing releases append-only and finding them. Does not belong here: whether a release is
allowed (quality.held_deliveries), or what it leads to (feeds.landing).

A release is kept for ever: it explains why a delivery that looked broken was used. The file lies beside the
promotion ledger, and for the same reasons has a rollback journal: copied with it, all state in one file.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.quality.release_ports import FeedRelease
from mlops_assets.domain.written_text import find_text_fault
from resources.sql_database import prepare_tables
from resources.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from resources.sql_database import SqlConnection, SqlDatabase, SqlRow

_APPLICATION_ID = 0x6D6C6672  # "mlfr": tells this file from any other SQLite file
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE release (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  feed TEXT NOT NULL, geography TEXT NOT NULL, day TEXT NOT NULL, raw_sha256 TEXT NOT NULL,
  released_by TEXT NOT NULL CHECK (released_by <> ''),
  released_at_utc TEXT NOT NULL,
  note TEXT NOT NULL CHECK (note <> ''),
  UNIQUE (feed, geography, day, raw_sha256)
) STRICT;
CREATE TRIGGER release_never_changes BEFORE UPDATE ON release
  BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
CREATE TRIGGER release_never_goes BEFORE DELETE ON release
  BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
"""
_COLUMNS = "feed, geography, day, raw_sha256, released_by, released_at_utc, note"
_SELECT = f"SELECT {_COLUMNS} FROM release"  # noqa: S608 - a constant
_PLACES = ":feed, :geography, :day, :raw_sha256, :released_by, :released_at_utc, :note"
_INSERT = f"INSERT INTO release ({_COLUMNS}) VALUES ({_PLACES})"  # noqa: S608 - a constant
_ONE = "WHERE feed = :feed AND geography = :geography AND day = :day AND raw_sha256 = :raw_sha256"


class StoredFeedReleases:
    """Implements `release_ports.FeedReleases`; safe for any number of threads and processes.

    Args:
        database: has a table `release` as below.
    """

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    def prepare(self) -> str:
        """Create the tables, or bring them to this release's schema; return which. Raises StorageError."""
        return prepare_tables(self._database)

    def record(self, release: FeedRelease) -> FeedRelease:
        """Append a release; the same delivery again returns the release that was recorded first.

        Raises:
            StorageError: who or why is missing, the time has no zone, or the database cannot be written.
        """
        _require_complete(release, self._database.where)
        self._database.create_if_missing()
        key = _key(release.feed, release.geography, release.day, release.raw_sha256)
        with self._database.writing() as connection:
            found = _find(connection, key)
            if found is None:
                at_utc = release.released_at_utc.astimezone(dt.UTC).isoformat()
                why = {"released_by": release.released_by, "released_at_utc": at_utc, "note": release.note}
                connection.execute(_INSERT, {**key, **why})
        return found or release

    def find(self, feed: str, geography: str, day: dt.date, raw_sha256: str) -> FeedRelease | None:
        """Return the release of exactly these bytes, or None. Raises StorageError if it cannot be read."""
        if not self._database.exists():
            return None
        with self._database.reading() as connection:
            return _find(connection, _key(feed, geography, day, raw_sha256))

    def history(self) -> list[FeedRelease]:
        """Return all releases, oldest first. Raises StorageError if they cannot be read."""
        if not self._database.exists():
            return []
        with self._database.reading() as connection:
            found = connection.execute(f"{_SELECT} ORDER BY sequence", {}).fetchall()
            return [_decode(row) for row in found]


class SqliteFeedReleases(StoredFeedReleases):
    """Releases in one SQLite file.

    Args:
        path: the file; created with the first release.
        busy_timeout_s: how long to wait for another writer, seconds.
    """

    def __init__(self, path: Path, busy_timeout_s: float = 60.0) -> None:
        self.path = path
        file = SqliteFile(
            path=path,
            title="the record of feed releases",
            application_id=_APPLICATION_ID,
            schema_version=SCHEMA_VERSION,
            schema=_SCHEMA,
            remedy="put the latest good copy of this file back; held deliveries stay held until then",
            journal="DELETE",
            busy_timeout_s=busy_timeout_s,
        )
        super().__init__(file)


def _key(feed: str, geography: str, day: dt.date, raw_sha256: str) -> dict[str, str]:
    return {"feed": feed, "geography": geography, "day": day.isoformat(), "raw_sha256": raw_sha256}


def _find(connection: SqlConnection, key: Mapping[str, str]) -> FeedRelease | None:
    row = connection.execute(f"{_SELECT} {_ONE}", key).fetchone()
    return _decode(row) if row else None


def _decode(row: SqlRow) -> FeedRelease:
    return FeedRelease(
        feed=row["feed"],
        geography=row["geography"],
        day=dt.date.fromisoformat(row["day"]),
        raw_sha256=row["raw_sha256"],
        released_by=row["released_by"],
        released_at_utc=dt.datetime.fromisoformat(row["released_at_utc"]),
        note=row["note"],
    )


def _require_complete(release: FeedRelease, where: str) -> None:
    missing = [name for name in ("released_by", "note", "raw_sha256") if not getattr(release, name).strip()]
    if release.released_at_utc.utcoffset() is None:
        missing.append("the time zone of released_at_utc")
    if missing:
        raise StorageError(
            f"a release cannot be recorded without {' and '.join(missing)}",
            where=where,
            expected="who, when, why and the hash of the delivered file",
            remedy="say who releases and why; nothing was recorded",
            is_retryable=False,
        )
    for name in ("released_by", "note"):
        if fault := find_text_fault(getattr(release, name)):
            raise StorageError(
                f"a release cannot be recorded: {name} {fault}",
                where=where,
                expected="plain text",
                remedy="write it anew; nothing was recorded",
                is_retryable=False,
            )
