"""People's releases of held deliveries in one SQLite file: who, when, why, for which bytes.

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
from resources.sqlite_file import SqliteFile

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_APPLICATION_ID = 0x6D6C6672  # "mlfr": tells this file from any other SQLite file
_SCHEMA_VERSION = 1
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
_INSERT = f"INSERT INTO release ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - a constant
_ONE = "WHERE feed = ? AND geography = ? AND day = ? AND raw_sha256 = ?"


class SqliteFeedReleases:
    """Implements `release_ports.FeedReleases`; safe for any number of threads and processes.

    Args:
        path: the file; created with the first release.
        busy_timeout_s: how long to wait for another writer, seconds.
    """

    def __init__(self, path: Path, busy_timeout_s: float = 60.0) -> None:
        self.path = path
        self._file = SqliteFile(
            path=path,
            title="the record of feed releases",
            application_id=_APPLICATION_ID,
            schema_version=_SCHEMA_VERSION,
            schema=_SCHEMA,
            remedy="put the latest good copy of this file back; held deliveries stay held until then",
            journal="DELETE",
            busy_timeout_s=busy_timeout_s,
        )

    def record(self, release: FeedRelease) -> FeedRelease:
        """Append a release; the same delivery again returns the release that was recorded first.

        Raises:
            StorageError: who or why is missing, the time has no zone, or the file cannot be written.
        """
        _require_complete(release, str(self.path))
        self._file.create_if_missing()
        with self._file.writing() as connection:
            found = _find(connection, _key(release))
            if found is None:
                at_utc = release.released_at_utc.astimezone(dt.UTC).isoformat()
                row = (*_key(release), release.released_by, at_utc, release.note)
                connection.execute(_INSERT, row)
        return found or release

    def find(self, feed: str, geography: str, day: dt.date, raw_sha256: str) -> FeedRelease | None:
        """Return the release of exactly these bytes, or None. Raises StorageError if the file is damaged."""
        if not self.path.exists():
            return None
        with self._file.opened() as connection:
            return _find(connection, (feed, geography, day.isoformat(), raw_sha256))

    def history(self) -> list[FeedRelease]:
        """Return all releases, oldest first. Raises StorageError if the file is damaged."""
        if not self.path.exists():
            return []
        with self._file.opened() as connection:
            return [_decode(row) for row in connection.execute(f"{_SELECT} ORDER BY sequence")]


def _key(release: FeedRelease) -> tuple[str, str, str, str]:
    return release.feed, release.geography, release.day.isoformat(), release.raw_sha256


def _find(connection: sqlite3.Connection, key: tuple[str, str, str, str]) -> FeedRelease | None:
    row = connection.execute(f"{_SELECT} {_ONE}", key).fetchone()
    return _decode(row) if row else None


def _decode(row: tuple[str, ...]) -> FeedRelease:
    feed, geography, day, raw_sha256, released_by, released_at_utc, note = row
    return FeedRelease(
        feed=feed,
        geography=geography,
        day=dt.date.fromisoformat(day),
        raw_sha256=raw_sha256,
        released_by=released_by,
        released_at_utc=dt.datetime.fromisoformat(released_at_utc),
        note=note,
    )


def _require_complete(release: FeedRelease, where: str) -> None:
    missing = [name for name in ("released_by", "note", "raw_sha256") if not getattr(release, name).strip()]
    if release.released_at_utc.utcoffset() is None:
        missing.append("the time zone of released_at_utc")
    if missing:
        error = StorageError(
            f"a release cannot be recorded without {' and '.join(missing)}",
            where=where,
            expected="who, when, why and the hash of the delivered file",
            remedy="say who releases and why; nothing was recorded",
        )
        error.is_retryable = False
        raise error
