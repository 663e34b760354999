"""The outbox over a database, and in one SQLite file: mails that wait, were sent, or were given up.

Belongs here: keeping mails, claiming one for delivery, retrying and giving up. Does not belong here: what a mail
says (`domain.reporting.mail`), how it leaves (the transports) or the SQL (outbox_rows).

Delivery is at least once. A mail is *claimed* before it leaves and marked *sent* after the transport took it; a
process killed between the two leaves a claim that runs out, and the mail is sent again with the same Message-ID.
While a claim holds, no other deliverer takes the mail.
"""

from __future__ import annotations

import datetime as dt
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.domain.mail_ports import (
    DeliveryReport,
    MailDeferredError,
    MailEntry,
    MailRejectedError,
    MailTransport,
    MailUnknownError,
    OutgoingMail,
)
from mlops_assets.domain.reporting.mail import (
    MailKey,
    MailMessage,
    hash_content,
    make_message_id,
    render_mail,
    require_address,
)
from resources import outbox_rows as rows
from resources.json_logs import log_fact
from resources.sql_database import prepare_tables
from resources.sqlite_file import SqliteFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from resources.sql_database import SqlConnection, SqlDatabase, SqlRow

_MAX_ERROR_LENGTH = 500


@dataclass(frozen=True)
class RetryPolicy:
    """When to try again: after `first_wait_s`, then twice as long each time up to `longest_wait_s`.

    With the defaults a mail is tried for about three days (RFC 5321, 4.5.4.1, asks for some days); then it is
    dead. `claim_s` must be longer than one delivery can take.
    """

    first_wait_s: float = 60.0
    longest_wait_s: float = 6 * 3600.0
    max_attempts: int = 20
    claim_s: float = 600.0

    def wait_s(self, attempts: int) -> float:
        """Return the seconds to wait after the n-th failed attempt, n from 1."""
        return min(self.longest_wait_s, self.first_wait_s * float(2 ** min(attempts - 1, 30)))


@dataclass(frozen=True)
class _Claimed:
    mail: OutgoingMail
    content_sha256: str
    claim: str
    attempts: int


class _RunningClock:
    """The time that a caller gave, going on since."""

    def __init__(self, start: dt.datetime) -> None:
        self.start, self._started_s = start, time.monotonic()

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started_s

    def moment(self) -> dt.datetime:
        return self.start + dt.timedelta(seconds=self.elapsed_s())


