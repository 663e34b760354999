"""What every lake promises: old or new, never half; versions that stay for their readers; names that stay inside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from mlops_assets.domain.errors import StorageError, TableInputError
from mlops_assets.domain.ports import Lake, PartitionId
from resources.lake import LocalLake
from tests.unit.resources.lake_writer import DAY, KEYS, ROLES, USAGE, content_of, publish

PROJECT = Path(__file__).parents[3]
BAD_NAMES = ["", ".", "..", "../x", "/etc", "a/../b", "a\\b", "a\x00b", "a\n", "ü", " ", "~", "a/"]


class StoredLake(Protocol):
    """A lake, and what a test sees and does behind its back."""

    @property
    def lake(self) -> Lake:
        """Return the lake."""
        ...

    def keep_superseded_for(self, grace_s: float) -> None:
        """Set how long superseded versions stay."""
        ...

    def names(self) -> set[str]:
        """Return the names of all files of USAGE."""
        ...

    def replace_manifest(self, content: bytes) -> None:
        """Replace the manifest of USAGE."""
        ...


class LocalStoredLake:
    """A lake in a folder."""

    def __init__(self, root: Path) -> None:
        self.lake = LocalLake(root)

    def keep_superseded_for(self, grace_s: float) -> None:
        """Set how long superseded versions stay."""
        self.lake.grace_s = grace_s

    def names(self) -> set[str]:
        """Return the names of all files of USAGE."""
        folder = self.lake.folder(USAGE)
        return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

    def replace_manifest(self, content: bytes) -> None:
        """Replace the manifest of USAGE."""
        (self.lake.folder(USAGE) / "manifest.json").write_bytes(content)


@pytest.fixture
def stored(tmp_path: Path) -> StoredLake:
    return LocalStoredLake(tmp_path)


def test_a_published_partition_is_found(stored: StoredLake) -> None:
    lake = stored.lake
    manifest = publish(lake, KEYS["a"])
    assert lake.manifest(USAGE) == manifest
    assert (manifest.build_key, manifest.row_count, manifest.facts) == (KEYS["a"], 4, {"day": "2026-08-10"})
    assert lake.path(USAGE).read_bytes() == b"rows"
    assert stored.names() == {"manifest.json", manifest.files["data"]}
    assert lake.days("feeds/usage", "cl") == [DAY]


def test_a_partition_may_be_of_no_day(stored: StoredLake) -> None:
    snapshot = PartitionId("corpus/churn/default", "cl")
    publish(stored.lake, KEYS["a"], partition=snapshot)
    assert stored.lake.path(snapshot).read_bytes() == b"rows"
    assert stored.lake.days("corpus/churn/default", "cl") == []


def test_nothing_is_published_at_first(stored: StoredLake) -> None:
    assert stored.lake.manifest(USAGE) is None
    assert stored.lake.days("feeds/usage", "cl") == []
    with pytest.raises(TableInputError, match=r"feeds/usage\[cl 2026-08-10\] has no published data file"):
        stored.lake.path(USAGE)


def test_a_role_that_was_not_published_is_said(stored: StoredLake) -> None:
    publish(stored.lake, KEYS["a"])
    with pytest.raises(TableInputError, match="quarantine"):
        stored.lake.path(USAGE, "quarantine")


@pytest.mark.parametrize("fails", [True, False])
def test_a_block_left_without_commit_changes_nothing(stored: StoredLake, fails: bool) -> None:
    before = publish(stored.lake, KEYS["a"])
    written = []

    def write() -> None:
        with stored.lake.write(USAGE, KEYS["b"]) as writer:
            written.extend([writer.file("data"), writer.scratch()])
            for path in written:
                path.write_bytes(b"half")
            if fails:
                raise KeyboardInterrupt

    if fails:
        with pytest.raises(KeyboardInterrupt):
            write()
    else:
        write()
    assert stored.lake.manifest(USAGE) == before
    assert stored.names() == {"manifest.json", before.files["data"]}
    assert [path for path in written if path.exists()] == []


def test_an_announced_but_unwritten_file_is_refused(stored: StoredLake) -> None:
    with stored.lake.write(USAGE, KEYS["a"]) as writer:
        writer.file("data")
        with pytest.raises(StorageError, match="not written"):
            writer.commit(row_count=0)
    assert stored.lake.manifest(USAGE) is None
    assert stored.names() == set()


def test_a_dropped_role_is_not_published(stored: StoredLake) -> None:
    with stored.lake.write(USAGE, KEYS["a"]) as writer:
        writer.file("data").write_bytes(b"1")
        writer.file("quarantine").write_bytes(b"2")
        writer.drop("quarantine")
        assert set(writer.commit(row_count=1).files) == {"data"}
    assert len(stored.names()) == 2


def test_the_same_key_again_never_replaces_a_published_file(stored: StoredLake) -> None:
    publish(stored.lake, KEYS["a"], b"one")
    first = stored.lake.path(USAGE)
    publish(stored.lake, KEYS["a"], b"two")
    assert (first.read_bytes(), stored.lake.path(USAGE).read_bytes()) == (b"one", b"two")


def test_old_versions_are_swept_after_the_grace_time_but_the_previous_stays(stored: StoredLake) -> None:
    manifests = [publish(stored.lake, KEYS[key]) for key in "abc"]
    assert len(stored.names()) == 4  # a reader may still be about to open them
    stored.keep_superseded_for(0.0)
    time.sleep(0.02)  # beyond the tick of a file system's clock
    last = publish(stored.lake, KEYS["d"])
    assert stored.names() == {"manifest.json", manifests[-1].files["data"], last.files["data"]}


def test_the_grace_time_begins_when_a_version_is_superseded(stored: StoredLake) -> None:
    """However long ago it was written: a reader may have looked it up a moment before."""
    stored.keep_superseded_for(1.5)
    first = publish(stored.lake, KEYS["a"])
    time.sleep(1.6)
    manifests = [publish(stored.lake, KEYS[key]) for key in "bc"]
    assert first.files["data"] in stored.names()
    time.sleep(1.6)
    last = publish(stored.lake, KEYS["d"])
    assert stored.names() == {"manifest.json", manifests[-1].files["data"], last.files["data"]}


def test_a_removed_partition_is_gone(stored: StoredLake) -> None:
    publish(stored.lake, KEYS["a"])
    stored.lake.remove(USAGE)
    stored.lake.remove(USAGE)
    assert stored.lake.manifest(USAGE) is None
    assert stored.lake.days("feeds/usage", "cl") == []
    assert stored.names() == set()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\xff"])
def test_a_damaged_manifest_says_so_and_can_be_replaced(stored: StoredLake, content: bytes) -> None:
    publish(stored.lake, KEYS["a"])
    stored.replace_manifest(content)
    with pytest.raises(StorageError, match="manifest of a partition is unreadable"):
        stored.lake.manifest(USAGE)
    assert publish(stored.lake, KEYS["b"]) == stored.lake.manifest(USAGE)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(stored: StoredLake, name: str) -> None:
    for partition in (PartitionId(name, "cl", DAY), PartitionId("feeds/usage", name, DAY)):
        for call in (stored.lake.manifest, stored.lake.remove, stored.lake.path):
            with pytest.raises(StorageError, match="not allowed"):
                call(partition)
    with stored.lake.write(USAGE, KEYS["a"]) as writer, pytest.raises(StorageError, match="as role"):
        writer.file(name)


def kill_writers(lake: Lake, command: Sequence[str], delays_s: Iterable[float]) -> None:
    """Kill a writer a while after its first version, and again: what is published is one version, whole."""
    seen = set()
    for delay_s in delays_s:
        writer = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.PIPE, cwd=PROJECT)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(delay_s)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        manifest = lake.manifest(USAGE)
        assert manifest is not None
        for role in ROLES:
            assert lake.path(USAGE, role).read_bytes() == content_of(manifest.row_count)
        seen.add(manifest.row_count)
    assert len(seen) > 1
