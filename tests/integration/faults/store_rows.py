"""Rows of the fault table about what keeps things: disk, object store, database, mail server, model files.

Belongs here: injecting each fault once, somewhere else each time, and counting what it did. Does not belong here: how
often (benchmarks/fault_table, test_faults), or processes that are killed (run_rows).
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import random
import secrets
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from mlops_assets.config.models import MailConfig
from mlops_assets.domain.errors import PlatformError, StaleChampionError
from mlops_assets.domain.learning.algorithms import Signature
from mlops_assets.domain.learning.algorithms.dummy import DummyModel
from mlops_assets.domain.learning.bundle import Scorer, load_bundle, save_bundle
from mlops_assets.domain.learning.exposure import exposure_to_keys
from mlops_assets.domain.ports import Lake, PromotionLedger
from resources.file_cache import FileCache
from resources.gcs_lake import GcsLake
from resources.lake import LocalLake
from resources.mail_outbox import SqliteOutbox
from resources.object_store import ObjectStore, close_client, open_client
from resources.postgres_stores import PostgresOutbox, PostgresPromotionLedger
from resources.promotion_ledger import SqlitePromotionLedger
from resources.smtp_transport import SmtpTransport
from tests.integration.cloud.gcs_server import FaultyProxy
from tests.integration.faults.outcome import Outcome, Services
from tests.integration.mail.smtp_server import DROP, HOST, Answers, serve
from tests.unit.domain.reporting.sample_mails import NOW, SENDER, make_message
from tests.unit.resources.lake_writer import KEYS, USAGE, publish
from tests.unit.resources.ledger_writer import SLOT, make_entry

RACERS = 32
_DISK_BYTES = 1_500_000
_RECIPIENTS = tuple(f"person{number}@operator.example" for number in range(3))


def may_mount() -> bool:
    """Say whether this process may mount a small disk."""
    return os.geteuid() == 0 and Path("/proc/filesystems").exists()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Give an empty disk of 1.5 MB for a block."""
    folder.mkdir()
    options = f"size={_DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leaves_bytes: int) -> Path:
    """Fill a disk up to some bytes and return the file that does."""
    ballast = disk / "ballast"
    status = os.statvfs(disk)
    free_bytes = status.f_bavail * status.f_frsize
    ballast.write_bytes(b"x" * max(0, free_bytes - leaves_bytes))
    return ballast


def fill_the_disk(folder: Path, _: Services, dice: random.Random) -> Outcome:
    """Publish, promote and queue on a disk that is full, or nearly."""
    with small_disk(folder / "disk") as disk:
        lake = LocalLake(disk / "lake")
        ledger = SqlitePromotionLedger(disk / "ledger.db")
        outbox = SqliteOutbox(disk / "outbox.db", SENDER)
        publish(lake, KEYS["a"], b"old rows")
        ledger.record(make_entry("1", None))
        outbox.enqueue(make_message(), NOW)
        ballast = fill(disk, dice.randrange(0, 40_000))
        promote = lambda: ledger.record(make_entry("2", "1"))  # noqa: E731
        queue = lambda: outbox.enqueue(make_message(recipients=_RECIPIENTS), NOW)  # noqa: E731
        new_rows = b"new rows" * 20_000
        works = [lambda: publish(lake, KEYS["b"], new_rows), promote, queue]
        said = [_complaint(work) for work in works]
        outcome = Outcome(injected=len(works))
        _judge_lake(outcome, lake, b"old rows", new_rows, is_said=bool(said[0]))
        decisions = ledger.verify()
        outcome.count("lost", decisions != 1 + (not said[1]), f"{decisions} decisions, said {said[1]!r}")
        ballast.unlink()  # the outbox cannot be read before: a SQLite file with a log needs room even for that
        queued = len(outbox.entries())
        outcome.count("lost", queued != 1 + 3 * (not said[2]), f"{queued} mails, said {said[2]!r}")
        for work in works:
            outcome.count("stuck", _complaint(work), "it does not go on with a free disk")
        outcome.count("doubled", ledger.verify() != 2, "decisions")
        outcome.count("doubled", len(outbox.entries()) != 4, "mails")
        outcome.count("lost", lake.path(USAGE).read_bytes() != new_rows, "the partition")
    return outcome