class StoredOutbox:
    """Mails in a database; safe for any number of threads and processes.

    Args:
        database: its tables are those of outbox_rows.
        sender: address in From and in the envelope.
        retry: when to try again.
        claim_statement: takes one mail that is due.
    """

    def __init__(
        self,
        database: SqlDatabase,
        sender: str,
        retry: RetryPolicy | None = None,
        claim_statement: str = rows.CLAIM,
    ) -> None:
        require_address(sender, "sender of the outbox")
        self.sender, self.retry = sender, retry or RetryPolicy()
        self._database, self._claim_statement = database, claim_statement

    def prepare(self) -> str:
        """Create the tables, or bring them to this release's schema; return which. Raises StorageError."""
        return prepare_tables(self._database)

    def enqueue(self, message: MailMessage, at_utc: dt.datetime) -> list[MailEntry]:
        """Queue a mail for each recipient, all or none; what is known and unchanged stays as it is.

        Newer content replaces what is not sent yet and revives a dead mail. What was sent is not sent again: the
        newer content is kept for `resend`.

        Args:
            message: what to say, and to whom; without recipients nothing is queued.
            at_utc: aware time for the Date header.

        Raises:
            StorageError: the outbox is damaged, full or stays locked.
        """
        mails = [self._values(message, key, at_utc) for key in message.mail_keys()]
        if not mails:
            return []
        self._database.create_if_missing()
        with self._database.writing() as connection:
            for values in mails:
                connection.execute(rows.INSERT, values)
                connection.execute(rows.REPLACE, values)
            found = [connection.execute(rows.BY_KEY, values).fetchone() for values in mails]
        return [rows.decode_mail_entry(row) for row in found]

    def _values(self, message: MailMessage, key: MailKey, at_utc: dt.datetime) -> dict[str, object]:
        return {
            "report": key.report,
            "partition": key.partition,
            "recipient": key.recipient,
            "message_id": make_message_id(key, self.sender),
            "sender": self.sender,
            "subject": message.subject,
            "content": render_mail(message, key, sender=self.sender, written_at_utc=at_utc),
            "content_sha256": hash_content(message),
            "at": rows.encode_moment(at_utc),
        }

    def deliver_due(
        self, transport: MailTransport, now: dt.datetime, *, budget_s: float = 30.0
    ) -> DeliveryReport:
        """Deliver what is due at `now`, oldest first, one claimed mail at a time.

        The round ends early if the server is down, or after `budget_s` seconds; what is left stays due.

        Args:
            transport: the way out.
            now: aware time; the round's own time is added to it.
            budget_s: seconds after which no further mail is started.

        Raises:
            StorageError: the outbox is damaged, full or stays locked.
        """
        if not self._database.exists():
            return DeliveryReport()
        clock = _RunningClock(now)
        entries = self._give_up(now)
        is_server_up = True
        while is_server_up and clock.elapsed_s() <= budget_s and (claimed := self._claim(clock)) is not None:
            entry, is_server_up = self._deliver(claimed, transport, clock)
            entries.append(entry)
        return DeliveryReport(tuple(entries))

    def _deliver(
        self, claimed: _Claimed, transport: MailTransport, clock: _RunningClock
    ) -> tuple[MailEntry, bool]:
        """Return the mail as it was left, and whether the server is there for the next one."""
        try:
            transport.send(claimed.mail)
        except MailRejectedError as error:
            return self._note_failure(claimed, str(error), clock.moment(), is_final=True), True
        except MailDeferredError as error:
            return self._note_failure(claimed, str(error), clock.moment()), not error.is_server_down
        except BaseException as error:
            self._note_failure(claimed, f"interrupted by {type(error).__name__}", clock.moment())
            raise
        values = {"at": rows.encode_moment(clock.moment()), "sha256": claimed.content_sha256}
        return self._update(rows.MARK_SENT, {**values, "number": claimed.mail.number}), True

    def _claim(self, clock: _RunningClock) -> _Claimed | None:
        """Take the mail that has been due for longest; nobody else gets it before the claim runs out."""
        at, claim = clock.moment(), secrets.token_hex(8)
        values = {
            "claim": claim,
            "until": rows.encode_moment(at + dt.timedelta(seconds=self.retry.claim_s)),
            "due": rows.encode_moment(clock.start),  # what fails in this round waits for another one
            "at": rows.encode_moment(at),
        }
        with self._database.writing() as connection:
            found = connection.execute(self._claim_statement, values).fetchall()
        if not found:
            return None
        (row,) = found
        key = rows.decode_mail_key(row)
        mail = OutgoingMail(row["number"], key, row["message_id"], row["sender"], bytes(row["content"]))
        return _Claimed(mail, row["content_sha256"], claim, row["attempts"])

    def _note_failure(
        self, claimed: _Claimed, error: str, at: dt.datetime, *, is_final: bool = False
    ) -> MailEntry:
        """Plan the next attempt, or give up; a mail that somebody else has claimed meanwhile is left alone."""
        is_last = claimed.attempts >= self.retry.max_attempts
        if is_last and not is_final:
            error = f"given up after {claimed.attempts} attempts; {error}"
        next_attempt = at + dt.timedelta(seconds=self.retry.wait_s(claimed.attempts))
        values = {
            "state": "dead" if is_final or is_last else "failed",
            "next": rows.encode_moment(next_attempt),
            "error": _one_line(error),
            "number": claimed.mail.number,
            "claim": claimed.claim,
        }
        entry = self._update(rows.MARK_NOT_SENT, values)
        if (is_final or is_last) and entry.state == "dead":
            _tell_dead(entry)
        return entry

    def _give_up(self, now: dt.datetime) -> list[MailEntry]:
        """Bury mails whose last allowed attempt ended with its process."""
        found = self._update_many(
            rows.GIVE_UP, {"limit": self.retry.max_attempts, "at": rows.encode_moment(now)}
        )
        for entry in found:
            _tell_dead(entry)
        return found

    def entries(self) -> list[MailEntry]:
        """Return all mails, oldest first. Raises StorageError if the outbox cannot be read."""
        if not self._database.exists():
            return []
        with self._database.reading() as connection:
            return [rows.decode_mail_entry(row) for row in connection.execute(rows.ALL, {}).fetchall()]

    def content(self, number: int) -> bytes:
        """Return the newest RFC 5322 bytes of a mail. Raises MailUnknownError if there is none."""
        self._require_mails(number)
        with self._database.reading() as connection:
            row = _one(connection, rows.CONTENT, {"number": number})
        if row is None:
            raise self._unknown(number)
        return bytes(row["content"])

    def resend(self, number: int, now: dt.datetime) -> MailEntry:
        """Queue a mail again whatever its state, with its newest content and the same Message-ID.

        Raises:
            MailUnknownError: there is none of this number.
        """
        self._require_mails(number)
        return self._update(rows.REQUEUE, {"number": number, "at": rows.encode_moment(now)})

    def retry_undelivered(self, now: dt.datetime) -> list[MailEntry]:
        """Queue all failed and dead mails again and return them."""
        if not self._database.exists():
            return []
        return self._update_many(rows.REQUEUE_UNDELIVERED, {"at": rows.encode_moment(now)})

    def _update(self, statement: str, values: Mapping[str, object]) -> MailEntry:
        with self._database.writing() as connection:
            connection.execute(statement, values)
            row = _one(connection, rows.BY_NUMBER, values)
        if row is None:
            raise self._unknown(values["number"])
        return rows.decode_mail_entry(row)

    def _update_many(self, statement: str, values: Mapping[str, object]) -> list[MailEntry]:
        with self._database.writing() as connection:
            numbers = sorted(row["number"] for row in connection.execute(statement, values).fetchall())
            found = [_one(connection, rows.BY_NUMBER, {"number": number}) for number in numbers]
        return [rows.decode_mail_entry(row) for row in found if row is not None]

    def _require_mails(self, number: int) -> None:
        if not self._database.exists():
            raise self._unknown(number)

    def _unknown(self, number: object) -> MailUnknownError:
        return MailUnknownError(
            f"there is no mail {number}",
            where=self._database.where,
            expected="a number that `mlops mailbox list` shows",
            remedy="look it up there",
        )


class SqliteOutbox(StoredOutbox):
    """Mails in one SQLite file.

    Args:
        path: the file; created with the first mail.
        sender: address in From and in the envelope.
        retry: when to try again.
        busy_timeout_s: how long to wait for another writer, seconds.
    """

    def __init__(
        self, path: Path, sender: str, retry: RetryPolicy | None = None, busy_timeout_s: float = 60.0
    ) -> None:
        self.path = path
        file = SqliteFile(
            path=path,
            title="the mail outbox",
            application_id=rows.APPLICATION_ID,
            schema_version=rows.SCHEMA_VERSION,
            schema=rows.SCHEMA,
            remedy="put the latest good copy back, or move the file away: reports are queued again as they run",
            busy_timeout_s=busy_timeout_s,
        )
        super().__init__(file, sender, retry)


def _tell_dead(entry: MailEntry) -> None:
    log_fact("mail_dead", severity="ERROR", number=entry.number, report=entry.key.report)


def _one(connection: SqlConnection, query: str, values: Mapping[str, object]) -> SqlRow | None:
    found: SqlRow | None = connection.execute(query, values).fetchone()
    return found


def _one_line(text: str) -> str:
    """Return printable text; a server's answer may hold anything."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_MAX_ERROR_LENGTH]
