"""What every table engine does, whatever runs below: views, files, order, and errors that say what is wrong."""

from __future__ import annotations

import copy
import datetime as dt
import traceback
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.ports import TableEngine, ViewSource
from tests.integration.engines.conftest import EngineMaker, make_duckdb

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
NUMBERS = pa.table({"a": [1, 2, 3]})
MOMENT = dt.datetime(2026, 9, 6, 3, 59, 59, 999999)  # noqa: DTZ001 - UTC, as in every file
ALL_TYPES = pa.table(
    {
        "whole": pa.array([1, None, -(2**62)], pa.int64()),
        "number": pa.array([0.1, None, -1e300], pa.float64()),
        "text": pa.array(["ñandú 'x'", None, ""], pa.string()),
        "is_so": pa.array([True, None, False], pa.bool_()),
        "day": pa.array([dt.date(1999, 12, 31), None, dt.date(2026, 9, 6)], pa.date32()),
        "moment_utc": pa.array([MOMENT, None, dt.datetime(1970, 1, 1)], pa.timestamp("us")),  # noqa: DTZ001
    }
)


@pytest.fixture(params=["duckdb", "spark"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> TableEngine:
    maker: EngineMaker = make_duckdb if request.param == "duckdb" else request.getfixturevalue("spark")
    return maker(tmp_path)


def parquet(path: Path, table: pa.Table = NUMBERS) -> ViewSource:
    pq.write_table(table, path)
    return ViewSource(files=[path])


def csv(path: Path, content: bytes, columns: tuple[str, ...] = ("A", "B")) -> ViewSource:
    path.write_bytes(content)
    return ViewSource(files=[path], format="csv", text_columns=columns, row_number_column="n")


@pytest.mark.parametrize("place", ["file", "hidden_file", "table"])
def test_types_and_nulls_come_through(engine: TableEngine, tmp_path: Path, place: str) -> None:
    path = tmp_path / (".hidden.tmp.parquet" if place == "hidden_file" else "it's [1] %20.parquet")
    source = ViewSource(table=ALL_TYPES) if place == "table" else parquet(path, ALL_TYPES)
    target = tmp_path / "out.parquet"
    assert engine.write_parquet("SELECT * FROM v", {"v": source}, target) == 3
    written = pq.read_table(target)
    assert written.schema.equals(ALL_TYPES.schema)
    assert sorted(written.to_pylist(), key=str) == sorted(ALL_TYPES.to_pylist(), key=str)
    assert engine.fetch("SELECT moment_utc, day FROM v WHERE whole = 1", {"v": source}).to_pylist() == [
        {"moment_utc": MOMENT, "day": dt.date(1999, 12, 31)}
    ]


def test_order_row_groups_and_batches(engine: TableEngine, tmp_path: Path) -> None:
    numbers = pa.table({"a": list(range(5000))})
    views, target = {"v": parquet(tmp_path / "v.parquet", numbers)}, tmp_path / "out.parquet"
    sql = "SELECT a FROM v ORDER BY a DESC"
    assert engine.write_parquet(sql, views, target, row_group_rows=2048) == 5000
    assert pq.read_table(target)["a"].to_pylist() == list(range(4999, -1, -1))
    assert pq.ParquetFile(target).num_row_groups == 3
    batches = list(engine.batches(sql, views, rows_per_batch=1000))
    assert max(batch.num_rows for batch in batches) <= 2048
    assert [row for batch in batches for row in batch["a"].to_pylist()] == list(range(4999, -1, -1))


def test_an_empty_result_has_its_schema(engine: TableEngine, tmp_path: Path) -> None:
    target, views = tmp_path / "none.parquet", {"v": ViewSource(table=ALL_TYPES)}
    assert engine.write_parquet("SELECT * FROM v WHERE whole > 9", views, target) == 0
    assert pq.read_schema(target).equals(ALL_TYPES.schema)
    assert engine.fetch("SELECT * FROM v WHERE whole > 9", views).num_rows == 0
    assert engine.fetch("SELECT * FROM v", {"v": ViewSource(table=ALL_TYPES.slice(0, 0))}).num_rows == 0


def test_day_of_each_file_and_row_numbers(engine: TableEngine, tmp_path: Path) -> None:
    paths = [tmp_path / "1 a.parquet", tmp_path / "2%20b.parquet"]
    parquet(paths[0])
    parquet(paths[1], NUMBERS.append_column("b", [[7, 8, 9]]))  # an older file may lack a column
    days = [dt.date(2026, 8, 1), dt.date(2026, 8, 2)]
    source = ViewSource(files=paths, file_days=days, row_number_column="n")
    rows = engine.fetch("SELECT file_day, n, a, b FROM v ORDER BY file_day, n", {"v": source}).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (days[0], 1, 1, None), (days[0], 2, 2, None), (days[0], 3, 3, None),
        (days[1], 1, 1, 7), (days[1], 2, 2, 8), (days[1], 3, 3, 9),
    ]  # fmt: skip
    with pytest.raises(EngineError, match="differ in length"):
        engine.fetch("SELECT * FROM v", {"v": ViewSource(files=paths, file_days=days[:1])})
    with pytest.raises(EngineError, match="no source"):
        engine.fetch("SELECT * FROM v", {"v": ViewSource()})


def test_csv_is_text_in_the_order_of_the_file(engine: TableEngine, tmp_path: Path) -> None:
    source = csv(tmp_path / "t.csv", b'A,B\n1,"x, ""y""\nz"\n,2\n')
    rows = engine.fetch("SELECT * FROM v ORDER BY n", {"v": source}).to_pylist()
    assert [(row["n"], row["A"], row["B"]) for row in rows] == [(1, "1", 'x, "y"\nz'), (2, None, "2")]


@pytest.mark.parametrize(
    ("content", "kind"), [(b"A,B\n1,2\n1,2,3\n", "ragged_row"), (b"A,B\n\xff\xfe,2\n", "encoding")]
)
def test_bad_csv_says_where(engine: TableEngine, tmp_path: Path, content: bytes, kind: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine.write_parquet(
            "SELECT * FROM v", {"v": csv(tmp_path / "t.csv", content)}, tmp_path / "o.parquet"
        )
    assert caught.value.kind == kind
    assert caught.value.line is not None


def test_damaged_and_missing_files(engine: TableEngine, tmp_path: Path) -> None:
    source = parquet(tmp_path / "v.parquet", pa.table({"a": list(range(100_000))}))
    whole = source.files[0].read_bytes()
    source.files[0].write_bytes(whole[: len(whole) // 2])
    for wrong, kind in ((source, "truncated_file"), (ViewSource(files=[tmp_path / "no"]), "missing_file")):
        with pytest.raises(EngineError) as caught:
            engine.fetch("SELECT SUM(a) FROM v", {"v": wrong})
        assert caught.value.kind == kind
    views = {"v": ViewSource(table=NUMBERS)}
    with pytest.raises(EngineError) as caught:
        engine.write_parquet("SELECT * FROM v", views, tmp_path / "no folder" / "o.parquet")
    assert caught.value.kind in {"missing_file", "disk"}


def test_only_its_folders(engine: TableEngine, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    views = {"v": parquet(outside / "v.parquet")}
    with pytest.raises(EngineError) as caught:
        engine.fetch("SELECT * FROM v", views)
    assert caught.value.kind == "forbidden_path"
    with pytest.raises(EngineError):
        engine.write_parquet("SELECT 1 AS a", {}, outside / "o.parquet")
    assert not (outside / "o.parquet").exists()


def test_statements_do_not_name_files(engine: TableEngine, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("outside") / "v.parquet"
    parquet(path)
    named = f"parquet.`{path}`" if engine.dialect == "pyspark" else f"'{path}'"
    with pytest.raises(EngineError):
        engine.fetch(f"SELECT * FROM {named}", {})  # noqa: S608 - a test of just that


def test_wrong_statements_are_told_without_values(engine: TableEngine) -> None:
    views = {"v": ViewSource(table=pa.table({"msisdn": ["56911112222"]}))}
    with pytest.raises(EngineError) as caught:
        engine.fetch("SELECT CAST(msisdn || 'x' AS INT) FROM v", views)
    assert caught.value.kind == "statement"
    told = "".join(traceback.format_exception(caught.value))  # with its causes, as Dagster keeps it
    assert "56911112222" not in told
    engine.fetch("SELECT * FROM v", views)
    with pytest.raises(EngineError, match=r"(?i)v"):
        engine.fetch("SELECT * FROM v", {})  # views end with their call


def test_an_engine_travels_without_its_connection(engine: TableEngine) -> None:
    engine.fetch("SELECT 1 AS a", {})
    assert copy.copy(engine).fetch("SELECT 2 AS a", {}).to_pylist() == [{"a": 2}]
