"""Mails through a real SMTP server: what it refuses, forgets or cannot prove."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.config.models import MailConfig
from mlops_assets.domain.errors import ConfigError
from resources.mail_outbox import SqliteOutbox
from resources.smtp_transport import SmtpTransport
from tests.integration.mail.smtp_server import DROP, HOST, Answers, make_certificate, serve
from tests.unit.domain.reporting.sample_mails import KEY, NOW, SENDER, make_message

LATER = NOW + dt.timedelta(minutes=5)
VARIABLE = "MAIL_TEST_LOGIN"


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def port(answers: Answers) -> Iterator[int]:
    with serve(answers) as port:
        yield port


@pytest.fixture
def outbox(tmp_path: Path) -> SqliteOutbox:
    outbox = SqliteOutbox(tmp_path / "outbox.db", SENDER)
    outbox.enqueue(make_message(), NOW)
    return outbox


def transport(port: int, ca_file: Path | None = None, **changes: object) -> SmtpTransport:
    fields: dict[str, object] = {"kind": "smtp", "host": HOST, "port": port, "tls": "none", "timeout_s": 5.0}
    return SmtpTransport(MailConfig.model_validate({**fields, **changes}), ca_file=ca_file)


def test_a_mail_arrives_as_it_was_rendered(outbox: SqliteOutbox, answers: Answers, port: int) -> None:
    content = outbox.content(1)
    assert outbox.deliver_due(transport(port), NOW).text() == "1 sent"
    assert answers.received == [content]


def test_lines_that_start_with_a_dot_arrive(outbox: SqliteOutbox, answers: Answers, port: int) -> None:
    """A lone dot ends the text in SMTP; one within the text must not."""
    outbox.enqueue(make_message(text="before\n.\nQUIT\n..\nafter\n"), NOW)
    assert outbox.deliver_due(transport(port), NOW).text() == "1 sent"
    assert answers.received == [outbox.content(1)]


def test_451_is_retried_then_sent(outbox: SqliteOutbox, answers: Answers, port: int) -> None:
    answers.to_data.append("451 try later")
    (failed,) = outbox.deliver_due(transport(port), NOW).entries
    assert failed.state == "failed"
    assert "451 try later" in failed.last_error
    assert outbox.deliver_due(transport(port), NOW).entries == ()
    assert outbox.deliver_due(transport(port), LATER).text() == "1 sent"
    assert answers.message_ids() == [failed.message_id] * 2


def test_554_is_dead_and_shown(outbox: SqliteOutbox, answers: Answers, port: int) -> None:
    answers.to_data.append("554 contents refused")
    (dead,) = outbox.deliver_due(transport(port), NOW).entries
    assert dead.state == "dead"
    assert "554 contents refused" in dead.last_error
    assert outbox.deliver_due(transport(port), LATER).entries == ()
    outbox.retry_undelivered(LATER)
    assert outbox.deliver_due(transport(port), LATER).text() == "1 sent"


@pytest.mark.parametrize(("answer", "state"), [("450 mailbox busy", "failed"), ("550 no such user", "dead")])
def test_the_answer_to_a_recipient_counts(
    outbox: SqliteOutbox, answers: Answers, port: int, answer: str, state: str
) -> None:
    answers.to_recipient.append(answer)
    (entry,) = outbox.deliver_due(transport(port), NOW).entries
    assert entry.state == state
    assert answer in entry.last_error
    assert answers.received == []


def test_one_refused_recipient_does_not_stop_the_others(
    outbox: SqliteOutbox, answers: Answers, port: int
) -> None:
    outbox.enqueue(make_message(recipients=("b@operator.example", "c@operator.example")), NOW)
    answers.to_recipient.append("550 no such user")
    assert outbox.deliver_due(transport(port), NOW).text() == "2 sent, 1 dead"


def test_a_connection_dropped_after_data_sends_the_same_message_again(
    outbox: SqliteOutbox, answers: Answers, port: int
) -> None:
    answers.to_data.append(DROP)
    (failed,) = outbox.deliver_due(transport(port), NOW).entries
    assert failed.state == "failed"
    assert "connection was lost" in failed.last_error
    assert outbox.deliver_due(transport(port), LATER).text() == "1 sent"
    first, second = answers.received
    assert first == second
    assert answers.message_ids() == [failed.message_id] * 2


def test_421_ends_the_round(outbox: SqliteOutbox, answers: Answers, port: int) -> None:
    outbox.enqueue(make_message(recipients=("b@operator.example",)), NOW)
    answers.to_data.append("421 closing")
    assert outbox.deliver_due(transport(port), NOW).text() == "1 failed"
    assert [entry.state for entry in outbox.entries()] == ["failed", "queued"]


def test_no_server_is_waited_for(outbox: SqliteOutbox) -> None:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    (failed,) = outbox.deliver_due(transport(port), NOW).entries
    assert failed.state == "failed"
    assert "cannot be used" in failed.last_error


def test_a_silent_server_costs_the_timeout_only(outbox: SqliteOutbox) -> None:
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        (failed,) = outbox.deliver_due(transport(port, timeout_s=0.2), NOW).entries
    assert failed.state == "failed"
    assert "timed out" in failed.last_error


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_self_signed_certificate_is_refused_unless_trusted(
    outbox: SqliteOutbox, answers: Answers, tmp_path: Path, tls: str
) -> None:
    certificate, context = make_certificate(tmp_path, HOST)
    with serve(answers, context=context, is_implicit=tls == "implicit") as port:
        (failed,) = outbox.deliver_due(transport(port, tls=tls), NOW).entries
        assert failed.state == "failed"
        assert "certificate does not verify" in failed.last_error
        assert answers.received == []
        assert outbox.deliver_due(transport(port, certificate, tls=tls), LATER).text() == "1 sent"
    assert answers.is_encrypted == [True]


def test_a_certificate_of_another_name_is_refused(
    outbox: SqliteOutbox, answers: Answers, tmp_path: Path
) -> None:
    certificate, context = make_certificate(tmp_path, "mail.operator.example")
    with serve(answers, context=context) as port:
        (failed,) = outbox.deliver_due(transport(port, certificate, tls="starttls"), NOW).entries
    assert "certificate does not verify" in failed.last_error
    assert answers.received == []


def test_a_server_without_starttls_gets_nothing(outbox: SqliteOutbox, answers: Answers, port: int) -> None:
    (failed,) = outbox.deliver_due(transport(port, tls="starttls"), NOW).entries
    assert failed.state == "failed"
    assert "STARTTLS" in failed.last_error
    assert answers.received == []


@pytest.mark.parametrize("typed", ["right", "wrong-secret", "", "ñandú-secret"])
def test_the_password_is_read_when_it_is_needed_and_never_told(
    outbox: SqliteOutbox, answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    certificate, context = make_certificate(tmp_path, HOST)
    with serve(answers, context=context, asks_login=True) as port:
        way = transport(port, certificate, tls="starttls", username="mlops", password_variable=VARIABLE)
        monkeypatch.setenv(VARIABLE, typed)
        (entry,) = outbox.deliver_due(way, NOW).entries
    assert entry.state == ("sent" if typed == "right" else "failed")
    assert ("535" in entry.last_error) == (typed == "wrong-secret")
    can_be_said = typed.isascii() and typed != ""
    assert (VARIABLE in entry.last_error) == (not can_be_said)
    assert not typed or typed not in entry.last_error + repr(way)
    assert {login.password.decode() for login in answers.logins} == ({typed} if can_be_said else set())


def test_a_missing_log_in_is_not_the_mails_fault(
    outbox: SqliteOutbox, answers: Answers, tmp_path: Path
) -> None:
    certificate, context = make_certificate(tmp_path, HOST)
    with serve(answers, context=context, asks_login=True) as port:
        (entry,) = outbox.deliver_due(transport(port, certificate, tls="starttls"), NOW).entries
    assert entry.state == "failed"
    assert "530" in entry.last_error


def test_mail_in_clear_leaves_this_machine_never() -> None:
    settings = MailConfig.model_construct(kind="smtp", host="mail.operator.example", port=25, tls="none")
    with pytest.raises(ConfigError, match="not be encrypted"):
        SmtpTransport(settings)


def test_the_recipient_is_in_the_envelope(outbox: SqliteOutbox, port: int) -> None:
    assert outbox.deliver_due(transport(port), NOW).entries[0].key == KEY
