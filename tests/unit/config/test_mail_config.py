"""What an environment may say about mails."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from mlops_assets.config.models import MailConfig
from mlops_assets.config.store_models import is_loopback
from mlops_assets.domain.errors import ConfigError
from resources.environments import open_mail
from resources.mailbox import LocalMailbox
from resources.smtp_transport import SmtpTransport


def test_mails_stay_here_by_default(tmp_path: Path) -> None:
    assert open_mail(MailConfig(), tmp_path) == LocalMailbox(tmp_path / "mail" / "mailbox")


def test_a_server_needs_no_credentials_to_be_configured(tmp_path: Path) -> None:
    values = {"kind": "smtp", "host": "mail.operator.example", "ca_file": "certificates/own.pem"}
    login = {"username": "mlops", "password_variable": "SMTP_PASSWORD"}
    settings = MailConfig.model_validate({**values, **login})
    way = open_mail(settings, tmp_path)
    assert isinstance(way, SmtpTransport)
    assert way.ca_file == tmp_path / "certificates" / "own.pem"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"kind": "smtp"}, "`host` is missing"),
        ({"kind": "smtp", "host": "mail.example", "tls": "none"}, "in clear to mail.example"),
        ({"username": "mlops"}, "go together"),
        ({"password_variable": "SMTP_PASSWORD"}, "go together"),
        ({"username": "mlops", "password_variable": "hunter2"}, "password_variable"),
        ({"sender": "Quality <q@operator.example>"}, "sender"),
        ({"sender": "q@operator.example\nBcc: x@operator.example"}, "sender"),
        ({"host": "mail.example\r\nRSET"}, "host"),
        ({"outbox": "../outbox.db"}, "outbox"),
        ({"password": "secret"}, "password"),
    ],
)
def test_what_is_unsafe_is_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        MailConfig.model_validate(values)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)
    assert MailConfig(kind="smtp", host=host, tls="none").tls == "none"


@pytest.mark.parametrize("host", ["localhost.operator.example", "10.0.0.1", "0.0.0.0", "", "::2"])  # noqa: S104
def test_other_machines_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_the_transport_refuses_clear_text_by_itself() -> None:
    settings = MailConfig.model_construct(kind="smtp", host="mail.operator.example", port=25, tls="none")
    with pytest.raises(ConfigError, match="not be encrypted"):
        SmtpTransport(settings)
