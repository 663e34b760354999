"""The outbox on SQLite: competition, sudden death, damage, giving up."""

from __future__ import annotations

import datetime as dt
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.mail_ports import MailDeferredError, MailRejectedError, OutgoingMail
from mlops_assets.domain.reporting.mail import MailRefusedError
from resources.json_logs import LOGGER
from resources.mail_outbox import RetryPolicy, SqliteOutbox
from resources.mailbox import LocalMailbox
from tests.fakes.mail import FakeTransport
from tests.unit.domain.reporting.sample_mails import NOW, SENDER, make_message

PROJECT = Path(__file__).parents[3]
MINUTE = dt.timedelta(minutes=1)
AFTER_CLAIM = NOW + dt.timedelta(seconds=RetryPolicy().claim_s + 60)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mail" / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> SqliteOutbox:
    return SqliteOutbox(path, SENDER, busy_timeout_s=30.0)


class CallingTransport:
    """Calls a function while the mail is on its way."""

    def __init__(self, during: Callable[[OutgoingMail], None]) -> None:
        self.during = during

    def send(self, mail: OutgoingMail) -> None:
        self.during(mail)


def queue_many(outbox: SqliteOutbox, count: int) -> None:
    outbox.enqueue(make_message(recipients=tuple(f"r{n}@x.example" for n in range(count))), NOW)


def test_reading_creates_no_file(outbox: SqliteOutbox, path: Path) -> None:
    assert outbox.entries() == []
    outbox.deliver_due(FakeTransport(), NOW)
    assert not path.exists()


def test_a_bad_sender_is_refused_at_once(path: Path) -> None:
    with pytest.raises(MailRefusedError, match="no mail address"):
        SqliteOutbox(path, "Quality <q@operator.example>")


def test_of_many_recipients_all_or_none_are_queued(outbox: SqliteOutbox, path: Path) -> None:
    outbox.enqueue(make_message(partition="first"), NOW)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON mail WHEN new.recipient = 'b@x.example' "
            "BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
    with pytest.raises(StorageError):
        outbox.enqueue(make_message(recipients=("a@x.example", "b@x.example")), NOW)
    assert len(outbox.entries()) == 1


def test_of_8_deliverers_one_sends_each_mail(outbox: SqliteOutbox) -> None:
    queue_many(outbox, 40)
    barrier, sent, lock = threading.Barrier(8), Counter[int](), threading.Lock()

    def note(mail: OutgoingMail) -> None:
        with lock:
            sent[mail.number] += 1

    def deliver(_: int) -> int:
        barrier.wait()
        return len(outbox.deliver_due(CallingTransport(note), NOW).entries)

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(deliver, range(8)))
    assert sum(counts) == 40
    assert sent == Counter(range(1, 41))


def test_a_claimed_mail_is_left_alone_until_the_claim_runs_out(outbox: SqliteOutbox) -> None:
    outbox.enqueue(make_message(), NOW)
    others: list[int] = []

    def deliver_too(_: OutgoingMail) -> None:
        times = (NOW, NOW + MINUTE, AFTER_CLAIM)
        others.extend(len(outbox.deliver_due(FakeTransport(), now).entries) for now in times)

    outbox.deliver_due(CallingTransport(deliver_too), NOW)
    assert others == [0, 0, 1]
    assert [(e.state, e.attempts) for e in outbox.entries()] == [("sent", 2)]


def test_a_late_failure_does_not_undo_what_another_has_sent(outbox: SqliteOutbox) -> None:
    outbox.enqueue(make_message(), NOW)

    def other_is_faster(_: OutgoingMail) -> None:
        outbox.deliver_due(FakeTransport(), AFTER_CLAIM)
        raise MailDeferredError("timed out")

    outbox.deliver_due(CallingTransport(other_is_faster), NOW)
    assert [entry.state for entry in outbox.entries()] == ["sent"]


