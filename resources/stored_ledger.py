"""The promotion ledger over a database: who is champion, decided by whom, when and why.

Belongs here: storing decisions append-only, the compare-and-swap on the champion pointer, and noticing damage. Does
not belong here: making decisions (domain/learning/gate), what the database is (promotion_ledger, postgres_stores), or
MLflow aliases, which are a projection of this ledger.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import RegistryError, StaleChampionError
from mlops_assets.domain.learning.approval import GATE
from mlops_assets.domain.ports import CHAMPION_OUTCOMES, RecordedBatch
from resources.json_logs import log_fact
from resources.ledger_rows import decode_entry, encode_entry, is_same_decision
from resources.sql_database import prepare_tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlops_assets.domain.errors import StorageError
    from mlops_assets.domain.ports import LedgerEntry, ModelSlot
    from resources.sql_database import SqlConnection, SqlDatabase, SqlRow

_NO_PREDECESSOR = "0" * 64
_OF_SLOT = "use_case = :use_case AND model = :model AND segment = :segment"
_LINKED = "SELECT * FROM linked_decision"
_HISTORY = f"{_LINKED} WHERE {_OF_SLOT} ORDER BY sequence"
_OF_MODEL = f"{_LINKED} WHERE use_case = :use_case AND model = :model ORDER BY sequence"
_FIRST_OF_SLOTS = (
    f"{_LINKED} WHERE sequence IN (SELECT min(sequence) FROM decision GROUP BY use_case, model, segment)"  # noqa: S608 - names of our own
)
# The last decision that made a champion must be the one that the pointer names.
_POINTED = f"""
SELECT (SELECT sequence FROM champion WHERE {_OF_SLOT}) AS pointed,
  (SELECT max(sequence) FROM decision WHERE {_OF_SLOT} AND outcome IN (:promoted, :rolled_back)) AS last
