"""The ledger, the outbox and the record of releases on PostgreSQL.

Belongs here: their tables as PostgreSQL has them. Does not belong here: how they are written and read (stored_ledger,
mail_outbox, feed_releases), or connections (postgres_schema).

The sequence of decisions comes from a counter in the same transaction, not from PostgreSQL's own sequences: those
have gaps after a transaction that was rolled back, and a gap in the chain means a lost decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from resources import feed_releases, ledger_schema, outbox_rows
from resources.feed_releases import StoredFeedReleases
from resources.mail_outbox import RetryPolicy, StoredOutbox
from resources.postgres_schema import PostgresSchema
from resources.stored_ledger import StoredPromotionLedger

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL

_REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN RAISE EXCEPTION '{what}'; END $body$;
"""
_NEVER = """
CREATE TRIGGER {table}_never_{name} BEFORE {events} ON {table}
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
LEDGER_TABLES = f"""
CREATE TABLE last_decision (sequence BIGINT NOT NULL);
INSERT INTO last_decision VALUES (0);
CREATE TABLE decision (
  sequence BIGINT PRIMARY KEY,
  decision_id TEXT NOT NULL UNIQUE,
  use_case TEXT NOT NULL, model TEXT NOT NULL, segment TEXT NOT NULL,
  outcome TEXT NOT NULL,
  content TEXT NOT NULL,
  chain_sha256 TEXT NOT NULL
);
CREATE FUNCTION number_decision() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  UPDATE last_decision SET sequence = sequence + 1 RETURNING sequence INTO NEW.sequence;
  RETURN NEW;
END $body$;
CREATE TRIGGER decision_is_numbered BEFORE INSERT ON decision
  FOR EACH ROW EXECUTE FUNCTION number_decision();
CREATE TABLE champion (
  use_case TEXT NOT NULL, model TEXT NOT NULL, segment TEXT NOT NULL,
  sequence BIGINT NOT NULL REFERENCES decision (sequence),
  PRIMARY KEY (use_case, model, segment)
);
{";".join(ledger_schema.DECISION_VIEWS)};
{_REFUSE.format(what="the promotion ledger is append-only")}
{_NEVER.format(table="decision", name="change", events="UPDATE OR DELETE OR TRUNCATE")}
{_NEVER.format(table="champion", name="go", events="DELETE OR TRUNCATE")}
"""  # noqa: S608 - constants
RELEASE_TABLES = f"""
CREATE TABLE release (
  sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  feed TEXT NOT NULL, geography TEXT NOT NULL, day TEXT NOT NULL, raw_sha256 TEXT NOT NULL,
  released_by TEXT NOT NULL CHECK (released_by <> ''),
  released_at_utc TEXT NOT NULL,
  note TEXT NOT NULL CHECK (note <> ''),
  UNIQUE (feed, geography, day, raw_sha256)
);
{_REFUSE.format(what="releases are append-only")}
{_NEVER.format(table="release", name="change", events="UPDATE OR DELETE OR TRUNCATE")}
"""


class PostgresPromotionLedger(StoredPromotionLedger):
    """Append-only ledger in the schema `promotion_ledger`.

    Args:
        address: returns the URL of the database.
        lock_timeout_s: how long to wait for another writer, seconds.
        patience_s: how long to try to connect, seconds.
    """

    def __init__(
        self, address: Callable[[], URL], *, lock_timeout_s: float = 60.0, patience_s: float = 20.0
    ) -> None:
        database = PostgresSchema(
            address=address,
            name="promotion_ledger",
            title="the promotion ledger",
            schema_version=ledger_schema.SCHEMA_VERSION,
            statements=LEDGER_TABLES,
            remedy="restore the schema from its backup; nothing is promoted or served until then",
            lock_timeout_s=lock_timeout_s,
            patience_s=patience_s,
        )
        super().__init__(database)


class PostgresOutbox(StoredOutbox):
    """Mails in the schema `mail_outbox`; deliverers pass over what another one is claiming.

    Args:
        address: returns the URL of the database.
        sender: address in From and in the envelope.
        retry: when to try again.
        patience_s: how long to try to connect, seconds.
    """

    def __init__(
        self,
        address: Callable[[], URL],
        sender: str,
        retry: RetryPolicy | None = None,
        *,
        patience_s: float = 20.0,
    ) -> None:
        database = PostgresSchema(
            address=address,
            name="mail_outbox",
            title="the mail outbox",
            schema_version=outbox_rows.SCHEMA_VERSION,
            statements=outbox_rows.POSTGRES_SCHEMA,
            remedy="restore the schema from its backup, or rename it: reports are queued again as they run",
            has_one_writer=False,
            patience_s=patience_s,
        )
        super().__init__(database, sender, retry, outbox_rows.CLAIM_AMONG_MANY)


class PostgresFeedReleases(StoredFeedReleases):
    """Releases in the schema `feed_releases`.

    Args:
        address: returns the URL of the database.
        patience_s: how long to try to connect, seconds.
    """

    def __init__(self, address: Callable[[], URL], *, patience_s: float = 20.0) -> None:
        database = PostgresSchema(
            address=address,
            name="feed_releases",
            title="the record of feed releases",
            schema_version=feed_releases.SCHEMA_VERSION,
            statements=RELEASE_TABLES,
            remedy="restore the schema from its backup; held deliveries stay held until then",
            patience_s=patience_s,
        )
        super().__init__(database)
