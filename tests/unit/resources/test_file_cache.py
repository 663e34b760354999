"""Copies on a disk: what goes when there are too many, and what a download that fails leaves."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from resources.file_cache import FileCache

LONG_AGO_S = 10_000.0


def put(cache: FileCache, name: str, used_before_s: float) -> Path:
    """Lay a copy of 1,000 bytes into the cache, last used a while ago."""
    path = cache.fetch(name, 1000, lambda target: target.write_bytes(b"x" * 1000))
    os.utime(path, (time.time() - used_before_s,) * 2)
    return path


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", limit_bytes=1500)
    old, newer = put(cache, "a/old", LONG_AGO_S + 1), put(cache, "b/newer", LONG_AGO_S)
    assert (old.exists(), newer.exists()) == (False, True)
    assert cache.evict() == 0


def test_a_folder_may_be_named_from_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = FileCache(Path("cache"), limit_bytes=100)
    path = put(cache, "a/old", LONG_AGO_S)
    assert cache.evict() == 1
    assert not path.exists()


def test_a_disk_that_is_full_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", limit_bytes=5000)
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no device without room")

    def download(target: Path) -> None:
        target.write_bytes(b"half")
        with full.open("wb", buffering=0) as device:
            device.write(b"x")

    with pytest.raises(StorageError, match=r"is full.*cache/a/copy.*free space"):
        cache.fetch("a/copy", 1000, download)
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []


def test_what_came_short_is_refused(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", limit_bytes=5000)
    with pytest.raises(StorageError, match=r"came with 4 bytes.*1000 bytes"):
        cache.fetch("a/copy", 1000, lambda target: target.write_bytes(b"half"))
    assert [path for path in cache.folder.rglob("*") if path.is_file()] == []
