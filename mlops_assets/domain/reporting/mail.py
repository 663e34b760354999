"""Mails: a report, addressed, as the bytes that a mail server takes.

Belongs here: what a mail consists of, what it may not contain, its identity, its RFC 5322 form and safe CSV
attachments. Does not belong here: what a report says (its own module and template) or how mails are sent
(`resources.mail_outbox` and the transports).

A mail leaves the house, so **it names no subscriber**: no number, no identifier of a SIM or a handset. Reports
give counts, shares and the names of plans, devices and models. What can be checked is checked here: CSV
attachments may not have a column that identifies a person, and no text may hold a telephone number.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.mail_address import ADDRESS_PATTERN, MAX_ADDRESS_LENGTH
from mlops_assets.domain.reporting.csv_text import write_csv

if TYPE_CHECKING:
    from email.message import EmailMessage

MAX_SUBJECT_LENGTH = 200
MAX_MAIL_BYTES = 20 * 1024 * 1024  # most servers refuse more than 25 MB
PERSONAL_COLUMNS = frozenset(
    {"subscriber", "subscriber_id", "customer_id", "msisdn", "imsi", "imei", "iccid", "phone", "phone_number"}
)
_REPORT = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*")
_PARTITION = re.compile(r"[!-~]([ -~]*[!-~])?")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,99}")
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")
# The line and paragraph separators count as line ends for some readers of headers.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_TELEPHONE = re.compile(r"(?<![\w+/=])\+[1-9]\d{9,14}(?![\d.,])")
_CSV_TYPE = "text/csv"


class MailRefusedError(PlatformError):
    """A mail may not be sent as it is; nothing was queued."""


@dataclass(frozen=True, order=True)
class MailKey:
    """What a mail is, once and for all: one report of one partition for one recipient."""

    report: str
    partition: str
    recipient: str

    def __str__(self) -> str:
        """Show as report[partition] to recipient, the form that messages use."""
        return f"{self.report}[{self.partition}] to {self.recipient}"


@dataclass(frozen=True)
class MailAttachment:
    """A file in a mail.

    Attributes:
        name: file name, such as `offers.csv`.
        media_type: such as `text/csv` or `image/png`.
        content: the bytes.

    Raises:
        MailRefusedError: the name or type is not plain, or a CSV has a column that identifies persons.
    """

    name: str
    media_type: str
    content: bytes

    def __post_init__(self) -> None:
        """Refuse what could not be written into a header, or names persons."""
        _require_match(_FILE_NAME, self.name, "an attachment's name", "offers.csv")
        _require_match(_MEDIA_TYPE, self.media_type, "an attachment's media type", "text/csv")
        if self.media_type == _CSV_TYPE:
            _require_impersonal(_csv_columns(self.content), where=self.name)


@dataclass(frozen=True)
class MailMessage:
    """A report as a mail; each recipient gets one of his own.

    Attributes:
        report: name of the report, such as `quality/daily_summary`.
        partition: which one of them, such as `cl/2026-09-01`. Printable ASCII.
        subject: one line, at most 200 characters.
        html: a whole page from a template that escapes all values (`pages.render_page`).
        text: the same for readers without HTML; never empty.
        recipients: addresses; upper and lower case do not matter. Without any, nothing is queued.
        attachments: files; the HTML shows none of them.

    Raises:
        MailRefusedError: a header could be broken by what is in it (line end, NUL), an address is none, the mail
            is too large, or it names a subscriber.
    """

    report: str
    partition: str
    subject: str
    html: str
    text: str
    recipients: tuple[str, ...]
    attachments: tuple[MailAttachment, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what must not leave."""
        where = f"{self.report}[{self.partition}]"[:MAX_SUBJECT_LENGTH]
        _require_match(_REPORT, self.report, "a mail's report name", "quality/daily_summary")
        _require_match(_PARTITION, self.partition, "a mail's partition", "cl/2026-09-01")
        _require_subject(self.subject, where)
        for name in ("html", "text"):
            _require_body(name, getattr(self, name), where)
        for recipient in self.recipients:
            require_address(recipient, where)
        _require_size(self, where)
        for part in (self.subject, self.html, self.text):
            _require_no_telephone(part, where)
        for file in self.attachments:
            if file.media_type.startswith("text/"):
                _require_no_telephone(file.content.decode(errors="replace"), f"{where}, {file.name}")

    def mail_keys(self) -> tuple[MailKey, ...]:
        """Return the identity of each mail, one per recipient, in order and without repetition."""
        addresses = dict.fromkeys(recipient.lower() for recipient in self.recipients)
        return tuple(MailKey(self.report, self.partition, address) for address in addresses)


def hash_content(message: MailMessage) -> str:
    """Return the sha256 in hex of what is read: subject, bodies and attachments; not of time or addresses."""
    files = [(f.name, f.media_type, sha256(f.content).hexdigest()) for f in message.attachments]
    return stable_hash([message.subject, message.html, message.text, files])


def make_message_id(key: MailKey, sender: str) -> str:
    """Return the Message-ID of a mail: the same for each attempt, so that a mail server can drop a repetition.

    Args:
        key: identity of the mail.
        sender: address; its domain is the right-hand side.
    """
    digest = stable_hash([key.report, key.partition, key.recipient])
    return f"<{digest[:32]}@{sender.rpartition('@')[2]}>"


