"""The tables of the promotion ledger, and how an older ledger becomes a present one.

Belongs here: the schema, its version and the migration. Does not belong here: reading or writing decisions
(stored_ledger).

Version 1 knew two outcomes, by a CHECK that SQLite cannot change in place. The migration copies the rows into a table
without it, in one transaction: content and hash chain stay as they are, and a process that dies half-way leaves
version 1.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x6D6C6F70  # "mlop": tells a ledger from any other SQLite file
SCHEMA_VERSION = 2
READABLE_VERSIONS = frozenset({1, 2})

_COLUMNS = "sequence, decision_id, use_case, model, segment, outcome, content, chain_sha256"
_DECISION = """
CREATE TABLE {name} (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  decision_id TEXT NOT NULL UNIQUE,
  use_case TEXT NOT NULL, model TEXT NOT NULL, segment TEXT NOT NULL,
  outcome TEXT NOT NULL,
  content TEXT NOT NULL,
  chain_sha256 TEXT NOT NULL
) STRICT;
"""
_CHAMPION = """
CREATE TABLE champion (
  use_case TEXT NOT NULL, model TEXT NOT NULL, segment TEXT NOT NULL,
  sequence INTEGER NOT NULL REFERENCES decision (sequence),
  PRIMARY KEY (use_case, model, segment)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER champion_never_goes BEFORE DELETE ON champion
  BEGIN SELECT RAISE(ABORT, 'a champion is only ever replaced'); END;
"""
# What rests on the table of decisions, one statement each; these two as they are on any database.
DECISION_VIEWS = (
    "CREATE INDEX decision_by_slot ON decision (use_case, model, segment, outcome, sequence)",
    """CREATE VIEW linked_decision AS
  SELECT d.sequence, d.decision_id, d.use_case, d.model, d.segment, d.outcome, d.content, d.chain_sha256,
    (SELECT p.chain_sha256 FROM decision p WHERE p.sequence = d.sequence - 1) AS predecessor_sha256
  FROM decision d""",
)
_AROUND_DECISION = (
    *DECISION_VIEWS,
    """CREATE TRIGGER decision_never_changes BEFORE UPDATE ON decision
  BEGIN SELECT RAISE(ABORT, 'the promotion ledger is append-only'); END""",
    """CREATE TRIGGER decision_never_goes BEFORE DELETE ON decision
  BEGIN SELECT RAISE(ABORT, 'the promotion ledger is append-only'); END""",
)
SCHEMA = _DECISION.format(name="decision") + _CHAMPION + ";\n".join(_AROUND_DECISION) + ";"


def read_schema_version(connection: sqlite3.Connection) -> int:
    """Return the schema version of an open ledger."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an open ledger to the present schema; nothing happens if it is there, or another process was quicker.

    Args:
        connection: in autocommit mode, outside of a transaction.

    Raises:
        sqlite3.Error: the file is locked, full or damaged; it is what it was before.
    """
    if read_schema_version(connection) == SCHEMA_VERSION:
        return
    # Without this, dropping the old table would be refused because champions refer to it; checked at the end.
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if read_schema_version(connection) == 1:
            _rebuild(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.execute("PRAGMA foreign_keys = ON")


def _rebuild(connection: sqlite3.Connection) -> None:
    connection.execute("DROP VIEW linked_decision")
    connection.execute(_DECISION.format(name="decision_rebuilt"))
    copy = f"INSERT INTO decision_rebuilt ({_COLUMNS}) SELECT {_COLUMNS} FROM decision ORDER BY sequence"  # noqa: S608 - constants
    connection.execute(copy)
    connection.execute("DROP TABLE decision")
    connection.execute("ALTER TABLE decision_rebuilt RENAME TO decision")
    for statement in _AROUND_DECISION:
        connection.execute(statement)
    if connection.execute("PRAGMA foreign_key_check").fetchall():
        raise sqlite3.IntegrityError("a champion refers to a decision that is not there")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION:d}")