def fail_the_object_store(folder: Path, services: Services, dice: random.Random) -> Outcome:
    """Let the object store answer 503 or 412, or lose its answer, from some request of a publication on."""
    proxy = FaultyProxy(services.gcs)
    close_client()
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    os.environ["STORAGE_EMULATOR_HOST"] = proxy.url
    try:
        bucket = f"faults-{secrets.token_hex(6)}"
        open_client().create_bucket(bucket)
        store = ObjectStore(bucket, "some/prefix", patience_s=0.5, answer_s=5.0)
        lake = GcsLake(store, FileCache(folder / "cache", 10_000_000))
        publish(lake, KEYS["a"], b"old rows")
        first, count, seen = dice.randrange(0, 5), dice.choice([1, 10_000]), 0
        kind = dice.choice([503, 412, "lose"])

        def fault(method: str, _: str) -> int | str | None:
            nonlocal seen
            seen += method == "POST" or kind != 412
            is_hit = first < seen <= first + count and (method == "POST" or kind == 503)
            return kind if is_hit else None

        proxy.fault = fault
        said = _complaint(lambda: publish(lake, KEYS["b"], b"new rows"))
        proxy.fault = lambda *_: None
        outcome = Outcome(injected=1)
        may_be_there = kind == "lose"
        _judge_lake(outcome, lake, b"old rows", b"new rows", is_said=bool(said), may_be_there=may_be_there)
        again = _complaint(lambda: publish(lake, KEYS["b"], b"new rows"))
        outcome.count("stuck", again, f"after {kind}: {again}")
        outcome.count("lost", lake.path(USAGE).read_bytes() != b"new rows", "the partition")
        return outcome
    finally:
        close_client()
        proxy.stop()
        os.environ.pop("STORAGE_EMULATOR_HOST")
        if before is not None:
            os.environ["STORAGE_EMULATOR_HOST"] = before


def fail_the_mail_server(folder: Path, _: Services, dice: random.Random) -> Outcome:
    """Let the mail server defer, refuse, or hang up after it has taken a text."""
    answers, outbox = Answers(), SqliteOutbox(folder / "outbox.db", SENDER)
    outbox.enqueue(make_message(recipients=_RECIPIENTS), NOW)
    faults = [dice.choice(["451 try later", "554 refused", DROP, "421 closing"]) for _ in range(4)]
    answers.to_data = list(faults)
    outcome, told, now = Outcome(injected=len(faults)), 0, NOW
    with serve(answers) as port:
        settings = MailConfig.model_validate({"kind": "smtp", "host": HOST, "port": port, "tls": "none"})
        for _ in range(12):
            report = outbox.deliver_due(SmtpTransport(settings), now)
            told += len(list(report.findings()))
            now += dt.timedelta(hours=1)
    entries = outbox.entries()
    taken = Counter(answers.message_ids())
    for entry in entries:
        is_dead = entry.state == "dead"
        outcome.count("lost", entry.state not in {"sent", "dead"}, f"{entry.key} is {entry.state}")
        outcome.count(
            "silent", is_dead and "554" not in entry.last_error, f"{entry.key} died without a reason"
        )
    refusals = faults.count("554 refused")
    outcome.count(
        "lost", sum(one.state == "dead" for one in entries) != refusals, "more died than were refused"
    )
    # At least once: a text whose answer was lost comes again, as the same message.
    outcome.count("doubled", set(taken) != {one.message_id for one in entries}, "a message under another id")
    outcome.count(
        "doubled", sum(taken.values()) != len(entries) + len(faults) - refusals, "texts without need"
    )
    outcome.count("silent", told != len(faults), f"{told} of {len(faults)} faults were told")
    return outcome


def promote_all_at_once(folder: Path, services: Services, _: random.Random) -> Outcome:
    """Let 32 sessions promote a challenger each over the same champion; on a server and in a file."""
    database = services.postgres.create_database()
    stores = (
        PostgresPromotionLedger(lambda: services.postgres.url(database)),
        SqlitePromotionLedger(folder / "ledger.db"),
    )
    outcome = Outcome(injected=len(stores))
    for ledger in stores:
        ledger.record(make_entry("100", None))
        told = _race(ledger)
        winners = [one for one in told if one != "stale"]
        champion = ledger.champion(SLOT)
        outcome.count("doubled", len(winners) > 1, f"{len(winners)} were told that they won")
        outcome.count(
            "lost", champion is None or [champion.version] != winners, "the champion is not who won"
        )
        outcome.count("doubled", ledger.verify() != 2, "decisions")
    return outcome


