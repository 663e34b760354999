"""The search for subscribers' numbers finds them wherever they are planted: otherwise its silence would say nothing."""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.ports import ViewSource
from resources.duckdb_engine import DuckDbEngine
from tests.security.identifier_search import IdentifierSearch

PERSON = 56912345678
SEARCH = IdentifierSearch({PERSON, 51987654321})


def _database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (a, b)")
        connection.execute("INSERT INTO t VALUES (?, ?)", (PERSON, "x"))


def _mail(path: Path) -> None:
    mail = EmailMessage()
    mail.add_attachment(f"a;{PERSON}".encode(), "text", "csv", filename="a.csv")
    path.write_bytes(mail.as_bytes())


def _archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.json", f'{{"key": "{PERSON}"}}')


PLANTED: dict[str, Callable[[Path], object]] = {
    "a.log": lambda path: path.write_text(f"x{PERSON}9 of"),
    "a.npy": lambda path: np.save(path, np.array([1, PERSON])),
    "b.npy": lambda path: np.save(path, np.array([1.5, float(PERSON)])),
    "a.db": _database,
    "a.skops": _archive,
    "a.eml": _mail,
    "a.parquet": lambda path: pq.write_table(pa.table({"k": [str(PERSON)] * 9}), path, compression="zstd"),
    "b.parquet": lambda path: pq.write_table(pa.table({"k": [PERSON] * 9}), path, compression="zstd"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_number_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("5691234567 56912345679")
    assert SEARCH.in_folder(tmp_path) == []
    PLANTED[name](tmp_path / name)
    assert {one.partition("!")[0] for one in SEARCH.in_folder(tmp_path)} == {name}
    (tmp_path / "landing").mkdir()
    (tmp_path / name).rename(tmp_path / "landing" / name)
    assert SEARCH.in_folder(tmp_path, allowed=["landing"]) == []


def test_what_the_engine_refuses_leaves_no_value_in_dagsters_history(tmp_path: Path) -> None:
    """Dagster stores the cause of an error with its message, and DuckDB's messages hold values."""
    engine = DuckDbEngine(1, "200MB", tmp_path / "spill", [tmp_path])

    @dg.asset
    def refused() -> None:
        people = pa.table({"s": [f"{PERSON}x"] * 30})
        engine.fetch("SELECT CAST(s AS INTEGER) FROM v", {"v": ViewSource(table=people)})

    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        result = dg.materialize([refused], instance=instance, raise_on_error=False)
    assert not result.success
    assert list(home.rglob("*.db"))
    assert SEARCH.in_folder(home) == []
