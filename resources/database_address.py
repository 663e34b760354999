"""From an environment's database section to addresses.

Belongs here: composing URLs, reading the password when an address is needed. Does not belong here: connecting.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import URL

    from mlops_assets.config.store_models import DatabaseConfig

# Plain `postgresql` would mean psycopg 3 since SQLAlchemy 2.1.
SCHEME = "postgresql+psycopg2"


def connection_parameters(settings: DatabaseConfig) -> dict[str, str]:
    """Return what libpq is told beside host, user and database."""
    socket = {"host": settings.host} if settings.is_socket else {}
    tls = {"sslmode": "disable" if settings.tls == "none" else settings.tls}
    # The system's certificates, unless PGSSLROOTCERT names others.
    return {**socket, **tls}


def server_name(settings: DatabaseConfig) -> str:
    """Return the host of the URL; a socket is told as a parameter."""
    return "localhost" if settings.is_socket else settings.host


def make_address(settings: DatabaseConfig, database: str) -> Callable[[], URL]:
    """Return a function that returns the URL of a database; it reads the password at each call.

    Raises (the function):
        ConfigError: the variable that should hold the password is not set.
    """

    def address() -> URL:
        from sqlalchemy import URL

        return URL.create(
            SCHEME,
            username=settings.user,
            password=_password(settings.password_variable),
            host=server_name(settings),
            port=settings.port,
            database=database,
            query=connection_parameters(settings),
        )

    return address


def _password(variable: str) -> str:
    found = os.environ.get(variable)
    if not found:
        raise ConfigError(
            "the password of the database is not set",
            where=f"environment variable {variable}",
            expected="the password, from the secret store",
            remedy=f"set {variable}, or name another variable in `database.password_variable`",
        )
    return found
