"""Mails to an SMTP server, over a verified connection.

Belongs here: the connection, the log-in and what the server's answers mean. Does not belong here: retrying
(mail_outbox) or what a mail says.

Answers: 4xx is "later", 5xx "never" for this mail. No connection, a certificate that does not verify, a refused
log-in: nothing is wrong with the mail, so it waits. A connection lost after the text was sent leaves open whether
the server took it; the mail is sent again with the same Message-ID.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.config.models import MailConfig
from mlops_assets.config.store_models import is_loopback
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.mail_ports import MailDeferredError, MailRejectedError, OutgoingMail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PERMANENT = 500
_CLOSING = 421
_LOG_IN_NEEDED = frozenset({530, 534, 535, 538})  # RFC 4954: about the session, not about the mail
_HIDDEN = "[secret]"


@dataclass(frozen=True)
class SmtpTransport:
    """Sends each mail over a connection of its own.

    The password is read from its environment variable when a mail is sent, and kept nowhere.

    Attributes:
        settings: host, port, protection, user and the name of the password's variable.
        ca_file: certificates trusted beside those of the system (PEM).

    Raises:
        ConfigError: an unprotected connection would leave this machine.
    """

    settings: MailConfig
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse to send in clear over a network."""
        if self.settings.tls == "none" and not is_loopback(self.settings.host):
            raise ConfigError(
                f"mail to {self.settings.host} would not be encrypted",
                where="environment file, mail.tls",
                expected="starttls or implicit; none only to this machine",
                remedy="set mail.tls",
            )

    def send(self, mail: OutgoingMail) -> None:
        """Hand the mail to the server.

        Raises:
            MailDeferredError: no connection, an answer 4xx, or the connection was lost.
            MailRejectedError: an answer 5xx to sender, recipient or text.
        """
        with self._session(mail.sender.rpartition("@")[2]) as session:
            try:
                session.sendmail(mail.sender, [mail.key.recipient], mail.content)
            except smtplib.SMTPRecipientsRefused as error:
                raise self._judged(*error.recipients[mail.key.recipient]) from error
            except smtplib.SMTPResponseException as error:
                raise self._judged(error.smtp_code, error.smtp_error) from error
            except OSError as error:  # smtplib's other errors are OSErrors too
                raise self._deferred(f"the connection was lost: {error}", is_server_down=True) from error

    @contextmanager
    def _session(self, own_name: str) -> Iterator[smtplib.SMTP]:
        session: smtplib.SMTP | None = None
        try:
            try:
                session = self._connected(own_name)
                self._protect_and_log_in(session)
            except OSError as error:
                raise self._unavailable(error) from error
            yield session
            with suppress(OSError):  # the mail is handed over; how the server says good-bye does not matter
                session.quit()
        finally:
            if session is not None:
                session.close()

    def _connected(self, own_name: str) -> smtplib.SMTP:
        """Connect. The name is given because looking up this machine's own may hang and would tell it."""
        host, port, timeout_s = self.settings.host, self.settings.port, self.settings.timeout_s
        if self.settings.tls == "implicit":
            return smtplib.SMTP_SSL(
                host, port, local_hostname=own_name, timeout=timeout_s, context=self._verifying()
            )
        return smtplib.SMTP(host, port, local_hostname=own_name, timeout=timeout_s)

    def _protect_and_log_in(self, session: smtplib.SMTP) -> None:
        if self.settings.tls == "starttls":
            session.starttls(context=self._verifying())
        session.ehlo_or_helo_if_needed()  # a refused greeting is not the mail's fault
        if self.settings.username:
            session.login(self.settings.username, self._password())

    def _verifying(self) -> ssl.SSLContext:
        """Return a context that checks the server's certificate and name, TLS 1.2 at least."""
        context = ssl.create_default_context()
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        return context

    def _password(self) -> str:
        variable = self.settings.password_variable
        value = os.environ.get(variable, "")
        if value and value.isascii():
            return value
        fact = "has letters beyond ASCII, which a log-in cannot carry" if value else "is not set"
        raise self._deferred(
            f"there is no password: environment variable {variable} {fact}", is_server_down=True
        )

    def _unavailable(self, error: OSError) -> MailDeferredError:
        if isinstance(error, ssl.SSLCertVerificationError):
            fact = f"its certificate does not verify: {error.verify_message}"
        elif isinstance(error, smtplib.SMTPResponseException):
            fact = f"it answers {error.smtp_code} {self._spoken(error.smtp_error)}"
        else:
            fact = str(error) or type(error).__name__
        return self._deferred(f"the mail server cannot be used: {fact}", is_server_down=True)

    def _judged(self, code: int, answer: bytes | str) -> MailDeferredError | MailRejectedError:
        """Return what an answer to sender, recipient or text means."""
        said = f"the mail server answers {code} {self._spoken(answer)}"
        if code in _LOG_IN_NEEDED or code == _CLOSING:
            return self._deferred(said, is_server_down=True)
        if code < _PERMANENT:
            return self._deferred(said)
        return MailRejectedError(
            said,
            where=self._server,
            expected="a recipient and a text that the server takes",
            remedy="correct the address in configs/, then `mlops mailbox retry NUMBER`",
        )

    def _deferred(self, what: str, *, is_server_down: bool = False) -> MailDeferredError:
        return MailDeferredError(
            what,
            where=self._server,
            expected="a server that takes mails, with a certificate that verifies",
            remedy="the mail is tried again by itself; `mlops mailbox retry` tries at once",
            is_server_down=is_server_down,
        )

    @property
    def _server(self) -> str:
        return f"{self.settings.host}:{self.settings.port} ({self.settings.tls})"

    def _spoken(self, answer: bytes | str) -> str:
        """Return an answer as text, without the password should the server repeat it."""
        text = answer.decode("utf-8", errors="replace") if isinstance(answer, bytes) else answer
        secret = os.environ.get(self.settings.password_variable, "")
        return text.replace(secret, _HIDDEN) if secret else text
