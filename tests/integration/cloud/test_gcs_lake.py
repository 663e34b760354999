"""The lake in a bucket: old or new, never half; competing and dying writers; copies within bounds."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.errors import StorageError, TableInputError
from mlops_assets.domain.ports import Manifest, PartitionId
from resources.file_cache import FileCache
from resources.gcs_lake import GcsLake
from resources.object_store import ObjectChangedError, ObjectStore
from tests.integration.cloud.gcs_server import FaultyProxy
from tests.unit.resources.test_lake import BAD_NAMES, DAY, KEYS, USAGE, publish

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]
PROJECT = Path(__file__).parents[3]
FOLDER = "feeds/usage/cl/2026-08-10"


@pytest.fixture
def lake(store: ObjectStore, cache: FileCache) -> GcsLake:
    return GcsLake(store, cache)


def put(lake: GcsLake, key: str, content: bytes = b"rows", partition: PartitionId = USAGE) -> Manifest:
    return publish(lake, KEYS[key], content, partition)  # type: ignore[arg-type]


def objects(lake: GcsLake) -> set[str]:
    return {item.name.removeprefix(f"{FOLDER}/") for item in lake.store.list(FOLDER)}


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_published_partition_is_found(lake: GcsLake) -> None:
    manifest = put(lake, "a")
    assert lake.manifest(USAGE) == manifest
    assert (manifest.build_key, manifest.row_count, manifest.facts) == (KEYS["a"], 4, {"day": "2026-08-10"})
    assert lake.path(USAGE).read_bytes() == b"rows"
    assert objects(lake) == {"manifest.json", manifest.files["data"]}
    snapshot = PartitionId("corpus/churn/default", "cl")
    put(lake, "b", partition=snapshot)
    assert lake.path(snapshot).read_bytes() == b"rows"
    assert lake.days("feeds/usage", "cl") == [DAY]
    assert lake.days("corpus/churn/default", "cl") == []


def test_nothing_published(lake: GcsLake) -> None:
    assert lake.manifest(USAGE) is None
    assert lake.days("feeds/usage", "cl") == []
    with pytest.raises(TableInputError, match=r"feeds/usage\[cl 2026-08-10\] has no published data file"):
        lake.path(USAGE)
    put(lake, "a")
    with pytest.raises(TableInputError, match="quarantine"):
        lake.path(USAGE, "quarantine")


def test_another_machine_gets_a_copy_once(lake: GcsLake, tmp_path: Path, proxy: FaultyProxy) -> None:
    put(lake, "a")
    other = GcsLake(lake.store, FileCache(tmp_path / "other", 1_000_000))
    path = other.path(USAGE)
    assert path.read_bytes() == b"rows"
    assert path.is_relative_to(tmp_path / "other")
    before = proxy.seen
    assert other.path(USAGE) == path
    assert proxy.seen == before + 1, "the manifest is asked for, the file is not"
    path.write_bytes(b"ro")
    assert other.path(USAGE).read_bytes() == b"rows", "a copy of another size is got anew"
    put(lake, "b", b"newer")
    assert other.path(USAGE).read_bytes() == b"newer"


@pytest.mark.parametrize("fails", [True, False])
def test_block_left_without_commit_changes_nothing(lake: GcsLake, fails: bool) -> None:
    before = put(lake, "a")

    def write() -> None:
        with lake.write(USAGE, KEYS["b"]) as writer:
            writer.file("data").write_bytes(b"half")
            writer.scratch().write_bytes(b"staged")
            if fails:
                raise KeyboardInterrupt

    if fails:
        with pytest.raises(KeyboardInterrupt):
            write()
    else:
        write()
    assert lake.manifest(USAGE) == before
    assert objects(lake) == {"manifest.json", before.files["data"]}
    assert files_in(lake.cache.folder) == {before.files["data"]}


def test_announced_but_unwritten_file_is_refused(lake: GcsLake) -> None:
    with lake.write(USAGE, KEYS["a"]) as writer:
        writer.file("data")
        with pytest.raises(StorageError, match="not written"):
            writer.commit(row_count=0)
    assert objects(lake) == set()


def test_dropped_role_is_not_published(lake: GcsLake) -> None:
    with lake.write(USAGE, KEYS["a"]) as writer:
        writer.file("data").write_bytes(b"1")
        writer.file("quarantine").write_bytes(b"2")
        writer.drop("quarantine")
        assert set(writer.commit(row_count=1).files) == {"data"}
    assert len(objects(lake)) == 2


def test_same_key_again_never_replaces_a_published_object(lake: GcsLake) -> None:
    put(lake, "a", b"one")
    first = lake.path(USAGE)
    put(lake, "a", b"two")
    assert (first.read_bytes(), lake.path(USAGE).read_bytes()) == (b"one", b"two")


def test_of_two_writers_of_one_build_one_publishes_and_both_are_right(lake: GcsLake) -> None:
    with lake.write(USAGE, KEYS["a"]) as slow:
        slow.file("data").write_bytes(b"slow")
        first = put(lake, "a", b"fast")
        assert slow.commit(row_count=4) == first
    assert lake.path(USAGE).read_bytes() == b"fast"
    assert objects(lake) == {"manifest.json", first.files["data"]}


def test_a_writer_of_another_build_that_comes_too_late_is_refused(lake: GcsLake) -> None:
    with lake.write(USAGE, KEYS["b"]) as slow:
        slow.file("data").write_bytes(b"slow")
        first = put(lake, "a", b"fast")
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
            publish(lake, f"{number:064x}", str(number).encode() * 1000)  # type: ignore[arg-type]
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


def test_old_versions_are_swept_after_the_grace_time_but_the_previous_stays(lake: GcsLake) -> None:
    manifests = [put(lake, key) for key in "abc"]
    assert len(objects(lake)) == 4  # a reader may still be about to open them
    lake.grace_s = 0.0
    last = put(lake, "d")
    assert objects(lake) == {"manifest.json", manifests[-1].files["data"], last.files["data"]}


def test_removed_partition_is_gone(lake: GcsLake) -> None:
    put(lake, "a")
    lake.remove(USAGE)
    lake.remove(USAGE)
    assert lake.manifest(USAGE) is None
    assert lake.days("feeds/usage", "cl") == []
    assert objects(lake) == set()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\xff"])
def test_damaged_manifest_says_so_and_can_be_replaced(lake: GcsLake, content: bytes) -> None:
    put(lake, "a")
    lake.store.write(f"{FOLDER}/manifest.json", content)
    with pytest.raises(StorageError, match="manifest of a partition is unreadable"):
        lake.manifest(USAGE)
    assert put(lake, "b") == lake.manifest(USAGE)


def test_a_lost_data_object_says_so(lake: GcsLake, tmp_path: Path) -> None:
    manifest = put(lake, "a")
    lake.store.delete(f"{FOLDER}/{manifest.files['data']}")
    other = GcsLake(lake.store, FileCache(tmp_path / "other", 1_000_000))
    with pytest.raises(StorageError, match="an object is gone") as caught:
        other.path(USAGE)
    assert not caught.value.is_retryable
    assert files_in(tmp_path / "other") == set()


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(lake: GcsLake, name: str, proxy: FaultyProxy) -> None:
    before = proxy.seen
    for partition in (PartitionId(name, "cl", DAY), PartitionId("feeds/usage", name, DAY)):
        with pytest.raises(StorageError, match="not allowed"):
            lake.manifest(partition)
        with pytest.raises(StorageError, match="not allowed"):
            lake.remove(partition)
    assert proxy.seen == before


def test_a_service_that_fails_during_a_commit_leaves_the_old_partition(
    lake: GcsLake, proxy: FaultyProxy
) -> None:
    before = put(lake, "a")
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
    last = put(lake, "c")
    assert objects(lake) == {"manifest.json", before.files["data"], last.files["data"]}, "leftovers are swept"


WRITER = """
import datetime as dt, itertools, sys
from dataclasses import replace
from pathlib import Path
from mlops_assets.domain.ports import PartitionId
from resources.file_cache import FileCache
from resources.gcs_lake import GcsLake
from resources.object_store import ObjectStore
lake = GcsLake(ObjectStore(sys.argv[1], "some/prefix"), FileCache(Path(sys.argv[2]), 10_000_000), grace_s=30.0)
for number in itertools.count():
    with lake.write(PartitionId("feeds/usage", "cl", dt.date(2026, 8, 10)), f"{number:064x}"[::-1]) as writer:
        for role in ("data", "quarantine"):
            writer.file(role).write_bytes(f"{number:08d}".encode() * 50)
        writer.commit(row_count=number)
        print(number, flush=True)
"""


@pytest.mark.slow
def test_killed_writer_leaves_the_old_partition_or_the_new(lake: GcsLake, tmp_path: Path) -> None:
    seen = set()
    for attempt in range(6):
        command = [sys.executable, "-c", WRITER, lake.store.bucket_name, str(tmp_path / "writer")]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.067 * attempt + 0.001)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        manifest = lake.manifest(USAGE)
        assert manifest is not None
        for role in ("data", "quarantine"):
            assert lake.path(USAGE, role).read_bytes() == f"{manifest.row_count:08d}".encode() * 50
        seen.add(manifest.row_count)
    assert len(seen) > 1


def test_copies_that_were_not_used_for_longest_are_evicted_first(lake: GcsLake, tmp_path: Path) -> None:
    names = {}
    for day in range(1, 6):
        partition = PartitionId("feeds/usage", "cl", DAY.replace(day=day))
        names[day] = put(lake, "a", b"x" * 1000, partition).files["data"]
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
        put(lake, "a", b"%d" % number, day)
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
