"""Publication of partitions: old or new, never half; names that stay inside the lake."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.errors import StorageError, TableInputError
from mlops_assets.domain.ports import Manifest, PartitionId
from resources import atomic_files
from resources.lake import LocalLake

DAY = dt.date(2026, 8, 10)
USAGE = PartitionId("feeds/usage", "cl", DAY)
KEYS = {name: name * 64 for name in "abcdef"}


def publish(lake: LocalLake, key: str, content: bytes = b"rows", partition: PartitionId = USAGE) -> Manifest:
    with lake.write(partition, key) as writer:
        writer.file("data").write_bytes(content)
        return writer.commit(row_count=len(content), inputs={"raw": "x"}, facts={"day": DAY})


def test_published_partition_is_found(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    manifest = publish(lake, KEYS["a"])
    assert lake.manifest(USAGE) == manifest
    assert (manifest.build_key, manifest.row_count, manifest.facts) == (KEYS["a"], 4, {"day": "2026-08-10"})
    assert lake.path(USAGE).read_bytes() == b"rows"
    assert lake.path(USAGE).parent == tmp_path / "feeds" / "usage" / "cl" / "2026-08-10"
    assert lake.days("feeds/usage", "cl") == [DAY]


def test_partition_without_day(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    snapshot = PartitionId("corpus/churn/default", "cl")
    publish(lake, KEYS["a"], partition=snapshot)
    assert lake.path(snapshot).parent.name == "all"
    assert lake.days("corpus/churn/default", "cl") == []


def test_nothing_published(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    assert lake.manifest(USAGE) is None
    assert lake.days("feeds/usage", "cl") == []
    with pytest.raises(TableInputError, match=r"feeds/usage\[cl 2026-08-10\] has no published data file"):
        lake.path(USAGE)


def test_folders_that_are_no_days_are_passed_over(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, KEYS["a"])
    folder = lake.folder(USAGE)
    for name in ("2026-08-10.bak", "20260811", "2026-W33-1", "2026-13-01", "2026-8-1", "all"):
        shutil.copytree(folder, folder.with_name(name))
    assert lake.days("feeds/usage", "cl") == [DAY]


def test_unknown_role(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, KEYS["a"])
    with pytest.raises(TableInputError, match="quarantine"):
        lake.path(USAGE, "quarantine")


@pytest.mark.parametrize("fails", [True, False])
def test_block_left_without_commit_changes_nothing(tmp_path: Path, fails: bool) -> None:
    lake = LocalLake(tmp_path)
    before = publish(lake, KEYS["a"])

    def write() -> None:
        with lake.write(USAGE, KEYS["b"]) as writer:
            writer.file("data").write_bytes(b"half")
            writer.scratch().write_bytes(b"staged")
            if fails:
                raise RuntimeError

    if fails:
        with pytest.raises(RuntimeError):
            write()
    else:
        write()
    assert lake.manifest(USAGE) == before
    assert {p.name for p in lake.folder(USAGE).iterdir()} == {"manifest.json", before.files["data"]}


def test_announced_but_unwritten_file_is_refused(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    with lake.write(USAGE, KEYS["a"]) as writer:
        writer.file("data")
        with pytest.raises(StorageError, match="not written"):
            writer.commit(row_count=0)
    assert lake.manifest(USAGE) is None


def test_dropped_role_is_not_published(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    with lake.write(USAGE, KEYS["a"]) as writer:
        writer.file("data").write_bytes(b"1")
        writer.file("quarantine").write_bytes(b"2")
        writer.drop("quarantine")
        assert set(writer.commit(row_count=1).files) == {"data"}
    assert len(list(lake.folder(USAGE).iterdir())) == 2


def test_same_key_again_never_replaces_a_published_file(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, KEYS["a"], b"one")
    first = lake.path(USAGE)
    publish(lake, KEYS["a"], b"two")
    assert (first.read_bytes(), lake.path(USAGE).read_bytes()) == (b"one", b"two")


def test_two_writers_of_one_key_never_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have chosen their name before either publishes: what the manifest says is still what is there."""
    both_chose = threading.Barrier(2, timeout=10)

    def publish_late(temporary: Path, final: Path) -> None:
        if final.name.startswith("data-"):
            both_chose.wait()
        atomic_files.publish(temporary, final)

    monkeypatch.setattr("resources.lake.publish", publish_late)
    lake = LocalLake(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        manifests = list(pool.map(lambda content: publish(lake, KEYS["a"], content), [b"one", b"other"]))
    contents = {(lake.folder(USAGE) / m.files["data"]).read_bytes() for m in manifests}
    assert contents == {b"one", b"other"}
    current = lake.manifest(USAGE)
    assert current is not None
    assert len(lake.path(USAGE).read_bytes()) == current.row_count


def test_old_versions_are_swept_after_the_grace_time_but_the_previous_stays(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path, grace_s=100.0)
    for key in "abc":
        publish(lake, KEYS[key])
    assert len(list(lake.folder(USAGE).glob("data-*"))) == 3  # a reader may still be about to open them
    long_ago = time.time() - 1000
    for path in lake.folder(USAGE).iterdir():
        os.utime(path, (long_ago, long_ago))
    publish(lake, KEYS["d"])
    assert {p.name for p in lake.folder(USAGE).glob("data-*")} == {
        "data-cccccccccccc.parquet",
        "data-dddddddddddd.parquet",
    }


def test_removed_partition_is_gone(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, KEYS["a"])
    lake.remove(USAGE)
    lake.remove(USAGE)
    assert lake.manifest(USAGE) is None
    assert lake.days("feeds/usage", "cl") == []
    assert list(lake.folder(USAGE).iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\xff"])
def test_damaged_manifest_says_so_and_can_be_replaced(tmp_path: Path, content: bytes) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, KEYS["a"])
    (lake.folder(USAGE) / "manifest.json").write_bytes(content)
    with pytest.raises(StorageError, match="manifest of a partition is unreadable"):
        lake.manifest(USAGE)
    assert publish(lake, KEYS["b"]) == lake.manifest(USAGE)


def test_damaged_file_says_so(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, KEYS["a"])
    lake.path(USAGE).write_bytes(b"ro")
    with pytest.raises(StorageError, match=r"has 2 bytes.*4 bytes, as published"):
        lake.path(USAGE)


BAD_NAMES = ["", ".", "..", "../x", "/etc", "a/../b", "a\\b", "a\x00b", "a\n", "ü", " ", "~", "a/"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(tmp_path: Path, name: str) -> None:
    lake = LocalLake(tmp_path)
    for partition in (PartitionId(name, "cl", DAY), PartitionId("feeds/usage", name, DAY)):
        with pytest.raises(StorageError, match="not allowed"):
            lake.folder(partition)
    with lake.write(USAGE, KEYS["a"]) as writer, pytest.raises(StorageError, match="not allowed as role"):
        writer.file(name)


@given(table=st.text(max_size=20), segment=st.text(max_size=20))
def test_no_name_leaves_the_lake(table: str, segment: str) -> None:
    root = Path("/lake")
    try:
        folder = LocalLake(root).folder(PartitionId(table, segment, DAY))
    except StorageError:
        return
    assert root in Path(os.path.normpath(folder)).parents
    assert folder.relative_to(root).parts == (*table.split("/"), segment, "2026-08-10")


WRITER = """
import datetime as dt, itertools, sys
from pathlib import Path
from mlops_assets.domain.ports import PartitionId
from resources.lake import LocalLake
lake = LocalLake(Path(sys.argv[1]), grace_s=0.0)
for number in itertools.count():
    with lake.write(PartitionId("feeds/usage", "cl", dt.date(2026, 8, 10)), f"{number:064x}"[::-1]) as writer:
        for role in ("data", "quarantine"):
            with writer.file(role).open("wb") as stream:
                for _ in range(50):
                    stream.write(f"{number:08d}".encode())
                    stream.flush()
        writer.commit(row_count=number)
        print(number, flush=True)
"""


def test_killed_writer_leaves_the_old_partition_or_the_new(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path, grace_s=0.0)
    seen = set()
    for attempt in range(12):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.003 * attempt + 0.0007)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        manifest = lake.manifest(USAGE)
        assert manifest is not None
        for role in ("data", "quarantine"):
            assert lake.path(USAGE, role).read_bytes() == f"{manifest.row_count:08d}".encode() * 50
        seen.add(manifest.row_count)
    assert len(seen) > 1
    publish(lake, KEYS["a"])
    time.sleep(0.02)
    publish(lake, KEYS["b"])
    names = {p.name for p in lake.folder(USAGE).iterdir()}
    assert not [name for name in names if name.startswith(".")], "leftovers of killed writers are swept"
