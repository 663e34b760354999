"""The lake in a bucket: the contract, competing and dying writers, copies within bounds."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.ports import PartitionId
from resources.file_cache import FileCache
from resources.gcs_lake import GcsLake
from resources.object_store import ObjectChangedError, ObjectStore
from tests.integration.cloud.contracts import contract_of
from tests.integration.cloud.gcs_server import FaultyProxy
from tests.unit.resources import test_lake_contract
from tests.unit.resources.lake_writer import DAY, KEYS, USAGE, publish
from tests.unit.resources.test_lake_contract import kill_writers

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]
globals().update(contract_of(test_lake_contract))

FOLDER = "feeds/usage/cl/2026-08-10"


@pytest.fixture
def lake(store: ObjectStore, cache: FileCache) -> GcsLake:
    return GcsLake(store, cache)


class GcsStoredLake:
    """A lake in a bucket, as the contract sees it."""

    def __init__(self, lake: GcsLake) -> None:
        self.lake = lake

    def keep_superseded_for(self, grace_s: float) -> None:
        """Set how long superseded versions stay."""
        self.lake.grace_s = grace_s

    def names(self) -> set[str]:
        """Return the names of all objects of USAGE."""
        return objects(self.lake)

    def replace_manifest(self, content: bytes) -> None:
        """Replace the manifest of USAGE."""
        self.lake.store.write(f"{FOLDER}/manifest.json", content)


@pytest.fixture
def stored(lake: GcsLake) -> GcsStoredLake:
    return GcsStoredLake(lake)


def objects(lake: GcsLake) -> set[str]:
    return {item.name.removeprefix(f"{FOLDER}/") for item in lake.store.list(FOLDER)}


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_another_machine_gets_a_copy_once(lake: GcsLake, tmp_path: Path, proxy: FaultyProxy) -> None:
    publish(lake, KEYS["a"])
    other = GcsLake(lake.store, FileCache(tmp_path / "other", 1_000_000))
    path = other.path(USAGE)
    assert path.read_bytes() == b"rows"
    assert path.is_relative_to(tmp_path / "other")
    before = proxy.seen
    assert other.path(USAGE) == path
    assert proxy.seen == before + 1, "the manifest is asked for, the file is not"
    path.write_bytes(b"ro")
    assert other.path(USAGE).read_bytes() == b"rows", "a copy of another size is got anew"
    publish(lake, KEYS["b"], b"newer")
    assert other.path(USAGE).read_bytes() == b"newer"


def test_of_two_writers_of_one_build_one_publishes_and_both_are_right(lake: GcsLake) -> None:
    with lake.write(USAGE, KEYS["a"]) as slow:
        slow.file("data").write_bytes(b"slow")
        first = publish(lake, KEYS["a"], b"fast")
        assert slow.commit(row_count=4) == first
    assert lake.path(USAGE).read_bytes() == b"fast"
    assert objects(lake) == {"manifest.json", first.files["data"]}


def test_a_writer_of_another_build_that_comes_too_late_is_refused(lake: GcsLake) -> None:
    with lake.write(USAGE, KEYS["b"]) as slow:
        slow.file("data").write_bytes(b"slow")
        first = publish(lake, KEYS["a"], b"fast")
        with pytest.raises(
            ObjectChangedError, match="published by somebody else while it was built"
        ) as caught:
            slow.commit(row_count=4)
    assert caught.value.is_retryable
    assert lake.manifest(USAGE) == first
    assert objects(lake) == {"manifest.json", first.files["data"]}


def test_of_many_writers_at_once_the_published_one_is_whole(lake: GcsLake) -> None:
    def write(number: int) -> str:
        try:
            publish(lake, f"{number:064x}", str(number).encode() * 1000)
        except ObjectChangedError:
            return "late"
        return "published"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(write, range(1, 9)))
    manifest = lake.manifest(USAGE)
    assert manifest is not None
    assert "published" in outcomes
    number = int(manifest.build_key, 16)
    assert outcomes[number - 1] == "published"
    assert lake.path(USAGE).read_bytes() == str(number).encode() * 1000


def test_a_lost_data_object_says_so(lake: GcsLake, tmp_path: Path) -> None:
    manifest = publish(lake, KEYS["a"])
    lake.store.delete(f"{FOLDER}/{manifest.files['data']}")
    other = GcsLake(lake.store, FileCache(tmp_path / "other", 1_000_000))
    with pytest.raises(StorageError, match="an object is gone") as caught:
        other.path(USAGE)
    assert not caught.value.is_retryable
    assert files_in(tmp_path / "other") == set()


def test_a_service_that_fails_during_a_commit_leaves_the_old_partition(
    lake: GcsLake, proxy: FaultyProxy
) -> None:
    before = publish(lake, KEYS["a"])
    lake.store.patience_s = 0.5
    for failing in ("data-", "manifest.json"):
        with lake.write(USAGE, KEYS["b"]) as writer:
            writer.file("data").write_bytes(b"newer")
            uploads = [0]

            def fail(
                method: str, path: str, failing: str = failing, uploads: list[int] = uploads
            ) -> int | None:
                uploads[0] += method == "POST" and "/upload/" in path
                return 503 if method == "POST" and uploads[0] > (failing == "manifest.json") else None

            proxy.fault = fail
            with pytest.raises(StorageError, match="does not answer") as caught:
                writer.commit(row_count=5)
        proxy.fault = lambda *_: None
        assert caught.value.is_retryable
        assert lake.manifest(USAGE) == before
        assert lake.path(USAGE).read_bytes() == b"rows"
    lake.grace_s = 0.0
    last = publish(lake, KEYS["c"])
    assert objects(lake) == {"manifest.json", before.files["data"], last.files["data"]}, "leftovers are swept"


@pytest.mark.slow
def test_a_killed_writer_leaves_the_old_partition_or_the_new(lake: GcsLake, tmp_path: Path) -> None:
    command = ["tests.integration.cloud.gcs_lake_writer", lake.store.bucket_name, str(tmp_path / "writer")]
    kill_writers(lake, command, [0.067 * attempt + 0.001 for attempt in range(6)])


def test_a_bad_name_is_not_asked_for(lake: GcsLake, proxy: FaultyProxy) -> None:
    before = proxy.seen
    for call in (lake.manifest, lake.remove, lake.path):
        with pytest.raises(StorageError, match="not allowed"):
            call(PartitionId("feeds/usage", "../other", DAY))
    assert proxy.seen == before


def test_copies_that_were_not_used_for_longest_are_evicted_first(lake: GcsLake, tmp_path: Path) -> None:
    names = {}
    for day in range(1, 6):
        partition = PartitionId("feeds/usage", "cl", DAY.replace(day=day))
        names[day] = publish(lake, KEYS["a"], b"x" * 1000, partition).files["data"]
    cache = FileCache(tmp_path / "small", limit_bytes=2_500, grace_s=100.0)
    other = GcsLake(lake.store, cache)
    for day in range(1, 6):
        path = other.path(PartitionId("feeds/usage", "cl", DAY.replace(day=day)))
        os.utime(path, (time.time() - 1000 + day, time.time() - 1000 + day))
    assert other.path(PartitionId("feeds/usage", "cl", DAY.replace(day=4))).is_file()  # used just now
    cache.evict()
    assert files_in(tmp_path / "small") == {names[4], names[5]}
    for day in range(1, 4):
        other.path(PartitionId("feeds/usage", "cl", DAY.replace(day=day)))
    cache.evict()
    assert files_in(tmp_path / "small") == {names[day] for day in (1, 2, 3, 4)}, "what is in use stays"


def test_many_days_are_asked_for_together(lake: GcsLake, tmp_path: Path, proxy: FaultyProxy) -> None:
    days = [replace(USAGE, day=DAY + dt.timedelta(days=number)) for number in range(20)]
    for number, day in enumerate(days):
        publish(lake, KEYS["a"], b"%d" % number, day)
    together, most = set[int](), 0

    def notice(*_: object) -> None:
        nonlocal most
        together.add(threading.get_ident())
        most = max(most, len(together))
        time.sleep(0.02)
        together.discard(threading.get_ident())

    proxy.fault = notice
    other = GcsLake(lake.store, FileCache(tmp_path / "other", 1_000_000))
    manifests = ask_together(other, other.manifest, [*days, replace(USAGE, segment="pe")])
    assert manifests == [*map(lake.manifest, days), None]
    assert [path.read_bytes() for path in ask_together(other, other.path, days)] == [
        b"%d" % number for number in range(20)
    ]
    assert 1 < most <= other.questions_at_once
