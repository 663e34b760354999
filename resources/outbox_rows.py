"""Mails as rows of the outbox: tables, statements, and the way back from a row.

Belongs here: the SQL of the outbox. Does not belong here: when a statement is run (mail_outbox).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from mlops_assets.domain.mail_ports import MailEntry
from mlops_assets.domain.reporting.mail import MailKey

if TYPE_CHECKING:
    from resources.sql_database import SqlRow

APPLICATION_ID = 0x6D61696C  # "mail"
SCHEMA_VERSION = 1
_MAIL = """
CREATE TABLE mail (
  number {number} PRIMARY KEY{numbered},
  report TEXT NOT NULL, partition TEXT NOT NULL, recipient TEXT NOT NULL,
  message_id TEXT NOT NULL, sender TEXT NOT NULL, subject TEXT NOT NULL,
  content {bytes} NOT NULL, content_sha256 TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('queued', 'failed', 'sent', 'dead')),
  attempts INTEGER NOT NULL DEFAULT 0,
  queued_at_utc TEXT NOT NULL, next_attempt_at_utc TEXT NOT NULL,
  sent_at_utc TEXT, sent_sha256 TEXT,
  last_error TEXT NOT NULL DEFAULT '',
  claim TEXT, claimed_until_utc TEXT,
  UNIQUE (report, partition, recipient)
){strict};
CREATE INDEX mail_to_deliver ON mail (next_attempt_at_utc, number) WHERE state IN ('queued', 'failed');
CREATE VIEW mail_entry AS
  SELECT number, report, partition, recipient, message_id, subject, state, attempts, queued_at_utc,
    next_attempt_at_utc, sent_at_utc, last_error, coalesce(sent_sha256 <> content_sha256, {false}) AS is_changed
  FROM mail;
"""
SCHEMA = _MAIL.format(number="INTEGER", numbered=" AUTOINCREMENT", bytes="BLOB", strict=" STRICT", false="0")
POSTGRES_SCHEMA = _MAIL.format(
    number="BIGINT", numbered=" GENERATED ALWAYS AS IDENTITY", bytes="BYTEA", strict="", false="false"
)
INSERT = """
INSERT INTO mail (report, partition, recipient, message_id, sender, subject, content, content_sha256, state,
  queued_at_utc, next_attempt_at_utc)
VALUES (:report, :partition, :recipient, :message_id, :sender, :subject, :content, :content_sha256, 'queued',
  :at, :at)
ON CONFLICT DO NOTHING
"""
# What is being sent at this moment ends as sent; the newer content is then known as a change since.
REPLACE = """
UPDATE mail SET message_id = :message_id, sender = :sender, subject = :subject, content = :content,
  content_sha256 = :content_sha256,
  attempts = CASE state WHEN 'dead' THEN 0 ELSE attempts END,
  last_error = CASE state WHEN 'dead' THEN '' ELSE last_error END,
  next_attempt_at_utc = CASE state WHEN 'dead' THEN :at ELSE next_attempt_at_utc END,
  state = CASE state WHEN 'dead' THEN 'queued' ELSE state END
WHERE report = :report AND partition = :partition AND recipient = :recipient
  AND content_sha256 <> :content_sha256
"""
BY_KEY = """
SELECT * FROM mail_entry WHERE report = :report AND partition = :partition AND recipient = :recipient
"""
BY_NUMBER = "SELECT * FROM mail_entry WHERE number = :number"
ALL = "SELECT * FROM mail_entry ORDER BY number"
CONTENT = "SELECT content FROM mail WHERE number = :number"
_CLAIM = """
UPDATE mail SET claim = :claim, claimed_until_utc = :until, attempts = attempts + 1
WHERE number = (
  SELECT number FROM mail
  WHERE state IN ('queued', 'failed') AND next_attempt_at_utc <= :due
    AND (claimed_until_utc IS NULL OR claimed_until_utc <= :at)
  ORDER BY next_attempt_at_utc, number LIMIT 1{lock})
RETURNING number, report, partition, recipient, message_id, sender, content, content_sha256, attempts
"""
CLAIM = _CLAIM.format(lock="")
# Where writers are not let in one by one: a mail that another deliverer is about to claim is passed over.
CLAIM_AMONG_MANY = _CLAIM.format(lock=" FOR UPDATE SKIP LOCKED")
# Whose claim it is does not matter: what the transport took is sent, even if the claim ran out meanwhile.
MARK_SENT = """
UPDATE mail SET state = 'sent', sent_at_utc = :at, sent_sha256 = :sha256, last_error = '', claim = NULL,
  claimed_until_utc = NULL
WHERE number = :number
"""
MARK_NOT_SENT = """
UPDATE mail SET state = :state, next_attempt_at_utc = :next, last_error = :error, claim = NULL,
  claimed_until_utc = NULL
WHERE number = :number AND claim = :claim
"""
GIVE_UP = """
UPDATE mail SET state = 'dead', claim = NULL, claimed_until_utc = NULL,
  last_error = 'given up after ' || attempts || ' attempts; '
    || CASE last_error WHEN '' THEN 'the last one ended with its process' ELSE last_error END
WHERE state IN ('queued', 'failed') AND attempts >= :limit
  AND (claimed_until_utc IS NULL OR claimed_until_utc <= :at)
RETURNING number
"""
REQUEUE = """
UPDATE mail SET state = 'queued', attempts = 0, next_attempt_at_utc = :at, last_error = '' WHERE number = :number
"""
REQUEUE_UNDELIVERED = """
UPDATE mail SET state = 'queued', attempts = 0, next_attempt_at_utc = :at, last_error = ''
WHERE state IN ('failed', 'dead') RETURNING number
"""


def decode_mail_entry(row: SqlRow) -> MailEntry:
    """Return the entry of a row of `mail_entry`."""
    is_open = row["state"] in {"queued", "failed"}
    sent_at = row["sent_at_utc"]
    return MailEntry(
        number=row["number"],
        key=decode_mail_key(row),
        message_id=row["message_id"],
        subject=row["subject"],
        state=row["state"],
        attempts=row["attempts"],
        queued_at_utc=dt.datetime.fromisoformat(row["queued_at_utc"]),
        next_attempt_at_utc=dt.datetime.fromisoformat(row["next_attempt_at_utc"]) if is_open else None,
        sent_at_utc=dt.datetime.fromisoformat(sent_at) if sent_at else None,
        last_error=row["last_error"],
        is_changed_since_sent=bool(row["is_changed"]),
    )


def decode_mail_key(row: SqlRow) -> MailKey:
    """Return the identity of a row's mail."""
    return MailKey(row["report"], row["partition"], row["recipient"])


def encode_moment(moment: dt.datetime) -> str:
    """Return an aware time in UTC as text that sorts as the times do. Raises ValueError without a zone."""
    if moment.utcoffset() is None:
        raise ValueError("a time of the outbox has no zone; give an aware time in UTC")
    return moment.astimezone(dt.UTC).isoformat(timespec="microseconds")
