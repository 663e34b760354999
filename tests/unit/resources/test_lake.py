"""The lake on a disk: the contract is in test_lake_contract; here its folders, competition, sudden death."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.ports import PartitionId
from resources import atomic_files
from resources.lake import LocalLake
from tests.unit.resources.lake_writer import DAY, KEYS, USAGE, publish
from tests.unit.resources.test_lake_contract import kill_writers


def test_folders_that_are_no_days_are_passed_over(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, KEYS["a"])
    folder = lake.folder(USAGE)
    for name in ("2026-08-10.bak", "20260811", "2026-W33-1", "2026-13-01", "2026-8-1", "all"):
        shutil.copytree(folder, folder.with_name(name))
    assert lake.days("feeds/usage", "cl") == [DAY]


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


def test_a_file_that_goes_during_the_sweep_is_no_matter(tmp_path: Path) -> None:
    """Another writer sweeps, too: what was listed is not there any more."""
    lake = LocalLake(tmp_path, grace_s=0.0)
    publish(lake, KEYS["a"])
    (lake.folder(USAGE) / "data-gone.parquet").symlink_to(
        "nowhere"
    )  # listed, and not there when it is asked for
    time.sleep(0.02)
    assert publish(lake, KEYS["b"]) == lake.manifest(USAGE)


def test_damaged_file_says_so(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path)
    publish(lake, KEYS["a"])
    lake.path(USAGE).write_bytes(b"ro")
    with pytest.raises(StorageError, match=r"has 2 bytes.*4 bytes, as published"):
        lake.path(USAGE)


@given(table=st.text(max_size=20), segment=st.text(max_size=20))
def test_no_name_leaves_the_lake(table: str, segment: str) -> None:
    root = Path("/lake")
    try:
        folder = LocalLake(root).folder(PartitionId(table, segment, DAY))
    except StorageError:
        return
    assert root in Path(os.path.normpath(folder)).parents
    assert folder.relative_to(root).parts == (*table.split("/"), segment, "2026-08-10")


def test_a_killed_writer_leaves_the_old_partition_or_the_new(tmp_path: Path) -> None:
    lake = LocalLake(tmp_path, grace_s=0.0)
    command = ["tests.unit.resources.lake_writer", str(tmp_path)]
    kill_writers(lake, command, [0.003 * attempt + 0.0007 for attempt in range(12)])
    publish(lake, KEYS["a"])
    time.sleep(0.02)
    publish(lake, KEYS["b"])
    names = {p.name for p in lake.folder(USAGE).iterdir()}
    assert not [name for name in names if name.startswith(".")], "leftovers of killed writers are swept"