def test_content_that_changes_on_the_way_is_noticed(outbox: SqliteOutbox) -> None:
    outbox.enqueue(make_message(), NOW)

    def change(_: OutgoingMail) -> None:
        outbox.enqueue(make_message(text="newer"), NOW)

    outbox.deliver_due(CallingTransport(change), NOW)
    (entry,) = outbox.entries()
    assert (entry.state, entry.is_changed_since_sent) == ("sent", True)
    assert b"newer" in outbox.content(1)


def test_content_that_changes_before_a_retry_is_sent(outbox: SqliteOutbox) -> None:
    outbox.enqueue(make_message(), NOW)
    outbox.deliver_due(FakeTransport([MailDeferredError("451")]), NOW)
    (entry,) = outbox.enqueue(make_message(text="newer"), NOW)
    assert (entry.state, entry.attempts) == ("failed", 1)
    transport = FakeTransport()
    outbox.deliver_due(transport, NOW + 2 * MINUTE)
    assert b"newer" in transport.sent[0].content


def test_an_interruption_leaves_the_mail_to_be_tried_again(outbox: SqliteOutbox) -> None:
    outbox.enqueue(make_message(), NOW)

    def interrupt(_: OutgoingMail) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outbox.deliver_due(CallingTransport(interrupt), NOW)
    (entry,) = outbox.entries()
    assert (entry.state, entry.last_error) == ("failed", "interrupted by KeyboardInterrupt")
    assert outbox.deliver_due(FakeTransport(), NOW + 2 * MINUTE).text() == "1 sent"


def test_waits_grow_and_end(path: Path) -> None:
    policy = RetryPolicy(first_wait_s=60.0, longest_wait_s=300.0, max_attempts=5)
    outbox = SqliteOutbox(path, SENDER, policy)
    outbox.enqueue(make_message(), NOW)
    transport = FakeTransport([MailDeferredError("451 busy")] * 5)
    now, waits = NOW, []
    for _ in range(4):
        (entry,) = outbox.deliver_due(transport, now).entries
        assert entry.next_attempt_at_utc is not None
        waits.append(round((entry.next_attempt_at_utc - now).total_seconds()))
        now = entry.next_attempt_at_utc
    assert waits == [60, 120, 240, 300]
    (dead,) = outbox.deliver_due(transport, now).entries
    assert dead.state == "dead"
    assert dead.last_error == "given up after 5 attempts; 451 busy"


def test_the_default_policy_tries_for_about_three_days() -> None:
    policy = RetryPolicy()
    days = sum(policy.wait_s(n) for n in range(1, policy.max_attempts)) / 86_400
    assert 2 < days < 4
    assert policy.wait_s(10**6) == policy.longest_wait_s


def test_a_mail_that_kills_its_process_each_time_is_given_up(path: Path) -> None:
    outbox = SqliteOutbox(path, SENDER, RetryPolicy(max_attempts=2, claim_s=60.0))
    outbox.enqueue(make_message(), NOW)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE mail SET attempts = 2, claim = 'x', claimed_until_utc = ?", (str(NOW),))
    (dead,) = outbox.deliver_due(FakeTransport(), NOW + MINUTE).entries
    assert dead.state == "dead"
    assert "given up after 2 attempts; the last one ended with its process" in dead.last_error


def test_no_mail_is_started_when_the_time_is_up(outbox: SqliteOutbox) -> None:
    queue_many(outbox, 3)
    report = outbox.deliver_due(CallingTransport(lambda _: time.sleep(0.05)), NOW, budget_s=0.02)
    assert len(report.entries) == 1


def test_what_a_server_says_is_one_printable_line(outbox: SqliteOutbox) -> None:
    outbox.enqueue(make_message(), NOW)
    answer = MailDeferredError("451\r\n\x1b[31mbusy\0" + "x" * 1000)
    (entry,) = outbox.deliver_due(FakeTransport([answer]), NOW).entries
    assert entry.last_error.startswith("451 [31mbusy x")
    assert len(entry.last_error) == 500


