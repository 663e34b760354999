"""The record of releases on PostgreSQL: append-only, idempotent, one word a delivery."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from mlops_assets.domain.errors import StorageError
from resources.postgres_stores import PostgresFeedReleases
from tests.integration.cloud.postgres_server import PostgresServer
from tests.unit.resources import test_feed_releases
from tests.unit.resources.test_feed_releases import RELEASE

if TYPE_CHECKING:
    from sqlalchemy import URL

pytestmark = pytest.mark.integration

# The same assertions as over SQLite.
test_a_release_is_found_by_its_bytes = test_feed_releases.test_a_release_is_found_by_its_bytes
test_the_first_word_stands = test_feed_releases.test_the_first_word_stands
test_times_are_kept_in_utc = test_feed_releases.test_times_are_kept_in_utc
test_many_writers_lose_and_double_nothing = test_feed_releases.test_many_writers_lose_and_double_nothing


@pytest.fixture
def releases(address: Callable[[], URL]) -> PostgresFeedReleases:
    return PostgresFeedReleases(address, patience_s=2.0)


def test_nothing_is_created_by_looking(
    releases: PostgresFeedReleases, postgres: PostgresServer, database: str
) -> None:
    assert releases.find("usage", "cl", RELEASE.day, RELEASE.raw_sha256) is None
    assert releases.history() == []
    postgres.run_sql("CREATE SCHEMA feed_releases", database=database)  # fails if there is one


def test_of_many_who_release_one_delivery_one_is_recorded(releases: PostgresFeedReleases) -> None:
    people = [dataclasses.replace(RELEASE, released_by=f"person {n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(releases.record, people))
    assert len(set(answers)) == 1
    assert releases.history() == answers[:1]


def test_releases_cannot_be_changed_or_deleted(
    releases: PostgresFeedReleases, postgres: PostgresServer, database: str
) -> None:
    from sqlalchemy.exc import DBAPIError

    releases.record(RELEASE)
    for statement in (
        "UPDATE feed_releases.release SET note = 'x'",
        "DELETE FROM feed_releases.release",
        "TRUNCATE feed_releases.release",
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            postgres.run_sql(statement, database=database)
    assert releases.history() == [RELEASE]


def test_a_release_without_a_reason_is_refused(releases: PostgresFeedReleases) -> None:
    with pytest.raises(StorageError, match="note"):
        releases.record(dataclasses.replace(RELEASE, note=" "))
    assert releases.history() == []
