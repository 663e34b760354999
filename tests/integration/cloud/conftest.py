"""Services of the cloud, on this machine: started once for all tests, empty for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.integration.cloud import postgres_server
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