def test_times_without_zone_are_refused(outbox: SqliteOutbox) -> None:
    outbox.enqueue(make_message(), NOW)
    with pytest.raises(ValueError, match="no zone"):
        outbox.deliver_due(FakeTransport(), NOW.replace(tzinfo=None))


def test_a_mail_that_somebody_else_sent_meanwhile_is_not_told_as_dead(
    outbox: SqliteOutbox, caplog: pytest.LogCaptureFixture
) -> None:
    class TooLate:
        """The claim runs out while the server thinks."""

        def send(self, mail: OutgoingMail) -> None:
            assert outbox.deliver_due(FakeTransport(), AFTER_CLAIM).text() == "1 sent"
            raise MailRejectedError(f"554 no to {mail.number}")

    outbox.enqueue(make_message(), NOW)
    with caplog.at_level("INFO", logger=LOGGER):
        (entry,) = outbox.deliver_due(TooLate(), NOW).entries
    assert entry.state == "sent"
    assert "mail_dead" not in caplog.text


def test_times_of_any_zone_are_one_time(outbox: SqliteOutbox) -> None:
    outbox.enqueue(make_message(), NOW.astimezone(dt.timezone(dt.timedelta(hours=-4))))
    assert outbox.deliver_due(FakeTransport(), NOW - MINUTE).entries == ()
    assert outbox.deliver_due(FakeTransport(), NOW).text() == "1 sent"
    assert outbox.entries()[0].queued_at_utc == NOW


@pytest.mark.parametrize("delay_s", [0.0, 0.05, 0.13])
def test_sigkill_in_the_middle_of_delivery_loses_nothing(
    outbox: SqliteOutbox, path: Path, tmp_path: Path, delay_s: float
) -> None:
    queue_many(outbox, 20)
    folder = tmp_path / "mailbox"
    command = [sys.executable, "-m", "tests.unit.resources.mail_deliverer", str(path), str(folder)]
    with subprocess.Popen(
        [*command, NOW.isoformat()], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        handed_over = {int(process.stdout.readline())}
        time.sleep(delay_s)
        process.kill()
        handed_over |= {int(line) for line in process.stdout}
    noted = {entry.number for entry in outbox.entries() if entry.state == "sent"}
    assert 0 < len(handed_over) < 20
    assert noted <= handed_over
    assert len(handed_over - noted) <= 1

    again = outbox.deliver_due(LocalMailbox(folder), AFTER_CLAIM)
    assert {entry.number for entry in again.entries} == set(range(1, 21)) - noted
    assert {entry.state for entry in outbox.entries()} == {"sent"}
    # A mail that left twice has one Message-ID, and in the mailbox one file.
    assert len(list(folder.glob("[!.]*.eml"))) == 20  # a hidden one was cut short
    assert len({entry.message_id for entry in outbox.entries()}) == 20


def test_another_file_is_not_taken_for_an_outbox(path: Path, outbox: SqliteOutbox) -> None:
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE mail (number INTEGER)")
    with pytest.raises(StorageError, match="not the mail outbox") as caught:
        outbox.entries()
    assert not caught.value.is_retryable


@pytest.mark.parametrize(
    "content", [b"", b"no database at all, only some text of more than a hundred bytes" * 4]
)
def test_damage_is_said(path: Path, outbox: SqliteOutbox, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="cannot be used") as caught:
        outbox.enqueue(make_message(), NOW)
    assert "move the file away" in caught.value.remedy


def test_a_newer_schema_is_refused(path: Path, outbox: SqliteOutbox) -> None:
    outbox.enqueue(make_message(), NOW)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="schema version 99"):
        outbox.entries()


def test_a_lock_that_stays_is_said(path: Path) -> None:
    outbox = SqliteOutbox(path, SENDER, busy_timeout_s=0.05)
    outbox.enqueue(make_message(), NOW)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert len(outbox.entries()) == 1  # reading goes on
        with pytest.raises(StorageError, match="stayed locked") as caught:
            outbox.enqueue(make_message(text="new"), NOW)
        connection.rollback()
    assert caught.value.is_retryable
