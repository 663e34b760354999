"""What every outbox promises: the same assertions over the real one and the fake."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mlops_assets.domain.mail_ports import MailDeferredError, MailRejectedError, MailUnknownError, Outbox
from mlops_assets.domain.reporting.mail import make_message_id
from resources.mail_outbox import SqliteOutbox
from tests.fakes.mail import FakeOutbox, FakeTransport
from tests.unit.domain.reporting.sample_mails import KEY, NOW, SENDER, make_message

LATER = NOW + dt.timedelta(days=1)


@pytest.fixture(params=["sqlite", "fake"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Outbox:
    return SqliteOutbox(tmp_path / "outbox.db", SENDER) if request.param == "sqlite" else FakeOutbox(SENDER)


def test_nothing_is_due_at_first(outbox: Outbox) -> None:
    assert outbox.entries() == []
    assert outbox.deliver_due(FakeTransport(), NOW).text() == "no mail is due"
    assert outbox.retry_undelivered(NOW) == []


def test_each_recipient_gets_one_mail(outbox: Outbox) -> None:
    recipients = ("a@operator.example", "b@operator.example")
    entries = outbox.enqueue(make_message(recipients=recipients), NOW)
    assert [(e.number, e.key.recipient, e.state) for e in entries] == [
        (1, recipients[0], "queued"),
        (2, recipients[1], "queued"),
    ]
    transport = FakeTransport()
    assert outbox.deliver_due(transport, NOW).text() == "2 sent"
    assert [mail.key.recipient for mail in transport.sent] == list(recipients)
    assert [mail.message_id for mail in transport.sent] == [make_message_id(e.key, SENDER) for e in entries]
    assert outbox.deliver_due(transport, LATER).text() == "no mail is due"


def test_without_recipients_nothing_is_queued(outbox: Outbox) -> None:
    assert outbox.enqueue(make_message(recipients=()), NOW) == []
    assert outbox.entries() == []


def test_unsent_content_is_replaced(outbox: Outbox) -> None:
    outbox.enqueue(make_message(), NOW)
    outbox.enqueue(make_message(subject="Corrected", text="new text"), NOW)
    transport = FakeTransport()
    assert outbox.deliver_due(transport, NOW).text() == "1 sent"
    assert b"new text" in transport.sent[0].content
    assert [entry.subject for entry in outbox.entries()] == ["Corrected"]


def test_sent_mail_is_sent_again_only_if_asked(outbox: Outbox) -> None:
    transport = FakeTransport()
    outbox.enqueue(make_message(), NOW)
    outbox.deliver_due(transport, NOW)
    (same,) = outbox.enqueue(make_message(), LATER)
    assert (same.state, same.is_changed_since_sent) == ("sent", False)
    (changed,) = outbox.enqueue(make_message(text="new text"), LATER)
    assert (changed.state, changed.is_changed_since_sent) == ("sent", True)
    assert outbox.deliver_due(transport, LATER).entries == ()

    outbox.resend(changed.number, LATER)
    (sent,) = outbox.deliver_due(transport, LATER).entries
    assert (sent.state, sent.is_changed_since_sent, sent.number) == ("sent", False, 1)
    first, second = transport.sent
    assert b"new text" in second.content
    assert first.message_id == second.message_id


def test_deferred_mail_waits_and_is_sent(outbox: Outbox) -> None:
    outbox.enqueue(make_message(), NOW)
    transport = FakeTransport([MailDeferredError("451 busy")])
    (failed,) = outbox.deliver_due(transport, NOW).entries
    assert (failed.state, failed.attempts) == ("failed", 1)
    assert "451 busy" in failed.last_error
    assert failed.next_attempt_at_utc is not None
    assert failed.next_attempt_at_utc > NOW
    assert outbox.deliver_due(transport, NOW + dt.timedelta(seconds=30)).entries == ()
    (sent,) = outbox.deliver_due(transport, NOW + dt.timedelta(seconds=90)).entries
    assert (sent.state, sent.attempts, sent.last_error) == ("sent", 2, "")
    assert sent.next_attempt_at_utc is None


def test_rejected_mail_is_dead_and_shown(outbox: Outbox) -> None:
    outbox.enqueue(make_message(), NOW)
    report = outbox.deliver_due(FakeTransport([MailRejectedError("554 no")]), NOW)
    assert report.text() == "1 dead"
    assert list(report.findings()) == [f"mail 1 ({KEY}) dead: 554 no"]
    outbox.enqueue(make_message(), LATER)
    transport = FakeTransport()
    assert outbox.deliver_due(transport, LATER).entries == ()
    assert [entry.state for entry in outbox.entries()] == ["dead"]


def test_new_content_revives_a_dead_mail(outbox: Outbox) -> None:
    outbox.enqueue(make_message(), NOW)
    outbox.deliver_due(FakeTransport([MailRejectedError("554 no")]), NOW)
    (revived,) = outbox.enqueue(make_message(text="new"), LATER)
    assert (revived.state, revived.attempts, revived.last_error) == ("queued", 0, "")
    assert outbox.deliver_due(FakeTransport(), LATER).text() == "1 sent"


def test_a_server_that_is_down_ends_the_round(outbox: Outbox) -> None:
    outbox.enqueue(make_message(recipients=("a@x.example", "b@x.example")), NOW)
    down = MailDeferredError("no connection", is_server_down=True)
    report = outbox.deliver_due(FakeTransport([down]), NOW)
    assert report.text() == "1 failed"
    assert [entry.state for entry in outbox.entries()] == ["failed", "queued"]


def test_one_rejection_does_not_stop_the_others(outbox: Outbox) -> None:
    outbox.enqueue(make_message(recipients=("a@x.example", "b@x.example", "c@x.example")), NOW)
    transport = FakeTransport([MailRejectedError("550 unknown"), MailDeferredError("451 later")])
    assert outbox.deliver_due(transport, NOW).text() == "1 sent, 1 failed, 1 dead"
    revived = outbox.retry_undelivered(NOW)
    assert [entry.number for entry in revived] == [1, 2]
    assert outbox.deliver_due(transport, NOW).text() == "2 sent"


def test_an_unknown_number_is_said(outbox: Outbox) -> None:
    for _ in range(2):
        with pytest.raises(MailUnknownError, match="no mail 7"):
            outbox.resend(7, NOW)
        with pytest.raises(MailUnknownError, match="no mail 7"):
            outbox.content(7)
        outbox.enqueue(make_message(), NOW)


def test_content_is_what_is_sent(outbox: Outbox) -> None:
    outbox.enqueue(make_message(), NOW)
    transport = FakeTransport()
    outbox.deliver_due(transport, NOW)
    assert outbox.content(1) == transport.sent[0].content
