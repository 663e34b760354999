"""A file is replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from resources.atomic_files import publish, sweep_leftovers, temporary_path, write_atomic

PROJECT = Path(__file__).parents[3]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_and_replaces_and_creates_parents(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "f.json"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert names_in(path.parent) == ["f.json"]


def test_a_name_of_the_longest_length_works(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_atomic(path, b"content")
    assert path.read_bytes() == b"content"


def test_full_disk_keeps_the_old_file_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "partition.parquet"
    write_atomic(path, b"old")
    # A file size limit fails the write in the kernel, as a full disk does, without filling one.
    script = (
        "import sys; from pathlib import Path\n"
        "from mlops_assets.domain.errors import StorageError\n"
        "from resources.atomic_files import write_atomic\n"
        "try: write_atomic(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except StorageError as error: print(error); sys.exit(7)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        cwd=PROJECT,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    assert "full" in done.stdout
    assert str(path) in done.stdout
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["partition.parquet"]


def test_failing_fsync_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_atomic(path, b"old")

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match="full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["f"]


def test_publish_removes_the_temporary_file_when_the_target_is_a_folder(tmp_path: Path) -> None:
    final = tmp_path / "folder"
    (final / "inside").mkdir(parents=True)
    temporary = temporary_path(final)
    temporary.write_bytes(b"x")
    with pytest.raises(StorageError, match="cannot write"):
        publish(temporary, final)
    assert not temporary.exists()
    assert final.is_dir()


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(StorageError, match=r"where: .*/a"):
        write_atomic(tmp_path / "a" / "b" / "c", b"")


def test_sweep_takes_old_temporary_files_only(tmp_path: Path) -> None:
    old, young = temporary_path(tmp_path / "x.parquet"), temporary_path(tmp_path / "y.parquet")
    other = tmp_path / ".hidden"
    for path in (old, young, other, tmp_path / "data.parquet"):
        path.write_bytes(b"")
    an_hour_ago_s = time.time() - 3600
    for path in (old, other, tmp_path / "data.parquet"):
        os.utime(path, (an_hour_ago_s, an_hour_ago_s))
    assert sweep_leftovers(tmp_path, older_than_s=600) == [old]
    assert names_in(tmp_path) == sorted([young.name, ".hidden", "data.parquet"])


def test_sweeping_an_absent_folder_is_nothing(tmp_path: Path) -> None:
    assert sweep_leftovers(tmp_path / "absent", older_than_s=0) == []


def test_killed_writer_leaves_old_or_new(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomic(path, b"0" * 200_000)
    script = (
        "import sys; from pathlib import Path\n"
        "from resources.atomic_files import write_atomic\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for digit in b'123': write_atomic(Path(sys.argv[1]), bytes([digit]) * 200_000)\n"
    )
    for attempt in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, cwd=PROJECT
        )
        with writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.003 * (attempt + 1))
            writer.kill()
        content = path.read_bytes()
        assert len(content) == 200_000
        assert len(set(content)) == 1
    sweep_leftovers(tmp_path, older_than_s=-1)
    assert names_in(tmp_path) == ["f"]
