"""Looking for leftovers beside writers that are at work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from resources.store_inspection import find_leftovers

if TYPE_CHECKING:
    import pytest

LONG_AGO = (1_000_000_000.0, 1_000_000_000.0)


def test_only_what_is_old_and_temporary_is_left_over(tmp_path: Path) -> None:
    old, young, final = (
        tmp_path / name for name in (".0123456789abcdef.tmp", ".fedcba9876543210.tmp", "data.csv")
    )
    for path in (old, young, final):
        path.write_bytes(b"x")
    for path in (old, final):
        os.utime(path, LONG_AGO)
    assert find_leftovers(tmp_path, 60.0) == [old]


def test_a_file_that_its_writer_takes_away_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walk_before(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        yield str(folder), [], [".0123456789abcdef.tmp"]  # it was there when the folder was read

    monkeypatch.setattr("resources.store_inspection.os.walk", walk_before)
    assert find_leftovers(tmp_path, 60.0) == []
