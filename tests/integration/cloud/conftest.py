"""Services of the cloud, on this machine: started once for all tests, empty for each."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from resources.file_cache import FileCache
from resources.object_store import ObjectStore, close_client, open_client
from tests.integration.cloud import gcs_server, postgres_server
from tests.integration.cloud.gcs_server import FaultyProxy, GcsServer
from tests.integration.cloud.postgres_server import PostgresServer

if TYPE_CHECKING:
    from sqlalchemy import URL


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; the test is skipped where it is not installed."""
    if reason := postgres_server.why_missing():
        pytest.skip(reason)
    server = PostgresServer.create()
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    """The name of an empty database."""
    return postgres.create_database()


@pytest.fixture
def address(postgres: PostgresServer, database: str) -> Callable[[], URL]:
    """What the stores ask for their URL."""
    return lambda: postgres.url(database)


@pytest.fixture(scope="session")
def gcs() -> Iterator[GcsServer]:
    """fake-gcs-server; the test is skipped where it is not installed."""
    if reason := gcs_server.why_missing():
        pytest.skip(reason)
    server = GcsServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def proxy(gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """What the product takes for Google; a fault can be switched on."""
    proxy = FaultyProxy(gcs)
    close_client()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    yield proxy
    close_client()
    proxy.stop()


@pytest.fixture
def bucket(proxy: FaultyProxy) -> str:  # noqa: ARG001 - what is created goes there
    """The name of an empty bucket."""
    name = f"test-{secrets.token_hex(6)}"
    open_client().create_bucket(name)
    return name


@pytest.fixture
def store(bucket: str) -> ObjectStore:
    """The objects of a prefix; it gives up soon."""
    return ObjectStore(bucket, "some/prefix", patience_s=3.0, answer_s=10.0)


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    """A cache with room."""
    return FileCache(tmp_path / "cache", limit_bytes=50_000_000)
