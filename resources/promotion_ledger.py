"""The promotion ledger in one SQLite file: who is champion, decided by whom, when and why.

Belongs here: storing decisions append-only, the compare-and-swap on the champion pointer, and noticing
damage. Does not belong here: making decisions (domain/learning/gate) or MLflow aliases, which are a
projection of this ledger.

Why SQLite with a rollback journal and not WAL: decisions are rare, so that speed does not matter; all
committed state is in a single file that can be copied; `synchronous=EXTRA` survives a power cut.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import RegistryError, StaleChampionError, StorageError
from mlops_assets.domain.ports import CHAMPION_OUTCOMES, RecordedBatch
from resources.atomic_files import publish, temporary_path
from resources.file_lock import exclusive_lock
from resources.ledger_rows import decode_entry, encode_entry, is_same_decision
from resources.ledger_schema import (
    APPLICATION_ID,
    READABLE_VERSIONS,
    SCHEMA,
    SCHEMA_VERSION,
    migrate,
    read_schema_version,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mlops_assets.domain.ports import LedgerEntry, ModelSlot

_NO_ACCESS = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM}
)
_NO_PREDECESSOR = "0" * 64


class SqlitePromotionLedger:
    """Append-only ledger in one SQLite file; safe for any number of threads and processes.

    Each row carries a hash over its content and its predecessor's hash, so that an edited, lost or
    reordered row is noticed when it is read.

    Args:
        path: the ledger file; created with the first decision.
        busy_timeout_s: how long to wait for another writer, seconds.
    """

    def __init__(self, path: Path, busy_timeout_s: float = 60.0) -> None:
        self.path = path
        self.busy_timeout_s = busy_timeout_s

    def champion(self, slot: ModelSlot) -> LedgerEntry | None:
        """Return the entry that made the current champion, or None.

        Raises:
            StorageError: the ledger is damaged, or its pointer and its last promotion disagree.
        """
        if not self.path.exists():
            return None
        with self._opened() as connection, _transaction(connection, "DEFERRED"):
            return self._champion(connection, slot)

    def record(self, entry: LedgerEntry) -> LedgerEntry:
        """Append a decision; one that makes a champion compares `previous_version` with the pointer and swaps it.

        A ledger of an older schema is migrated first. Idempotent on `decision_id`: a repeated decision returns the
        entry stored first, whatever the
        clock says by then.

        Raises:
            StaleChampionError: the champion is another one than the evidence was gathered against.
            RegistryError: `decision_id` already names another decision, or the entry cannot be stored.
            StorageError: the ledger is damaged or stays locked.
        """
        content = encode_entry(entry)
        with self._writing() as connection:
            return self._record(connection, entry, content)

    def record_many(self, entries: Sequence[LedgerEntry]) -> RecordedBatch:
        """Append decisions in one transaction: one write to disk for a fleet, not one per group.

        Each follows the rules of `record`. One whose champion has changed is left out and returned as stale; anything
        else that is wrong with one leaves all of them out.

        Raises:
            RegistryError, StorageError: as `record`; nothing was recorded.
        """
        contents = [encode_entry(entry) for entry in entries]
        recorded, stale = [], []
        with self._writing() as connection:
            for entry, content in zip(entries, contents, strict=True):
                try:
                    recorded.append(self._record(connection, entry, content))
                except StaleChampionError:
                    stale.append(entry)
        return RecordedBatch(tuple(recorded), tuple(stale))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction in a ledger of the present schema."""
        self._create_if_missing()
        with self._opened() as connection:
            migrate(connection)
            with _transaction(connection, "IMMEDIATE"):
                yield connection

    def _record(self, connection: sqlite3.Connection, entry: LedgerEntry, content: str) -> LedgerEntry:
        recorded = self._find(connection, entry.decision_id)
        if recorded is not None:
            return _require_same(recorded, entry)
        if entry.makes_champion:
            _require_current(entry, self._champion(connection, entry.slot))
        return self._append(connection, entry, content)

    def history(self, slot: ModelSlot) -> list[LedgerEntry]:
        """Return all decisions of a slot, oldest first. Raises StorageError if a row is damaged."""
        query = (
            "SELECT * FROM linked_decision WHERE use_case = ? AND model = ? AND segment = ? ORDER BY sequence"
        )
        return self._select(query, _key(slot))

    def histories(self, use_case: str, model: str) -> dict[str, list[LedgerEntry]]:
        """Return the decisions of every slot of a model by segment. Raises StorageError if a row is damaged."""
        query = "SELECT * FROM linked_decision WHERE use_case = ? AND model = ? ORDER BY sequence"
        found: dict[str, list[LedgerEntry]] = {}
        for entry in self._select(query, (use_case, model)):
            found.setdefault(entry.slot.segment, []).append(entry)
        return found

    def slots(self) -> list[ModelSlot]:
        """Return every slot that has a decision, sorted. Raises StorageError if a row is damaged."""
        query = (
            "SELECT * FROM linked_decision WHERE sequence IN "
            "(SELECT min(sequence) FROM decision GROUP BY use_case, model, segment)"
        )
        return sorted((entry.slot for entry in self._select(query)), key=_key)

    def verify(self) -> int:
        """Read and check everything: file, hash chain, every pointer. Return the number of decisions.

        Raises:
            StorageError: what is damaged, and where.
        """
        if not self.path.exists():
            return 0
        with self._opened() as connection, _transaction(connection, "DEFERRED"):
            (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if answer != "ok":
                raise self._damaged(f"SQLite's integrity check says: {answer}")
            rows = connection.execute("SELECT * FROM linked_decision ORDER BY sequence")
            entries = [self._checked(row) for row in rows]
            for slot in {entry.slot for entry in entries}:
                self._champion(connection, slot)
                self._require_succession([e for e in entries if e.slot == slot and e.makes_champion])
            return len(entries)

    def _require_succession(self, promotions: list[LedgerEntry]) -> None:
        for earlier, later in pairwise(promotions):
            if later.previous_version != earlier.version:
                raise self._damaged(f"decision {later.decision_id} does not follow {earlier.decision_id}")

    def _select(self, query: str, parameters: tuple[str, ...] = ()) -> list[LedgerEntry]:
        if not self.path.exists():
            return []
        with self._opened() as connection:
            return [self._checked(row) for row in connection.execute(query, parameters)]

    def _find(self, connection: sqlite3.Connection, decision_id: str) -> LedgerEntry | None:
        query = "SELECT * FROM linked_decision WHERE decision_id = ?"
        row = connection.execute(query, (decision_id,)).fetchone()
        return self._checked(row) if row else None

    def _champion(self, connection: sqlite3.Connection, slot: ModelSlot) -> LedgerEntry | None:
        pointed, last_promotion = connection.execute(
            "SELECT (SELECT sequence FROM champion WHERE use_case = ?1 AND model = ?2 AND segment = ?3), "
            "(SELECT max(sequence) FROM decision "
            "WHERE use_case = ?1 AND model = ?2 AND segment = ?3 AND outcome IN (?4, ?5))",
            (*_key(slot), *CHAMPION_OUTCOMES),
        ).fetchone()
        if pointed != last_promotion:
            raise self._damaged(f"the champion pointer of {slot.registered_name} is not the last promotion")
        if pointed is None:
            return None
        query = "SELECT * FROM linked_decision WHERE sequence = ?"
        return self._checked(connection.execute(query, (pointed,)).fetchone())

    def _append(self, connection: sqlite3.Connection, entry: LedgerEntry, content: str) -> LedgerEntry:
        last = connection.execute(
            "SELECT chain_sha256 FROM decision ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        chain_sha256 = _chain(last[0] if last else _NO_PREDECESSOR, content)
        cursor = connection.execute(
            "INSERT INTO decision (decision_id, use_case, model, segment, outcome, content, chain_sha256) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (entry.decision_id, *_key(entry.slot), entry.outcome, content, chain_sha256),
        )
        if entry.makes_champion:
            connection.execute(
                "INSERT INTO champion (use_case, model, segment, sequence) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (use_case, model, segment) DO UPDATE SET sequence = excluded.sequence",
                (*_key(entry.slot), cursor.lastrowid),
            )
        return decode_entry(content)

    def _checked(self, row: tuple[int, str, str, str, str, str, str, str, str | None]) -> LedgerEntry:
        """Decode a row after comparing its columns and its hash with its content."""
        sequence, decision_id, use_case, model, segment, outcome, content, chain_sha256, predecessor = row
        if sequence > 1 and predecessor is None:
            raise self._damaged(f"row {sequence - 1} is missing")
        if _chain(predecessor or _NO_PREDECESSOR, content) != chain_sha256:
            raise self._damaged(f"row {sequence} (decision {decision_id}) does not match its hash")
        entry = decode_entry(content)
        columns = (entry.decision_id, *_key(entry.slot), entry.outcome)
        if columns != (decision_id, use_case, model, segment, outcome):
            raise self._damaged(f"row {sequence} (decision {decision_id}) contradicts its content")
        return entry

    def _create_if_missing(self) -> None:
        """Build the empty ledger aside and move it in place, so that an existing file is always whole."""
        if self.path.exists():
            return
        with exclusive_lock(self.path.with_name(f"{self.path.name}.lock"), self.busy_timeout_s):
            if self.path.exists():
                return
            temporary = temporary_path(self.path)
            connection = sqlite3.connect(temporary)
            try:
                connection.executescript(SCHEMA)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            finally:
                connection.close()
            publish(temporary, self.path)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Open the existing file, check that it is a ledger, and explain what SQLite complains about."""
        connection: sqlite3.Connection | None = None
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        try:
            connection = sqlite3.connect(address, uri=True, timeout=self.busy_timeout_s, isolation_level=None)
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute("PRAGMA foreign_keys = ON")
            self._require_ledger(connection)
            yield connection
        except sqlite3.Error as error:
            raise self._explained(error) from error
        finally:
            if connection is not None:
                connection.close()

    def _require_ledger(self, connection: sqlite3.Connection) -> None:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id != APPLICATION_ID:
            raise self._damaged("it is empty or not a promotion ledger")
        schema_version = read_schema_version(connection)
        if schema_version not in READABLE_VERSIONS:
            raise StorageError(
                f"the promotion ledger has schema version {schema_version}",
                where=str(self.path),
                expected=f"schema version {SCHEMA_VERSION} or older",
                remedy="use the release of mlops-assets that wrote the ledger, or a newer one",
                is_retryable=False,
            )

    def _explained(self, error: sqlite3.Error) -> StorageError:
        """Say what a complaint of SQLite means and what to do; anything unknown counts as damage."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            fact, remedy = "stayed locked", "see which process holds the file, then run again"
        elif code == sqlite3.SQLITE_FULL:
            fact, remedy = "has no room: the disk is full", "free space and run again"
        elif code in _NO_ACCESS:
            fact, remedy = (
                "cannot be accessed",
                "check disk, owner and permissions of file and folder",
            )
        else:
            return self._damaged(f"SQLite reports: {error}")
        return StorageError(
            f"the promotion ledger {fact} ({error})",
            where=str(self.path),
            expected=f"a writable file, free within {self.busy_timeout_s:g} s",
            remedy=f"{remedy}; nothing was recorded",
        )

    def _damaged(self, fact: str) -> StorageError:
        return StorageError(
            f"the promotion ledger cannot be trusted: {fact}",
            where=str(self.path),
            expected="an unchanged, append-only ledger",
            remedy="put the latest good copy of this file back; nothing is promoted or served until then",
            is_retryable=False,
        )


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _key(slot: ModelSlot) -> tuple[str, str, str]:
    return slot.use_case, slot.model, slot.segment


def _chain(predecessor_sha256: str, content: str) -> str:
    return hashlib.sha256(f"{predecessor_sha256}\n{content}".encode()).hexdigest()


def _require_current(entry: LedgerEntry, champion: LedgerEntry | None) -> None:
    """Refuse a promotion whose evidence was gathered against another champion."""
    current_version = champion.version if champion else None
    if current_version == entry.previous_version:
        return
    since = f" since {champion.decided_at_utc:%Y-%m-%d %H:%M:%S} UTC" if champion else ""
    raise StaleChampionError(
        f"version {entry.version} was compared with {_named(entry.previous_version)}, "
        f"but the champion is {_named(current_version)}{since}",
        where=f"{entry.slot.registered_name}, decision {entry.decision_id}",
        expected=f"the champion to be {_named(entry.previous_version)} still",
        remedy="evaluate the challenger against the current champion and decide again",
    )


def _named(version: str | None) -> str:
    return f"version {version}" if version is not None else "no champion"


def _require_same(recorded: LedgerEntry, entry: LedgerEntry) -> LedgerEntry:
    """Return the recorded entry if it is the same decision."""
    if is_same_decision(recorded, entry):
        return recorded
    raise RegistryError(
        f"the ledger already holds another decision under the id {entry.decision_id}",
        where=recorded.slot.registered_name,
        expected=f"{recorded.outcome} version {recorded.version}, evidence {recorded.evidence_sha256[:12]}",
        remedy="give every decision an id of its own, derived from slot, version and evidence",
    )