def render_mail(message: MailMessage, key: MailKey, *, sender: str, written_at_utc: dt.datetime) -> bytes:
    """Return the mail of one recipient as RFC 5322 bytes: CRLF line ends, 7-bit, equal bytes for equal input.

    Args:
        message: what to say.
        key: one of `message.mail_keys()`.
        sender: address in From.
        written_at_utc: aware time for the Date header.

    Raises:
        MailRefusedError: the sender is no address, or the time has no zone.
    """
    from email.message import EmailMessage
    from email.policy import SMTP
    from email.utils import format_datetime

    require_address(sender, "sender")
    if written_at_utc.utcoffset() is None:
        raise _refused("its time has no zone", str(key), "an aware time in UTC")
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    mail["From"], mail["To"], mail["Subject"] = sender, key.recipient, message.subject
    mail["Date"] = format_datetime(written_at_utc.astimezone(dt.UTC))
    mail["Message-ID"] = make_message_id(key, sender)
    mail["Auto-Submitted"] = "auto-generated"  # keeps absence notices from answering (RFC 3834)
    mail["X-Report"], mail["X-Partition"] = key.report, key.partition
    _fill(mail, message)
    _name_boundaries(mail, hash_content(message))
    return mail.as_bytes()


def make_csv_attachment(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> MailAttachment:
    """Return a table as a CSV file, in UTF-8 with the mark by which spreadsheets know it.

    Args:
        name: file name.
        columns: headings.
        rows: one value per column, written as `write_csv` does.

    Raises:
        MailRefusedError: a column identifies persons, or a row is longer or shorter than the headings.
    """
    _require_impersonal(columns, where=name)
    try:
        text = write_csv(columns, rows)
    except ValueError as error:
        raise _refused(f"its table is ragged: {error}", name, "one value for each column") from error
    return MailAttachment(name, _CSV_TYPE, text.encode("utf-8-sig", errors="replace"))


def require_address(address: str, where: str) -> None:
    """Raise MailRefusedError unless the address is a plain one, `name@domain` in ASCII."""
    if len(address) > MAX_ADDRESS_LENGTH or not re.fullmatch(ADDRESS_PATTERN, address):
        raise _refused(
            f"{address[:MAX_ADDRESS_LENGTH]!r} is no mail address",
            where,
            "name@domain in ASCII, without a name",
        )


def _fill(mail: EmailMessage, message: MailMessage) -> None:
    """Add text, HTML and files."""
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    for file in message.attachments:
        main, sub = file.media_type.split("/")
        mail.add_attachment(file.content, main, sub, filename=file.name)


def _name_boundaries(mail: EmailMessage, content_sha256: str) -> None:
    """Replace random boundaries; `=_` occurs in neither quoted-printable nor base64 (RFC 2045, 6.7)."""
    parts = (part for part in mail.walk() if part.is_multipart())
    for number, part in enumerate(parts):
        part.set_boundary(f"=_{content_sha256[:32]}_{number}")


def _csv_columns(content: bytes) -> list[str]:
    """Return the headings of a CSV, whatever its delimiter."""
    heading = content.partition(b"\n")[0].decode("utf-8-sig", errors="replace")
    return [cell.strip(" \"'\r") for cell in re.split(r"[,;\t|]", heading)]


def _require_impersonal(columns: Sequence[str], where: str) -> None:
    for column in columns:
        if re.sub(r"[\s-]+", "_", column.strip().lower()) in PERSONAL_COLUMNS:
            raise _refused(
                f"column {column!r} identifies persons", where, "counts and shares, no subscriber identifiers"
            )


def _require_no_telephone(text: str, where: str) -> None:
    if _TELEPHONE.search(text):
        raise _refused("it holds a telephone number", where, "counts and shares, no subscriber identifiers")


def _require_subject(subject: str, where: str) -> None:
    if not subject.strip() or len(subject) > MAX_SUBJECT_LENGTH:
        raise _refused(
            f"its subject has {len(subject)} characters", where, f"1 to {MAX_SUBJECT_LENGTH} characters"
        )
    if _CONTROL.search(subject):
        raise _refused("its subject holds a line end, NUL or another control character", where, "one line")
    _require_unicode("subject", subject, where)


def _require_body(name: str, body: str, where: str) -> None:
    if not body.strip():
        raise _refused(f"its {name} is empty", where, "HTML and the same as plain text")
    if "\0" in body:
        raise _refused(f"its {name} holds NUL", where, "text")
    _require_unicode(name, body, where)


def _require_unicode(name: str, text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _refused(f"its {name} is not Unicode text: {error.reason}", where, "UTF-8 text") from error


def _require_size(message: MailMessage, where: str) -> None:
    size = len(message.html.encode()) + sum(len(file.content) for file in message.attachments)
    if size > MAX_MAIL_BYTES:
        raise _refused(
            f"it has {size:,} bytes",
            where,
            f"at most {MAX_MAIL_BYTES:,}; save large tables as reports, and say where",
        )


def _require_match(pattern: re.Pattern[str], value: str, what: str, example: str) -> None:
    if not pattern.fullmatch(value) or len(value) > MAX_SUBJECT_LENGTH:
        raise _refused(f"{what} is {value[:MAX_SUBJECT_LENGTH]!r}", "mail", f"something like {example!r}")


def _refused(fact: str, where: str, expected: str) -> MailRefusedError:
    return MailRefusedError(
        f"a mail cannot be sent: {fact}",
        where=where,
        expected=expected,
        remedy="correct it; nothing was queued",
    )
