"""The sensor that delivers mails, and a headless day that does the same."""

import dagster as dg
import pytest

from mlops_assets.commands.replay import Replay
from mlops_assets.config import names
from mlops_assets.domain.mail_ports import MailDeferredError, MailRejectedError
from sensors.outbox import build_outbox_sensor
from tests.definitions.conftest import FIRST_DAY
from tests.fakes.mail import FakeOutbox, FakeTransport
from tests.unit.domain.reporting.sample_mails import NOW, make_message


def tick(outbox: FakeOutbox, transport: FakeTransport) -> str:
    """Evaluate the sensor once and return what the tick says."""
    with dg.build_sensor_context(resources={"outbox": outbox, "mail": transport}) as context:
        result = build_outbox_sensor()(context)
    assert isinstance(result, dg.SkipReason)
    return result.skip_message or ""


def test_due_mails_are_delivered_and_counted() -> None:
    outbox, transport = FakeOutbox(), FakeTransport([MailRejectedError("550"), MailDeferredError("451")])
    assert tick(outbox, transport) == "no mail is due"
    outbox.enqueue(make_message(recipients=tuple(f"{n}@x.example" for n in "abcd")), NOW)
    assert tick(outbox, transport) == "2 sent, 1 failed, 1 dead"
    assert len(transport.sent) == 2


def test_the_sensor_is_in_the_graph(replay: Replay) -> None:
    sensor = replay.workspace.definitions.get_repository_def().get_sensor_def(names.OUTBOX_SENSOR)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_a_headless_day_delivers_mails(replay: Replay) -> None:
    platform = replay.workspace.platform
    platform.outbox.enqueue(make_message(), NOW)
    (result,) = replay.run(FIRST_DAY, FIRST_DAY, lambda _: None)
    assert result.undelivered == ()
    entries = platform.outbox.entries()
    assert {entry.state for entry in entries} == {"sent"}
    assert {entry.key.report for entry in entries} == {make_message().report, "quality/daily_summary"}


def test_undeliverable_mail_fails_no_day(replay: Replay) -> None:
    """What cannot be delivered waits in the outbox."""
    platform, home = replay.workspace.platform, replay.workspace.home
    platform.outbox.enqueue(make_message(), NOW)
    (home / replay.workspace.config.environment.mail.mailbox).write_text("a file in the way")
    (result,) = replay.run(FIRST_DAY, FIRST_DAY, lambda _: None)
    assert result.status == "built"
    assert len(result.undelivered) == 1
    assert "cannot be" in result.findings[-1]


def test_a_day_whose_reports_cannot_be_queued_is_not_done(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an outbox a mail would be lost; the day stays due and says why."""
    monkeypatch.setattr("mlops_assets.assets.execution.RETRIES", 0)
    platform, home = replay.workspace.platform, replay.workspace.home
    platform.outbox.enqueue(make_message(), NOW)
    (home / replay.workspace.config.environment.mail.outbox).write_bytes(b"")
    (result,) = replay.run(FIRST_DAY, FIRST_DAY, lambda _: None)
    assert result.status == "failed"
    assert any("quality_summary" in finding for finding in result.findings)
