"""An SMTP server on this machine that answers as it is told.

Belongs here: the server and its certificate. Does not belong here: any test.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from ipaddress import ip_address
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HOST = "127.0.0.1"
DROP = "drop"
TAKEN = "250 taken"


@dataclass
class Answers:
    """What the server answers to recipients and texts, and what it has taken.

    `to_data` and `to_recipient` are used up one after the other; then everything is taken. `DROP` takes the text
    and closes the connection before the answer.
    """

    to_data: list[str] = field(default_factory=list)
    to_recipient: list[str] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    is_encrypted: list[bool] = field(default_factory=list)
    logins: list[LoginPassword] = field(default_factory=list)

    def message_ids(self) -> list[str]:
        """Return the Message-ID of each received text."""
        return [str(message_from_bytes(text, policy=policy.default)["Message-ID"]) for text in self.received]

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Answer to a recipient."""
        del server, session, options
        answer = self.to_recipient.pop(0) if self.to_recipient else TAKEN
        if answer == TAKEN:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Answer to a text."""
        del session
        assert isinstance(envelope.original_content, bytes)
        self.received.append(envelope.original_content)
        assert server.transport is not None
        self.is_encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        answer = self.to_data.pop(0) if self.to_data else TAKEN
        if answer == DROP:
            server.transport.close()
        return answer

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        """Take the user `mlops` with the password `right`."""
        del server, session, envelope, mechanism
        assert isinstance(data, LoginPassword)
        self.logins.append(data)
        return AuthResult(success=data == LoginPassword(b"mlops", b"right"), handled=False)


@contextmanager
def serve(
    answers: Answers,
    *,
    context: ssl.SSLContext | None = None,
    is_implicit: bool = False,
    asks_login: bool = False,
) -> Iterator[int]:
    """Run the server in a thread and yield its port.

    Args:
        answers: what it says.
        context: certificate; None for a server without TLS.
        is_implicit: TLS from the first byte instead of STARTTLS.
        asks_login: refuse mails before a log-in.
    """
    loop = asyncio.new_event_loop()
    listening = socket.create_server((HOST, 0))

    def session() -> SMTP:
        return SMTP(
            answers,
            hostname="localhost",
            loop=loop,
            tls_context=None if is_implicit else context,
            require_starttls=context is not None and not is_implicit,
            authenticator=answers.authenticate if asks_login else None,
            auth_required=asks_login,
            auth_require_tls=not is_implicit,
        )

    async def start() -> asyncio.Server:
        return await loop.create_server(session, sock=listening, ssl=context if is_implicit else None)

    server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # lets transports close


def make_certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """Write a self-signed certificate for HOST and return its file and the server's context."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(tz=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([_alternative(x509, name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / f"{name}.pem", folder / f"{name}.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context


def _alternative(x509: object, name: str) -> object:
    try:
        return x509.IPAddress(ip_address(name))  # type: ignore[attr-defined]
    except ValueError:
        return x509.DNSName(name)  # type: ignore[attr-defined]
