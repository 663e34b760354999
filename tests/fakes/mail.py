"""An outbox in memory and a transport that answers as it is told.

Belongs here: what tests of reports and of the outbox need. Does not belong here: files or servers.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable

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
)

RETRY_WAIT = dt.timedelta(minutes=1)


class FakeTransport:
    """Takes mails; `answers` are raised one after the other first, None means taken."""

    def __init__(self, answers: Iterable[Exception | None] = ()) -> None:
        self.answers = list(answers)
        self.sent: list[OutgoingMail] = []

    def send(self, mail: OutgoingMail) -> None:
        """Take the mail, or raise the next answer."""
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.sent.append(mail)


class FakeOutbox:
    """Mails in a dictionary; `messages` holds what was queued, for assertions."""

    def __init__(self, sender: str = "mlops@operator.example") -> None:
        self.sender = sender
        self.messages: list[MailMessage] = []
        self._mails: dict[MailKey, MailEntry] = {}
        self._contents: dict[MailKey, tuple[str, bytes]] = {}
        self._sent: dict[MailKey, str] = {}

    def enqueue(self, message: MailMessage, at_utc: dt.datetime) -> list[MailEntry]:
        """Keep the newest content of each mail; what was sent is not queued again."""
        self.messages.append(message)
        for key in message.mail_keys():
            content = (
                hash_content(message),
                render_mail(message, key, sender=self.sender, written_at_utc=at_utc),
            )
            known = self._mails.get(key)
            if known is None:
                number, message_id = len(self._mails) + 1, make_message_id(key, self.sender)
                known = MailEntry(number, key, message_id, message.subject, "queued", 0, at_utc, at_utc)
            elif self._contents[key][0] == content[0]:
                continue
            elif known.state == "dead":
                known = dataclasses.replace(
                    known, state="queued", attempts=0, last_error="", next_attempt_at_utc=at_utc
                )
            self._contents[key] = content
            changed = self._sent.get(key, content[0]) != content[0]
            self._mails[key] = dataclasses.replace(
                known, subject=message.subject, is_changed_since_sent=changed
            )
        return [self._mails[key] for key in message.mail_keys()]

    def deliver_due(
        self, transport: MailTransport, now: dt.datetime, *, budget_s: float = 30.0
    ) -> DeliveryReport:
        """Deliver what is due; a server that is down ends the round."""
        done = []
        for key, entry in list(self._mails.items()) if budget_s >= 0 else ():
            if entry.next_attempt_at_utc is None or entry.next_attempt_at_utc > now:
                continue
            is_server_up = self._attempt(key, entry, transport, now)
            done.append(self._mails[key])
            if not is_server_up:
                break
        return DeliveryReport(tuple(done))

    def _attempt(self, key: MailKey, entry: MailEntry, transport: MailTransport, now: dt.datetime) -> bool:
        entry = dataclasses.replace(entry, attempts=entry.attempts + 1)
        mail = OutgoingMail(entry.number, key, entry.message_id, self.sender, self._contents[key][1])
        is_server_up = True
        try:
            transport.send(mail)
        except MailRejectedError as error:
            entry = dataclasses.replace(entry, state="dead", next_attempt_at_utc=None, last_error=str(error))
        except MailDeferredError as error:
            later = now + RETRY_WAIT
            entry = dataclasses.replace(
                entry, state="failed", next_attempt_at_utc=later, last_error=str(error)
            )
            is_server_up = not error.is_server_down
        else:
            self._sent[key] = self._contents[key][0]
            entry = dataclasses.replace(
                entry,
                state="sent",
                next_attempt_at_utc=None,
                sent_at_utc=now,
                last_error="",
                is_changed_since_sent=False,
            )
        self._mails[key] = entry
        return is_server_up

    def entries(self) -> list[MailEntry]:
        """Return all mails, oldest first."""
        return list(self._mails.values())

    def content(self, number: int) -> bytes:
        """Return a mail's bytes."""
        return self._contents[self._find(number)][1]

    def resend(self, number: int, now: dt.datetime) -> MailEntry:
        """Queue a mail again."""
        key = self._find(number)
        self._mails[key] = dataclasses.replace(
            self._mails[key], state="queued", attempts=0, next_attempt_at_utc=now, last_error=""
        )
        return self._mails[key]

    def retry_undelivered(self, now: dt.datetime) -> list[MailEntry]:
        """Queue failed and dead mails again."""
        return [
            self.resend(entry.number, now) for entry in self.entries() if entry.state in {"failed", "dead"}
        ]

    def _find(self, number: int) -> MailKey:
        for key, entry in self._mails.items():
            if entry.number == number:
                return key
        raise MailUnknownError(f"there is no mail {number}")