"""  # noqa: S608 - constants
_LAST = "SELECT chain_sha256 FROM decision ORDER BY sequence DESC LIMIT 1"
_INSERT = """
INSERT INTO decision (decision_id, use_case, model, segment, outcome, content, chain_sha256)
VALUES (:decision_id, :use_case, :model, :segment, :outcome, :content, :chain_sha256) RETURNING sequence
"""
_POINT = """
INSERT INTO champion (use_case, model, segment, sequence) VALUES (:use_case, :model, :segment, :sequence)
ON CONFLICT (use_case, model, segment) DO UPDATE SET sequence = excluded.sequence
"""


class StoredPromotionLedger:
    """Append-only ledger; safe for any number of threads and processes.

    Each row carries a hash over its content and its predecessor's hash, so that an edited, lost or
    reordered row is noticed when it is read.

    Args:
        database: whose `writing` lets one writer in at a time; its tables are those of ledger_schema.
    """

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    def prepare(self) -> str:
        """Create the tables, or bring them to this release's schema; return which. Raises StorageError."""
        return prepare_tables(self._database)

    def champion(self, slot: ModelSlot) -> LedgerEntry | None:
        """Return the entry that made the current champion, or None.

        Raises:
            StorageError: the ledger is damaged, or its pointer and its last promotion disagree.
        """
        if not self._database.exists():
            return None
        with self._database.reading() as connection:
            return self._champion(connection, slot)

    def record(self, entry: LedgerEntry) -> LedgerEntry:
        """Append a decision; one that makes a champion compares `previous_version` with the pointer and swaps it.

        A ledger of an older schema is migrated first. Idempotent on `decision_id`: a repeated decision returns the
        entry stored first, whatever the clock says by then. So a caller that does not know whether its decision was
        kept (the connection broke as it was committed) repeats it.

        Raises:
            StaleChampionError: the champion is another one than the evidence was gathered against.
            RegistryError: `decision_id` already names another decision, or the entry cannot be stored.
            StorageError: the ledger is damaged or stays locked.
        """
        content = encode_entry(entry)
        self._database.create_if_missing()
        with self._database.writing() as connection:
            recorded, is_new = self._record(connection, entry, content)
        if is_new:
            _tell(recorded)
        return recorded

    def record_many(self, entries: Sequence[LedgerEntry]) -> RecordedBatch:
        """Append decisions in one transaction: one write to disk for a fleet, not one per group.

        Each follows the rules of `record`. One whose champion has changed is left out and returned as stale; anything
        else that is wrong with one leaves all of them out.

        Raises:
            RegistryError, StorageError: as `record`; nothing was recorded.
        """
        contents = [encode_entry(entry) for entry in entries]
        recorded, told, stale = [], [], []
        self._database.create_if_missing()
        with self._database.writing() as connection:
            for entry, content in zip(entries, contents, strict=True):
                try:
                    found, is_new = self._record(connection, entry, content)
                    recorded.append(found)
                    told += [found] * is_new
                except StaleChampionError:  # found before anything is written
                    stale.append(entry)
        for entry in told:  # only what was kept
            _tell(entry)
        return RecordedBatch(tuple(recorded), tuple(stale))

    def _record(
        self, connection: SqlConnection, entry: LedgerEntry, content: str
    ) -> tuple[LedgerEntry, bool]:
        """Return the recorded entry, and whether it is new."""
        recorded = self._find(connection, entry.decision_id)
        if recorded is not None:
            return _require_same(recorded, entry), False
        if entry.makes_champion:
            _require_current(entry, self._champion(connection, entry.slot))
        return self._append(connection, entry, content), True

    def history(self, slot: ModelSlot) -> list[LedgerEntry]:
        """Return all decisions of a slot, oldest first. Raises StorageError if a row is damaged."""
        return self._select(_HISTORY, _slot_values(slot))

    def histories(self, use_case: str, model: str) -> dict[str, list[LedgerEntry]]:
        """Return the decisions of every slot of a model by segment. Raises StorageError if a row is damaged."""
        found: dict[str, list[LedgerEntry]] = {}
        for entry in self._select(_OF_MODEL, {"use_case": use_case, "model": model}):
            found.setdefault(entry.slot.segment, []).append(entry)
        return found

    def slots(self) -> list[ModelSlot]:
        """Return every slot that has a decision, sorted. Raises StorageError if a row is damaged."""
        return sorted((entry.slot for entry in self._select(_FIRST_OF_SLOTS, {})), key=_key)

    def verify(self) -> int:
        """Read and check everything: database, hash chain, every pointer. Return the number of decisions.

        Raises:
            StorageError: what is damaged, and where.
        """
        if not self._database.exists():
            return 0
        with self._database.reading() as connection:
            self._require_sound(connection)
            rows = connection.execute(f"{_LINKED} ORDER BY sequence", {}).fetchall()
            by_slot: dict[ModelSlot, list[LedgerEntry]] = {}
            for row in rows:
                entry = self._checked(row)
                by_slot.setdefault(entry.slot, []).append(entry)
            for slot, decisions in by_slot.items():
                self._champion(connection, slot)
                self._require_succession([entry for entry in decisions if entry.makes_champion])
            return len(rows)

    def _require_sound(self, connection: SqlConnection) -> None:
        """Let the database check itself; a server does that by its own means."""

    def _require_succession(self, promotions: list[LedgerEntry]) -> None:
        for earlier, later in pairwise(promotions):
            if later.previous_version != earlier.version:
                raise self._damaged(f"decision {later.decision_id} does not follow {earlier.decision_id}")

    def _select(self, query: str, values: Mapping[str, str]) -> list[LedgerEntry]:
        if not self._database.exists():
            return []
        with self._database.reading() as connection:
            return [self._checked(row) for row in connection.execute(query, values).fetchall()]

    def _find(self, connection: SqlConnection, decision_id: str) -> LedgerEntry | None:
        query = f"{_LINKED} WHERE decision_id = :decision_id"
        row = connection.execute(query, {"decision_id": decision_id}).fetchone()
        return self._checked(row) if row else None

    def _champion(self, connection: SqlConnection, slot: ModelSlot) -> LedgerEntry | None:
        outcomes = dict(zip(("promoted", "rolled_back"), CHAMPION_OUTCOMES, strict=True))
        row = connection.execute(_POINTED, {**_slot_values(slot), **outcomes}).fetchone()
        if row["pointed"] != row["last"]:
            raise self._damaged(f"the champion pointer of {slot.registered_name} is not the last promotion")
        if row["pointed"] is None:
            return None
        query = f"{_LINKED} WHERE sequence = :sequence"
        return self._checked(connection.execute(query, {"sequence": row["pointed"]}).fetchone())

    def _append(self, connection: SqlConnection, entry: LedgerEntry, content: str) -> LedgerEntry:
        last = connection.execute(_LAST, {}).fetchone()
        values = {
            **_slot_values(entry.slot),
            "decision_id": entry.decision_id,
            "outcome": entry.outcome,
            "content": content,
            "chain_sha256": _chain(last["chain_sha256"] if last else _NO_PREDECESSOR, content),
        }
        (inserted,) = connection.execute(_INSERT, values).fetchall()
        if entry.makes_champion:
            connection.execute(_POINT, {**_slot_values(entry.slot), "sequence": inserted["sequence"]})
        return decode_entry(content)

    def _checked(self, row: SqlRow) -> LedgerEntry:
        """Decode a row after comparing its columns and its hash with its content."""
        sequence, decision_id, predecessor = row["sequence"], row["decision_id"], row["predecessor_sha256"]
        if sequence > 1 and predecessor is None:
            raise self._damaged(f"row {sequence - 1} is missing")
        if _chain(predecessor or _NO_PREDECESSOR, row["content"]) != row["chain_sha256"]:
            raise self._damaged(f"row {sequence} (decision {decision_id}) does not match its hash")
        entry = decode_entry(row["content"])
        columns = tuple(row[name] for name in ("decision_id", "use_case", "model", "segment", "outcome"))
        if (entry.decision_id, *_key(entry.slot), entry.outcome) != columns:
            raise self._damaged(f"row {sequence} (decision {decision_id}) contradicts its content")
        return entry

    def _damaged(self, fact: str) -> StorageError:
        return self._database.damaged(fact)


def _key(slot: ModelSlot) -> tuple[str, str, str]:
    return slot.use_case, slot.model, slot.segment


def _tell(entry: LedgerEntry) -> None:
    by = "gate" if entry.decided_by == GATE else "person"  # who it was is in the ledger
    slot = entry.slot
    log_fact(
        "decision",
        use_case=slot.use_case,
        model=slot.model,
        segment=slot.segment,
        version=entry.version,
        outcome=entry.outcome,
        by=by,
        decision_id=entry.decision_id,
    )


def _slot_values(slot: ModelSlot) -> dict[str, str]:
    return {"use_case": slot.use_case, "model": slot.model, "segment": slot.segment}


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