def _race(ledger: PromotionLedger) -> list[str]:
    """Promote from all sessions at once and return what each was told: its version, or that it is stale."""
    barrier = threading.Barrier(RACERS)

    def promote(version: int) -> str:
        barrier.wait(60)
        try:
            ledger.record(make_entry(str(version), "100"))
        except StaleChampionError:
            return "stale"
        return str(version)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(promote, range(1, RACERS + 1)))


def damage_a_model(folder: Path, _: Services, dice: random.Random) -> Outcome:
    """Flip, cut, empty, exchange or delete bytes of a stored model."""
    signature = Signature("binary", ("tenure_days",), (), (), None)
    scorer = Scorer("dummy", DummyModel(signature, (dice.random(),)), None, exposure_to_keys(["x"]))
    bundle = folder / "bundle"
    sha256 = save_bundle(bundle, scorer)
    outcome = Outcome()
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        good = path.read_bytes()
        place = dice.randrange(len(good))
        flipped = good[:place] + bytes([good[place] ^ (1 << dice.randrange(8))]) + good[place + 1 :]
        for bad in (flipped, good[: dice.randrange(len(good))], b"", good + b"x", None):
            outcome.injected += 1
            path.unlink() if bad is None else path.write_bytes(bad)
            outcome.count(
                "silent", not _complaint(lambda: load_bundle(bundle, sha256)), f"{path.name} was loaded"
            )
            path.write_bytes(good)
    outcome.count("stuck", _complaint(lambda: load_bundle(bundle, sha256)), "the good model is not loaded")
    return outcome


def make_database_row(away_s: float) -> Callable[[Path, Services, random.Random], Outcome]:
    """Return the row of a database that is away for some seconds while somebody promotes and queues a mail."""

    def stop_the_database(_: Path, services: Services, dice: random.Random) -> Outcome:
        server = services.postgres
        database = server.create_database()
        ledger = PostgresPromotionLedger(lambda: server.url(database))
        outbox = PostgresOutbox(lambda: server.url(database), SENDER)
        ledger.record(make_entry("1", None))
        outbox.enqueue(make_message(recipients=_RECIPIENTS[:1]), NOW)
        works: list[Callable[[], object]] = [
            lambda: ledger.record(make_entry("2", "1")),
            lambda: outbox.enqueue(make_message(recipients=_RECIPIENTS), NOW),
        ]
        server.stop(dice.choice(["immediate", "fast"]))
        started_s = time.monotonic()
        try:
            with ThreadPoolExecutor(2) as pool:
                waiting = [pool.submit(_complaint, work) for work in works]
                time.sleep(away_s)
                server.start()
                said = [one.result(timeout=120) for one in waiting]
        finally:
            with suppress(subprocess.CalledProcessError):
                server.start()
        outcome = Outcome(injected=1)
        # Twenty seconds are waited for; what takes longer is said, and may be repeated.
        is_short = away_s < 15.0
        outcome.count("stuck", is_short and any(said), f"away for {away_s:g} s: {said}")
        recorded = (ledger.verify() == 2, len(outbox.entries()) == 3)
        for is_recorded, text in zip(recorded, said, strict=True):
            outcome.count("silent", not is_recorded and not text, "it was not recorded, and nobody was told")
            outcome.count("lost", is_recorded and text, f"it was recorded, but said: {text}")
        for work in works:
            outcome.count("stuck", _complaint(work), "it does not go on")
        outcome.count("doubled", ledger.verify() != 2, "decisions")
        outcome.count("doubled", len(outbox.entries()) != 3, "mails")
        outcome.count("stuck", time.monotonic() - started_s > away_s + 60.0, "it took a minute longer")
        return outcome

    return stop_the_database


def _complaint(work: Callable[[], object]) -> str:
    """Return what was said when something did not work; empty if it did."""
    try:
        work()
    except PlatformError as error:
        return str(error)
    except OSError as error:  # of a file that the test itself writes
        if error.errno != errno.ENOSPC:
            raise
        return str(error)
    return ""


def _judge_lake(
    outcome: Outcome, lake: Lake, old: bytes, new: bytes, *, is_said: bool, may_be_there: bool = False
) -> None:
    """Count a partition that is neither the old nor the new one, or another one than was said."""
    found = lake.path(USAGE).read_bytes()
    outcome.count("lost", found not in {old, new}, "the partition is neither old nor new")
    outcome.count("silent", found == old and not is_said, "nothing was published, and nobody was told")
    outcome.count(
        "lost", found == new and is_said and not may_be_there, "it was published, but said to have failed"
    )
