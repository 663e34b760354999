"""Protocols of the mail: the outbox that keeps mails until they are delivered, and the way out.

Belongs here: the two interfaces, the records that cross them and the two ways in which a delivery fails. Does
not belong here: what a mail says (`domain.reporting.mail`) or any implementation (package `resources`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.reporting.mail import MailKey, MailMessage

MailState = Literal["queued", "failed", "sent", "dead"]


class MailDeferredError(PlatformError):
    """A mail could not be delivered now; it stays in the outbox and is tried again.

    Attributes:
        is_server_down: the trouble is not this mail's (no connection, log-in or certificate refused): other mails
            would fare the same, so the round ends.
    """

    is_retryable = True

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        expected: str = "",
        remedy: str = "",
        is_server_down: bool = False,
    ) -> None:
        self.is_server_down = is_server_down
        super().__init__(what, where=where, expected=expected, remedy=remedy)


class MailRejectedError(PlatformError):
    """The server will never take this mail; it is kept as dead and shown."""


@dataclass(frozen=True)
class MailEntry:
    """What the outbox knows of a mail.

    Attributes:
        number: by which people name it; grows.
        key: report, partition and recipient.
        message_id: the same for each attempt.
        subject: of the newest content.
        state: `queued`, `failed` (to be tried again), `sent` or `dead` (given up; a person decides).
        attempts: since it was queued, those of killed processes included.
        queued_at_utc: first time.
        next_attempt_at_utc: not before; None if there is nothing left to do.
        sent_at_utc: last delivery.
        last_error: why it failed or died, one line; empty otherwise.
        is_changed_since_sent: there is newer content, which is sent only if someone asks.
    """

    number: int
    key: MailKey
    message_id: str
    subject: str
    state: MailState
    attempts: int
    queued_at_utc: dt.datetime
    next_attempt_at_utc: dt.datetime | None = None
    sent_at_utc: dt.datetime | None = None
    last_error: str = ""
    is_changed_since_sent: bool = False


@dataclass(frozen=True)
class OutgoingMail:
    """A mail on its way out; `content` are its RFC 5322 bytes."""

    number: int
    key: MailKey
    message_id: str
    sender: str
    content: bytes


@dataclass(frozen=True)
class DeliveryReport:
    """What one round of deliveries did; each mail as it was left."""

    entries: tuple[MailEntry, ...] = ()

    def count(self, state: MailState) -> int:
        """Return how many mails ended in a state."""
        return sum(entry.state == state for entry in self.entries)

    def text(self) -> str:
        """Return the counts in words, such as `2 sent, 1 failed`; `no mail is due` without any."""
        states: tuple[MailState, ...] = ("sent", "failed", "dead")
        return ", ".join(f"{self.count(s)} {s}" for s in states if self.count(s)) or "no mail is due"

    def findings(self) -> Iterator[str]:
        """Yield a line for each mail that was not delivered."""
        for entry in self.entries:
            if entry.state != "sent":
                yield f"mail {entry.number} ({entry.key}) {entry.state}: {entry.last_error}"


class MailTransport(Protocol):
    """Takes a mail out of the house."""

    def send(self, mail: OutgoingMail) -> None:
        """Hand a mail over; returning means that it was accepted.

        Raises:
            MailDeferredError: not now, or not known whether it was accepted; the same bytes are sent again.
            MailRejectedError: never.
        """
        ...


class Outbox(Protocol):
    """Keeps mails until they are delivered: at least once each, with the same Message-ID at each attempt."""

    def enqueue(self, message: MailMessage, at_utc: dt.datetime) -> list[MailEntry]:
        """Queue a mail for each recipient; one that was sent already is not sent again.

        Newer content replaces what is not sent yet and revives a dead mail.
        """
        ...

    def deliver_due(
        self, transport: MailTransport, now: dt.datetime, *, budget_s: float = 30.0
    ) -> DeliveryReport:
        """Deliver what is due at `now`, oldest first; start no further mail after `budget_s` seconds."""
        ...

    def entries(self) -> list[MailEntry]:
        """Return all mails, oldest first."""
        ...

    def content(self, number: int) -> bytes:
        """Return a mail's RFC 5322 bytes; MailUnknownError if there is none."""
        ...

    def resend(self, number: int, now: dt.datetime) -> MailEntry:
        """Queue a mail again whatever its state, with its newest content; MailUnknownError if there is none."""
        ...

    def retry_undelivered(self, now: dt.datetime) -> list[MailEntry]:
        """Queue all failed and dead mails again and return them."""
        ...


class MailUnknownError(PlatformError):
    """The outbox has no mail of this number."""
