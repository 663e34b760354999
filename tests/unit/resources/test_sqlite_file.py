"""A SQLite file of ours that cannot be made: said in words, and nothing half-made is left."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from resources.sqlite_file import SqliteFile


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """Let this process write no larger file, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def file(tmp_path: Path) -> SqliteFile:
    return SqliteFile(
        path=tmp_path / "state.db",
        title="the state",
        application_id=7,
        schema_version=1,
        schema="CREATE TABLE one (a TEXT);",
        remedy="restore it",
        busy_timeout_s=0.1,
    )


def test_without_room_no_file_is_made_and_later_it_is(file: SqliteFile) -> None:
    with files_of_at_most(4096), pytest.raises(StorageError, match="the state") as caught:
        file.create_if_missing()
    assert "nothing was recorded" in str(caught.value)
    assert caught.value.is_retryable
    assert not file.exists()
    assert [path.name for path in file.path.parent.iterdir()] == ["state.db.lock"]
    file.create_if_missing()
    with file.reading() as connection:
        assert connection.execute("SELECT * FROM one").fetchall() == []


def test_a_lock_that_cannot_be_opened_is_said(file: SqliteFile) -> None:
    file.path.with_name("state.db.lock").mkdir()
    with pytest.raises(StorageError, match=r"cannot write: Is a directory.*state\.db\.lock"):
        file.create_if_missing()
