"""The outbox on PostgreSQL: the contract, many deliverers at once, sudden death, all or none."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.mail_ports import DeliveryReport, OutgoingMail
from resources.mail_outbox import RetryPolicy
from resources.mailbox import LocalMailbox
from resources.postgres_stores import PostgresOutbox
from tests.fakes.mail import FakeTransport
from tests.integration.cloud.contracts import contract_of
from tests.integration.cloud.postgres_server import PostgresServer
from tests.unit.domain.reporting.sample_mails import NOW, SENDER, make_message
from tests.unit.resources import test_outbox_contract

if TYPE_CHECKING:
    from sqlalchemy import URL

pytestmark = pytest.mark.integration
globals().update(contract_of(test_outbox_contract))

PROJECT = Path(__file__).parents[3]
AFTER_CLAIM = NOW + dt.timedelta(seconds=RetryPolicy().claim_s + 60)


@pytest.fixture
def outbox(address: Callable[[], URL]) -> PostgresOutbox:
    return PostgresOutbox(address, SENDER, patience_s=2.0)


def test_reading_creates_nothing(outbox: PostgresOutbox, postgres: PostgresServer, database: str) -> None:
    assert outbox.entries() == []
    outbox.deliver_due(FakeTransport(), NOW)
    postgres.run_sql("CREATE SCHEMA mail_outbox", database=database)  # fails if there is one


def test_of_8_deliverers_one_sends_each_mail(outbox: PostgresOutbox) -> None:
    outbox.enqueue(make_message(recipients=tuple(f"r{n}@x.example" for n in range(40))), NOW)
    barrier, sent, guard = threading.Barrier(8), Counter[int](), threading.Lock()

    class Counting:
        def send(self, mail: OutgoingMail) -> None:
            with guard:
                sent[mail.number] += 1

    def deliver(_: int) -> DeliveryReport:
        barrier.wait()
        return outbox.deliver_due(Counting(), NOW)

    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(deliver, range(8)))
    assert sum(report.count("sent") for report in reports) == 40
    assert set(sent.values()) == {1}
    assert len(sent) == 40
    assert {entry.state for entry in outbox.entries()} == {"sent"}


def test_a_mail_that_another_deliverer_is_claiming_is_passed_over(outbox: PostgresOutbox) -> None:
    outbox.enqueue(make_message(recipients=("a@x.example", "b@x.example")), NOW)
    with outbox._database.writing() as connection:
        connection.execute("SELECT number FROM mail WHERE recipient = 'a@x.example' FOR UPDATE")
        transport = FakeTransport()
        assert outbox.deliver_due(transport, NOW).text() == "1 sent"
    assert [mail.key.recipient for mail in transport.sent] == ["b@x.example"]
    assert outbox.deliver_due(transport, NOW).text() == "1 sent"


def test_of_many_who_queue_the_same_mails_each_is_queued_once(outbox: PostgresOutbox) -> None:
    recipients = tuple(f"r{n}@x.example" for n in range(4))
    barrier = threading.Barrier(8)

    def enqueue(number: int) -> int:
        barrier.wait()
        return len(outbox.enqueue(make_message(text=f"text {number}", recipients=recipients), NOW))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(enqueue, range(8))) == [4] * 8
    assert len(outbox.entries()) == 4


def test_a_mail_whose_deliverer_died_is_sent_again_under_the_same_id(
    outbox: PostgresOutbox, address: Callable[[], URL], tmp_path: Path
) -> None:
    (queued,) = outbox.enqueue(make_message(), NOW)
    url = address().render_as_string(hide_password=False)
    command = [
        sys.executable,
        "-m",
        "tests.integration.cloud.postgres_deliverer",
        url,
        str(tmp_path),
        NOW.isoformat(),
    ]
    assert subprocess.run(command, cwd=PROJECT, timeout=60, check=False).returncode == -9
    (left,) = outbox.entries()
    assert (left.state, left.attempts) == ("queued", 1)
    assert outbox.deliver_due(LocalMailbox(tmp_path), NOW + dt.timedelta(minutes=1)).entries == ()
    (sent,) = outbox.deliver_due(LocalMailbox(tmp_path), AFTER_CLAIM).entries
    assert (sent.state, sent.attempts, sent.message_id) == ("sent", 2, queued.message_id)


def test_of_many_recipients_all_or_none_are_queued(
    outbox: PostgresOutbox, postgres: PostgresServer, database: str
) -> None:
    outbox.enqueue(make_message(partition="first"), NOW)
    postgres.run_sql("ALTER TABLE mail_outbox.mail ADD CHECK (recipient <> 'b@x.example')", database=database)
    with pytest.raises(StorageError):
        outbox.enqueue(make_message(recipients=("a@x.example", "b@x.example")), NOW)
    assert len(outbox.entries()) == 1
