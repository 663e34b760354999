"""Hostile deliveries and damaged partitions: refused in words or translated as they are, without a value in a message.

Belongs here: families of files. Does not belong here: their names (attacks_on_names).
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.feeds.contract import FeedContract
from mlops_assets.domain.feeds.landing import FeedOutcome
from mlops_assets.domain.ports import PartitionId, ViewSource
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake
from tests.security.attack import Attack, EscapeError, Family
from tests.security.hostile_values import damaged, encodable_text, hostile_text
from tests.unit.domain.feeds.conftest import World, contract, topup_line, topups_csv, usage_row

PERSON = "56912345678"
_TOPUPS, _USAGE = contract("topups"), contract("usage")
_CHANNELS = {"app", "pos", "web", "ussd"}
_GOOD_LINES = [topup_line(number) for number in range(1, 21)]


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """Yield a world that lands files."""
    engine = DuckDbEngine(1, "300MB", folder / "spill", [folder])
    yield World(folder, engine)
    engine.close()


@st.composite
def _csv_files(draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        return draw(damaged(topups_csv() + f"T99,{PERSON},2026-08-10 15:00:00,5000,APP\n".encode()))
    cells = st.one_of(
        st.just(PERSON), encodable_text, st.sampled_from(("5000", "APP", "2026-08-10 15:00:00", "T1"))
    )
    head = draw(
        st.one_of(
            st.just(["TOPUP_ID", "MSISDN", "TOPUP_TS", "AMOUNT", "CHANNEL"]),
            st.lists(cells, max_size=7),
            st.just([PERSON]),
        )
    )
    rows = draw(st.lists(st.lists(cells, min_size=1, max_size=7), max_size=6))
    is_quoted = draw(st.booleans())
    lines = [",".join(_quoted(cell) if is_quoted else cell for cell in row) for row in [head, *rows]]
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")))
    good = "".join(_GOOD_LINES) if draw(st.booleans()) else ""
    return ("\n".join(lines) + "\n" + good).encode(encoding, "replace")


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@contextmanager
def _csv_feed(folder: Path) -> Iterator[Attack]:
    with open_world(folder) as world:

        def attack(content: bytes) -> None:
            world.deliver(_TOPUPS, content)
            outcome = _land(world, _TOPUPS)
            _require_silent(outcome.findings, content)
            if outcome.status == "landed":
                rows = world.rows(outcome)
                if odd := {row["channel"] for row in rows} - _CHANNELS:
                    raise EscapeError(f"channels {odd} were published")
                if [
                    row
                    for row in rows
                    if str(row["topup_id"]).strip().encode() not in content.replace(b'""', b'"')
                ]:
                    raise EscapeError("a text was published that was not delivered")

        yield attack


def _land(world: World, feed: FeedContract) -> FeedOutcome:
    """Land a file; an error would stop the other geographies as well."""
    try:
        return world.land(feed)
    except PlatformError as error:
        raise EscapeError(f"a delivery stopped the run: {error}") from error


def _require_silent(findings: tuple[str, ...], content: bytes) -> None:
    text = "\n".join(findings)
    if PERSON in text:
        raise EscapeError("a finding shows a subscriber's number")
    if any(ord(sign) < 32 and sign != "\n" for sign in text):
        raise EscapeError("a finding holds a control character")
    if len(text) > 50_000:
        raise EscapeError(f"{len(content)} bytes became {len(text)} characters of findings")


@functools.cache
def _parquet_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    rows = [usage_row(int(PERSON) + number) for number in range(20)]
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


_COLUMNS = tuple(usage_row())
_odd_values: st.SearchStrategy[Any] = st.one_of(
    encodable_text,
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.booleans(),
    st.none(),
    st.binary(max_size=5),
    st.lists(st.integers(0, 9), max_size=2),
    st.fixed_dictionaries({PERSON: st.just(1)}),
    st.datetimes(),
    st.dates(),
)


@st.composite
def _parquet_files(draw: st.DrawFn) -> bytes | pa.Table:
    if draw(st.booleans()):
        content = _parquet_bytes()
        if draw(st.booleans()):  # the footer is where most of the meaning is
            at = draw(st.integers(len(content) - 3000, len(content) - 9))
            return content[:at] + draw(st.binary(min_size=1, max_size=3)) + content[at + 1 :]
        return draw(damaged(content))
    rows = [usage_row(int(PERSON) + number) for number in range(20)]
    table = pa.Table.from_pylist(rows)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(_COLUMNS))
        column = pa.array([draw(_odd_values)] * 20)
        where = table.column_names.index(name) if name in table.column_names else 0
        new = draw(st.one_of(st.just(name), st.just(name), encodable_text, st.just(PERSON)))
        table = table.set_column(where, new, column)
    return table


@contextmanager
def _parquet_feed(folder: Path) -> Iterator[Attack]:
    with open_world(folder) as world:

        def attack(content: bytes | pa.Table) -> None:
            world.deliver(_USAGE, content)
            _require_silent(_land(world, _USAGE).findings, b"")

        yield attack


@st.composite
def _manifests(draw: st.DrawFn) -> tuple[str, bytes]:
    """Return which file of a partition is replaced, and by what."""
    if draw(st.booleans()):
        return "data", draw(damaged(_parquet_bytes()))
    content: dict[str, Any] = json.loads(_MANIFEST)
    key = draw(st.sampled_from(sorted(content)))
    if draw(st.booleans()):
        content["files"] = {"data": draw(hostile_text)}
    elif draw(st.booleans()):
        content[key] = draw(
            st.one_of(
                hostile_text, st.none(), st.lists(st.integers(), max_size=2), st.just({}), st.integers()
            )
        )
    else:
        return "manifest", draw(damaged(_MANIFEST.encode()))
    return "manifest", json.dumps(content).encode()


_MANIFEST = json.dumps(
    {
        "format": 1,
        "build_key": "a" * 64,
        "row_count": 20,
        "files": {"data": "data-aaaaaaaaaaaa.parquet"},
        "sizes": {"data": len(_parquet_bytes())},
        "inputs": {},
        "facts": {},
    }
)


@contextmanager
def _lake_files(folder: Path) -> Iterator[Attack]:
    """A partition in which somebody has changed files is read as it was published, or not at all."""
    partition, lake = PartitionId("quality/kernel", "cl", dt.date(2026, 8, 10)), LocalLake(folder / "lake")
    engine = DuckDbEngine(1, "300MB", folder / "spill", [folder / "lake"])
    (folder / "secret.parquet").write_bytes(_parquet_bytes())

    def attack(change: tuple[str, bytes]) -> None:
        which, content = change
        shutil.rmtree(folder / "lake", ignore_errors=True)
        with lake.write(partition, "a" * 64) as writer:
            writer.file("data").write_bytes(_parquet_bytes())
            manifest = writer.commit(row_count=20)
        place = lake.folder(partition)
        (place / ("manifest.json" if which == "manifest" else manifest.files["data"])).write_bytes(content)
        lake.days("quality/kernel", "cl")
        if lake.manifest(partition) is None:
            raise EscapeError("a published partition is not there")
        path = lake.path(partition)
        if not path.resolve().is_relative_to(place.resolve()):
            raise EscapeError(f"the manifest leads to {path}")
        engine.fetch("SELECT COUNT(*) FROM v", {"v": ViewSource([path])})

    yield attack
    engine.close()


FEED_FAMILIES = (
    Family("csv_deliveries", _csv_files(), _csv_feed),
    Family("parquet_deliveries", _parquet_files(), _parquet_feed),
    Family("lake_files", _manifests(), _lake_files),
)
