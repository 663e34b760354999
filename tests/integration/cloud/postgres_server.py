"""A PostgreSQL server of the tests' own, on this machine only.

Belongs here: finding Debian's binaries, starting, stopping and killing one server, making databases. Does not belong
here: what the product keeps in them.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL

USER = "mlops"
PASSWORD = "p@ss/w:rd"  # noqa: S105 - of a server that lives as long as a test; needs quoting in a URL
_SERVER_USER = "postgres"  # PostgreSQL refuses to run as root
_STOP_S = 20


def why_missing() -> str:
    """Return why no server can be started here; empty if it can."""
    if find_binary("initdb") is None:
        return "PostgreSQL is not installed (Debian package `postgresql`)"
    if importlib.util.find_spec("psycopg2") is None:
        return "psycopg2 is not installed (PyPI package `psycopg2-binary`)"
    return ""


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class PostgresServer:
    """One server in a folder of its own."""

    folder: Path
    port: int

    @classmethod
    def create(cls) -> PostgresServer:
        """Make an empty cluster; nothing runs yet."""
        folder = Path(tempfile.mkdtemp(prefix="mlops-postgres-"))
        password = folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (folder, password):
                shutil.chown(path, _SERVER_USER, _SERVER_USER)
        server = cls(folder, free_port())
        server._call(
            "initdb", "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C"
        )
        return server

    def start(self) -> None:
        """Start and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        # Tests kill processes, never the machine: what the server has written is there without fsync.
        options += " -c max_connections=80 -c shared_buffers=16MB -c fsync=off"
        self._call("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop; mode `immediate` is as a power cut."""
        self._call("pg_ctl", "-w", "-t", str(_STOP_S), "-m", mode, "stop")

    def destroy(self) -> None:
        """Stop if it runs, and delete everything."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> URL:
        """Return the address of a database."""
        from sqlalchemy import URL

        return URL.create("postgresql+psycopg2", USER, PASSWORD, "127.0.0.1", self.port, database)

    def create_database(self) -> str:
        """Make an empty database and return its name."""
        name = f"test_{secrets.token_hex(6)}"
        self.run_sql(f'CREATE DATABASE "{name}"')
        return name

    def run_sql(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the owner, each by itself."""
        from sqlalchemy import NullPool, create_engine

        engine = create_engine(self.url(database), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()

    def _call(self, program: str, *arguments: str) -> None:
        binary = find_binary(program)
        assert binary is not None
        command = [str(binary), "-D", str(self.folder / "data"), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", _SERVER_USER, "--", *command]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=60)


def find_binary(program: str) -> Path | None:
    """Return one of PostgreSQL's programs, of the newest version that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    on_path = shutil.which(program)
    return found[-1] if found else Path(on_path) if on_path else None
