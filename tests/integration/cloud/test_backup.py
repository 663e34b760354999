"""Backup and restore, as the runbook has it: the dump of the database first, then the objects; into another place.

What was decided, queued and published by the moment of the dump is there again and whole; what came later is not in the
restored database, and objects that came later do no harm.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_assets.domain.errors import StaleChampionError, StorageError
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.release_ports import FeedRelease
from resources.file_cache import FileCache
from resources.gcs_lake import GcsLake
from resources.gcs_stores import GcsReportStore
from resources.object_store import ObjectStore, open_client
from resources.postgres_stores import PostgresFeedReleases, PostgresOutbox, PostgresPromotionLedger
from tests.fakes.mail import FakeTransport
from tests.integration.cloud.postgres_server import PASSWORD, USER, PostgresServer, find_binary
from tests.unit.domain.reporting.sample_mails import NOW, SENDER, make_message
from tests.unit.resources.lake_writer import DAY, KEYS, USAGE, publish
from tests.unit.resources.ledger_writer import SLOT, make_entry

if TYPE_CHECKING:
    from sqlalchemy import URL

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]
LATER = PartitionId(USAGE.table, USAGE.segment, DAY + dt.timedelta(days=1))
RELEASE = FeedRelease("usage", "cl", DAY, "ef" * 32, "quality team", NOW, "checked with the operator")


@dataclass(frozen=True)
class Stores:
    """The stores of a platform, over one database and one bucket."""

    ledger: PostgresPromotionLedger
    outbox: PostgresOutbox
    releases: PostgresFeedReleases
    lake: GcsLake
    reports: GcsReportStore

    @classmethod
    def open(cls, address: Callable[[], URL], bucket: str, folder: Path) -> Stores:
        """Open them."""
        return cls(
            ledger=PostgresPromotionLedger(address, patience_s=2.0),
            outbox=PostgresOutbox(address, SENDER, patience_s=2.0),
            releases=PostgresFeedReleases(address, patience_s=2.0),
            lake=GcsLake(ObjectStore(bucket, "lake"), FileCache(folder, 50_000_000)),
            reports=GcsReportStore(ObjectStore(bucket, "reports")),
        )


@pytest.fixture
def stores(address: Callable[[], URL], bucket: str, tmp_path: Path) -> Stores:
    return Stores.open(address, bucket, tmp_path / "before")


@pytest.fixture(scope="module")
def other_server() -> Iterator[PostgresServer]:
    """A second server, new and empty."""
    server = PostgresServer.create()
    try:
        server.start()
        yield server
    finally:
        server.destroy()


def _call(program: str, server: PostgresServer, *words: str) -> subprocess.CompletedProcess[str]:
    binary = find_binary(program)
    if binary is None:
        pytest.skip(f"{program} is not installed (Debian package `postgresql-client`)")
    place = ["--host", "127.0.0.1", "--port", str(server.port), "--username", USER]
    environment = {**os.environ, "PGPASSWORD": PASSWORD}
    return subprocess.run(
        [str(binary), *place, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _dump(server: PostgresServer, database: str, file: Path) -> None:
    done = _call("pg_dump", server, "--format=custom", f"--file={file}", database)
    assert done.returncode == 0, done.stderr


def _restore(server: PostgresServer, database: str, file: Path) -> subprocess.CompletedProcess[str]:
    return _call(
        "pg_restore", server, "--exit-on-error", "--single-transaction", f"--dbname={database}", str(file)
    )


def _copy_objects(source: str) -> str:
    """Copy every object of a bucket into a new one, and return its name."""
    client, target = open_client(), f"restored-{secrets.token_hex(6)}"
    client.create_bucket(target)
    for blob in client.list_blobs(source):
        client.bucket(source).copy_blob(blob, client.bucket(target), blob.name)
    return target


def _fill(stores: Stores) -> None:
    stores.ledger.record(make_entry("1", None))
    stores.ledger.record(make_entry("2", "1"))
    stores.ledger.record(make_entry("3", "2", outcome="rejected"))
    stores.outbox.enqueue(make_message(), NOW)
    stores.outbox.deliver_due(FakeTransport(), NOW)
    stores.outbox.enqueue(make_message(partition="cl/2026-09-02"), NOW)
    stores.releases.record(RELEASE)
    publish(stores.lake, KEYS["a"], b"before")
    stores.reports.save("quality/summary.md", "# Before\n")


def test_what_was_there_at_the_dump_is_there_again_and_whole(
    stores: Stores,
    postgres: PostgresServer,
    database: str,
    bucket: str,
    other_server: PostgresServer,
    tmp_path: Path,
) -> None:
    _fill(stores)
    before = {"history": stores.ledger.history(SLOT), "mails": stores.outbox.entries()}
    _dump(postgres, database, tmp_path / "dump")
    stores.ledger.record(make_entry("4", "2"))
    publish(stores.lake, KEYS["b"], b"later", LATER)
    copy, name = _copy_objects(bucket), other_server.create_database()
    restored = _restore(other_server, name, tmp_path / "dump")
    assert restored.returncode == 0, restored.stderr

    again = Stores.open(lambda: other_server.url(name), copy, tmp_path / "after")
    assert again.ledger.verify() == 3
    assert again.ledger.history(SLOT) == before["history"]
    assert again.outbox.entries() == before["mails"]
    assert again.releases.history() == [RELEASE]
    assert again.lake.manifest(USAGE) == stores.lake.manifest(USAGE)
    assert again.lake.path(USAGE).read_bytes() == b"before"
    assert again.lake.path(LATER).read_bytes() == b"later", "an object that came after the dump does no harm"
    assert again.reports.read("quality/summary.md") == b"# Before\n"


@pytest.fixture
def restored(
    stores: Stores,
    postgres: PostgresServer,
    database: str,
    bucket: str,
    other_server: PostgresServer,
    tmp_path: Path,
) -> tuple[Stores, str]:
    """Stores over a restored copy, and the name of its database."""
    _fill(stores)
    _dump(postgres, database, tmp_path / "dump")
    name = other_server.create_database()
    assert _restore(other_server, name, tmp_path / "dump").returncode == 0
    return Stores.open(lambda: other_server.url(name), _copy_objects(bucket), tmp_path / "after"), name


def test_a_restored_platform_goes_on(restored: tuple[Stores, str]) -> None:
    again, _ = restored
    with pytest.raises(StaleChampionError):
        again.ledger.record(make_entry("9", "1"))
    again.ledger.record(make_entry("5", "2"))
    assert again.ledger.verify() == 4
    transport = FakeTransport()
    again.outbox.deliver_due(transport, NOW)
    assert [mail.key.partition for mail in transport.sent] == ["cl/2026-09-02"], (
        "what was sent is not sent again"
    )
    publish(again.lake, KEYS["c"], b"new", LATER)
    assert again.lake.path(LATER).read_bytes() == b"new"


def test_a_restored_ledger_is_as_closed_as_before(
    restored: tuple[Stores, str], other_server: PostgresServer
) -> None:
    from sqlalchemy.exc import DBAPIError

    again, name = restored
    with pytest.raises(DBAPIError, match="append-only"):
        other_server.run_sql("UPDATE promotion_ledger.decision SET outcome = 'rejected'", database=name)
    other_server.run_sql(
        "SET session_replication_role = replica",
        "DELETE FROM promotion_ledger.decision WHERE sequence = 2",
        database=name,
    )
    with pytest.raises(StorageError):
        again.ledger.verify()


def test_a_dump_amid_promotions_holds_a_whole_chain(
    stores: Stores, postgres: PostgresServer, database: str, other_server: PostgresServer, tmp_path: Path
) -> None:
    stores.ledger.record(make_entry("1", None))
    is_over, has_begun = threading.Event(), threading.Event()

    def promote() -> None:
        number = 1
        while not is_over.is_set():
            stores.ledger.record(make_entry(str(number + 1), str(number)))
            number += 1
            if number == 5:
                has_begun.set()

    writer = threading.Thread(target=promote)
    writer.start()
    assert has_begun.wait(20)
    _dump(postgres, database, tmp_path / "dump")
    is_over.set()
    writer.join(20)
    name = other_server.create_database()
    assert _restore(other_server, name, tmp_path / "dump").returncode == 0
    again = PostgresPromotionLedger(lambda: other_server.url(name), patience_s=2.0)
    kept, champion = again.verify(), again.champion(SLOT)
    assert 5 <= kept <= stores.ledger.verify()
    assert champion is not None
    assert champion.version == str(kept)
    assert again.history(SLOT) == stores.ledger.history(SLOT)[:kept]


def test_a_broken_dump_restores_nothing(
    stores: Stores, postgres: PostgresServer, database: str, other_server: PostgresServer, tmp_path: Path
) -> None:
    _fill(stores)
    file = tmp_path / "dump"
    _dump(postgres, database, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    name = other_server.create_database()
    assert _restore(other_server, name, file).returncode != 0
    assert PostgresPromotionLedger(lambda: other_server.url(name), patience_s=2.0).verify() == 0
