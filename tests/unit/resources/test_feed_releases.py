"""The record of releases: append-only, idempotent, whole or a clear error."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.quality.release_ports import FeedRelease
from resources.feed_releases import SqliteFeedReleases

RELEASE = FeedRelease(
    "usage",
    "cl",
    dt.date(2026, 8, 10),
    "a" * 64,
    "operations",
    dt.datetime(2026, 8, 11, 9, tzinfo=dt.UTC),
    "checked with the operator",
)


@pytest.fixture
def releases(tmp_path: Path) -> SqliteFeedReleases:
    return SqliteFeedReleases(tmp_path / "ledger" / "feed_releases.db")


def test_nothing_is_created_by_looking(releases: SqliteFeedReleases) -> None:
    assert releases.find("usage", "cl", RELEASE.day, RELEASE.raw_sha256) is None
    assert releases.history() == []
    assert not releases.path.exists()


def test_a_release_is_found_by_its_bytes(releases: SqliteFeedReleases) -> None:
    assert releases.record(RELEASE) == RELEASE
    assert releases.find("usage", "cl", RELEASE.day, RELEASE.raw_sha256) == RELEASE
    for key in (
        ("topups", "cl", RELEASE.day, RELEASE.raw_sha256),
        ("usage", "pe", RELEASE.day, RELEASE.raw_sha256),
        ("usage", "cl", dt.date(2026, 8, 11), RELEASE.raw_sha256),
        ("usage", "cl", RELEASE.day, "b" * 64),
    ):
        assert releases.find(*key) is None


def test_the_first_word_stands(releases: SqliteFeedReleases) -> None:
    releases.record(RELEASE)
    later = dataclasses.replace(RELEASE, released_by="someone-else", note="again")
    assert releases.record(later) == RELEASE
    other = dataclasses.replace(RELEASE, raw_sha256="b" * 64)
    releases.record(other)
    assert releases.history() == [RELEASE, other]


def test_times_are_kept_in_utc(releases: SqliteFeedReleases) -> None:
    zone = dt.timezone(dt.timedelta(hours=-4))
    local = dataclasses.replace(RELEASE, released_at_utc=RELEASE.released_at_utc.astimezone(zone))
    releases.record(local)
    (found,) = releases.history()
    assert found.released_at_utc.utcoffset() == dt.timedelta(0)
    assert found == RELEASE


def test_releases_cannot_be_changed_or_deleted(releases: SqliteFeedReleases) -> None:
    releases.record(RELEASE)
    with sqlite3.connect(releases.path) as connection:
        for statement in ("UPDATE release SET note = 'x'", "DELETE FROM release"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()
    assert releases.history() == [RELEASE]


def test_many_writers_lose_and_double_nothing(releases: SqliteFeedReleases) -> None:
    wanted = [dataclasses.replace(RELEASE, raw_sha256=f"{n:064x}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(releases.record, wanted * 2))
    assert {r.raw_sha256 for r in releases.history()} == {r.raw_sha256 for r in wanted}
    assert len(releases.history()) == len(wanted)


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to look like a file" * 40])
def test_a_damaged_file_is_a_clear_error(releases: SqliteFeedReleases, content: bytes) -> None:
    releases.path.parent.mkdir()
    releases.path.write_bytes(content)
    for use in (releases.history, lambda: releases.record(RELEASE)):
        with pytest.raises(StorageError, match=r"cannot be used.*good copy") as caught:
            use()
        assert not caught.value.is_retryable


@pytest.mark.parametrize("field", ["released_by", "note", "raw_sha256"])
def test_incomplete_releases_are_refused(releases: SqliteFeedReleases, field: str) -> None:
    with pytest.raises(StorageError, match=f"without {field}"):
        releases.record(dataclasses.replace(RELEASE, **{field: " "}))
    assert not releases.path.exists()
