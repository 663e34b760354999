"""The engine: views, limits, and what its errors mean."""

from __future__ import annotations

import copy
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.ports import ViewSource
from resources.duckdb_engine import DuckDbEngine

NUMBERS = pa.table({"a": [1, 2, 3]})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckDbEngine]:
    engine = DuckDbEngine(2, "200MB", tmp_path / "spill", [tmp_path])
    yield engine
    engine.close()


def parquet(path: Path, table: pa.Table = NUMBERS) -> ViewSource:
    pq.write_table(table, path)
    return ViewSource(files=[path])


def test_writes_and_fetches(engine: DuckDbEngine, tmp_path: Path) -> None:
    target = tmp_path / "out'.parquet"
    views = {"file": parquet(tmp_path / "it's; --.parquet"), 'odd "name"': ViewSource(table=NUMBERS)}
    sql = 'SELECT * FROM file UNION ALL SELECT a FROM "odd ""name"""'
    assert engine.write_parquet(sql, views, target) == 6
    assert sorted(pq.read_table(target)["a"].to_pylist()) == [1, 1, 2, 2, 3, 3]
    assert engine.fetch("SELECT SUM(a) AS s FROM file", views).to_pylist() == [{"s": 6}]
    assert sum(b.num_rows for b in engine.batches("SELECT * FROM file", views, rows_per_batch=2)) == 3


def test_views_end_with_their_call(engine: DuckDbEngine) -> None:
    engine.fetch("SELECT * FROM v", {"v": ViewSource(table=NUMBERS)})
    with pytest.raises(EngineError, match="does not exist"):
        engine.fetch("SELECT * FROM v", {})


def test_empty_result_has_its_schema(engine: DuckDbEngine, tmp_path: Path) -> None:
    target = tmp_path / "none.parquet"
    assert engine.write_parquet("SELECT a FROM v WHERE a > 9", {"v": ViewSource(table=NUMBERS)}, target) == 0
    assert pq.read_schema(target).names == ["a"]


def test_row_groups(engine: DuckDbEngine, tmp_path: Path) -> None:
    target = tmp_path / "groups.parquet"
    engine.write_parquet("SELECT * FROM range(10000)", {}, target, row_group_rows=2048)
    assert pq.ParquetFile(target).num_row_groups == 5


def test_day_of_each_file_and_row_numbers(engine: DuckDbEngine, tmp_path: Path) -> None:
    paths = [tmp_path / "1.parquet", tmp_path / "2.parquet"]
    for path in paths:
        parquet(path)
    days = [dt.date(2026, 8, 1), dt.date(2026, 8, 2)]
    source = ViewSource(files=paths, file_days=days, row_number_column="n")
    rows = engine.fetch("SELECT file_day, n, a FROM v ORDER BY ALL", {"v": source}).to_pylist()
    assert [(row["file_day"], row["n"], row["a"]) for row in rows] == [
        (day, i, i) for day in days for i in (1, 2, 3)
    ]
    with pytest.raises(EngineError, match="differ in length"):
        engine.fetch("SELECT * FROM v", {"v": ViewSource(files=paths, file_days=days[:1])})
    with pytest.raises(EngineError, match="no source"):
        engine.fetch("SELECT * FROM v", {"v": ViewSource()})


def test_day_of_each_csv_file(engine: DuckDbEngine, tmp_path: Path) -> None:
    paths = [tmp_path / "1.csv", tmp_path / "2.csv"]
    for number, path in enumerate(paths):
        path.write_bytes(b"a\n%d\n" % number)
    days = [dt.date(2026, 8, 1), dt.date(2026, 8, 2)]
    source = ViewSource(files=paths, format="csv", text_columns=["a"], file_days=days)
    rows = engine.fetch("SELECT file_day, a FROM v ORDER BY a", {"v": source}).to_pylist()
    assert [(row["file_day"], row["a"]) for row in rows] == [(days[0], "0"), (days[1], "1")]


def test_an_older_file_may_lack_a_column(engine: DuckDbEngine, tmp_path: Path) -> None:
    paths = [tmp_path / "old.parquet", tmp_path / "new.parquet"]
    pq.write_table(pa.table({"a": [1]}), paths[0])
    pq.write_table(pa.table({"a": [2], "b": [3]}), paths[1])
    source = ViewSource(files=paths, file_days=[dt.date(2026, 8, 1), dt.date(2026, 8, 2)])
    rows = engine.fetch("SELECT a, b FROM v ORDER BY a", {"v": source}).to_pylist()
    assert rows == [{"a": 1, "b": None}, {"a": 2, "b": 3}]


def csv(path: Path, content: bytes, delimiter: str = ";") -> dict[str, ViewSource]:
    path.write_bytes(content)
    return {
        "v": ViewSource([path], "csv", delimiter=delimiter, text_columns=["a", "b c"], row_number_column="n")
    }


def test_csv_is_text_in_order(engine: DuckDbEngine, tmp_path: Path) -> None:
    content = b"".join(
        [b"\xef\xbb\xbfa;b c\r\n", b'01;"x;""y"""\r\n', b"2;\r\n", *(b"%d;z\r\n" % i for i in range(3, 9000))]
    )
    rows = engine.fetch("SELECT * FROM v ORDER BY n", csv(tmp_path / "t.csv", content)).to_pylist()
    assert rows[:2] == [{"a": "01", "b c": 'x;"y"', "n": 1}, {"a": "2", "b c": None, "n": 2}]
    assert all(int(row["a"]) == row["n"] for row in rows)


@pytest.mark.parametrize("read", ["fetch", "batches", "write_parquet"])
def test_a_result_of_many_chunks_keeps_the_order_that_is_asked_for(tmp_path: Path, read: str) -> None:
    engine, keys = DuckDbEngine(4, "200MB", tmp_path / "spill", [tmp_path]), list(range(100_000))
    views = {"v": parquet(tmp_path / "t.parquet", pa.table({"a": [k * 61_001 % len(keys) for k in keys]}))}
    sql = "SELECT a, count(*) AS n FROM v GROUP BY a ORDER BY a"
    for _ in range(5):  # threads race for the chunks
        if read == "fetch":
            found = engine.fetch(sql, views)
        elif read == "batches":
            found = pa.Table.from_batches(engine.batches(sql, views))
        else:
            engine.write_parquet(sql, views, tmp_path / "out.parquet")
            found = pq.read_table(tmp_path / "out.parquet")
        assert found["a"].combine_chunks().equals(pa.array(keys))
    engine.close()


@pytest.mark.parametrize(
    ("tail", "kind", "line", "words"),
    [
        (b"1;2;3\n", "ragged_row", 3, "3 columns"),
        (b"1\n", "ragged_row", 3, "1 columns"),
        (b"1;\xd1and\xfa\n", "encoding", 3, "not UTF-8"),
        (b'1;"open\n', "csv", 3, "quote"),
        (b'1;"x"y\n', "csv", 3, "quote"),
    ],
)
def test_bad_csv_names_file_and_line(
    engine: DuckDbEngine, tmp_path: Path, tail: bytes, kind: str, line: int, words: str
) -> None:
    views = csv(tmp_path / "t.csv", b"a;b c\n77777;2\n" + tail)
    with pytest.raises(EngineError, match=words) as caught:
        engine.fetch("SELECT * FROM v", views)
    assert (caught.value.kind, caught.value.line) == (kind, line)
    assert str(tmp_path / "t.csv") in str(caught.value)
    assert "77777" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 3, 30, 150])
def test_truncated_parquet(engine: DuckDbEngine, tmp_path: Path, size: int) -> None:
    source = parquet(tmp_path / "x.parquet")
    path = Path(source.files[0])
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(EngineError, match="truncated or damaged") as caught:
        engine.fetch("SELECT * FROM v", {"v": source})
    assert caught.value.kind == "truncated_file"
    assert "x.parquet" in caught.value.where


def test_damaged_pages_are_a_file_fault(engine: DuckDbEngine, tmp_path: Path) -> None:
    source = parquet(tmp_path / "x.parquet", pa.table({"a": list(range(10000))}))
    path = Path(source.files[0])
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 2000 + content[2004:])
    with pytest.raises(EngineError) as caught:
        engine.fetch("SELECT SUM(a) FROM v", {"v": source})
    assert caught.value.kind == "truncated_file"


def test_no_access_outside_the_allowed_folders(engine: DuckDbEngine, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside.parquet"
    for sql, views in (
        ("SELECT * FROM v", {"v": parquet(outside)}),
        ("SELECT * FROM read_csv('/etc/passwd')", {}),
        ("INSTALL httpfs", {}),
    ):
        with pytest.raises(EngineError):
            engine.fetch(sql, views)
    with pytest.raises(EngineError):
        engine.write_parquet("SELECT 1", {}, outside)


def test_missing_file_is_no_fault_of_the_disk(engine: DuckDbEngine, tmp_path: Path) -> None:
    gone = tmp_path / "gone.parquet"
    for source in (ViewSource([gone]), ViewSource([gone], "csv", text_columns=["a"])):
        with pytest.raises(EngineError, match=r"is not there.*gone\.parquet.*remedy") as caught:
            engine.fetch("SELECT * FROM v", {"v": source})
        assert (caught.value.kind, caught.value.is_retryable) == ("missing_file", False)


def test_configuration_is_locked(engine: DuckDbEngine) -> None:
    with pytest.raises(EngineError, match="locked"):
        engine.fetch("SET threads=9", {})
    settings = "SELECT current_setting('TimeZone') AS z, current_setting('threads') AS t"
    assert engine.fetch(settings, {}).to_pylist() == [{"z": "UTC", "t": 2}]


def test_values_do_not_reach_messages(engine: DuckDbEngine) -> None:
    with pytest.raises(EngineError) as caught:
        engine.fetch(
            "SELECT CAST(s AS INTEGER) FROM v", {"v": ViewSource(table=pa.table({"s": ["+56 9 1234"]}))}
        )
    assert "1234" not in str(caught.value)
    with pytest.raises(EngineError) as caught:
        list(
            engine.batches(
                "SELECT CAST(s AS TINYINT) FROM v", {"v": ViewSource(table=pa.table({"s": [56912345]}))}
            )
        )
    assert "56912345" not in str(caught.value)


def test_memory_limit_is_an_error_that_may_be_retried(tmp_path: Path) -> None:
    engine = DuckDbEngine(1, "10MB", tmp_path / "spill", [tmp_path])
    with pytest.raises(EngineError) as caught:
        engine.fetch("SELECT list(i) AS l FROM range(20000000) t(i)", {})
    assert (caught.value.kind, caught.value.is_retryable) == ("memory", True)
    engine.close()


def test_works_after_fork_and_copying(engine: DuckDbEngine) -> None:
    assert engine.fetch("SELECT 1 AS a", {}).num_rows == 1
    clone = copy.copy(engine)  # the protocol that carries it to another process
    assert clone.fetch("SELECT 2 AS a", {}).to_pylist() == [{"a": 2}]
    child = os.fork()
    if child == 0:
        is_right = engine.fetch("SELECT 3 AS a", {}).to_pylist() == [{"a": 3}]
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    clone.close()


def test_closing_after_a_fork_leaves_the_parents_database_alone(engine: DuckDbEngine) -> None:
    engine.fetch("SELECT 1 AS a", {})
    child = os.fork()
    if child == 0:
        engine.close()
        is_right = engine.fetch("SELECT 3 AS a", {}).to_pylist() == [{"a": 3}]
        os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert engine.fetch("SELECT 2 AS a", {}).to_pylist() == [{"a": 2}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM v",
        "WITH w AS (SELECT * FROM v) SELECT * FROM w",
        "FROM v",
        " with w AS (FROM v) FROM w",
    ],
)
def test_views_combine_with_a_statement_of_any_form(engine: DuckDbEngine, sql: str) -> None:
    assert engine.fetch(sql, {"v": ViewSource(table=NUMBERS)}).num_rows == 3


def test_small_tables_keep_their_values_and_types(engine: DuckDbEngine) -> None:
    day, instant = dt.date(2026, 8, 1), dt.datetime.fromisoformat("2026-08-01T01:02:03.000004")
    row = {"i": 2**62, "f": 0.1, "s": "it's", "b": True, "d": day, "t": instant, "n": None}
    types = {
        "i": "int64",
        "f": "double",
        "s": "string",
        "b": "bool",
        "d": "date32",
        "t": "timestamp[us]",
        "n": "int64",
    }
    schema = pa.schema(
        [
            (name, pa.timestamp("us") if name == "t" else pa.type_for_alias(kind))
            for name, kind in types.items()
        ]
    )
    for count in (0, 1, 2, 500):  # literals and registered
        table = pa.Table.from_pylist([row] * count, schema=schema)
        result = engine.fetch("SELECT * FROM v", {"v": ViewSource(table=table)})
        assert result.schema.types == schema.types
        assert result.to_pylist() == [row] * count


def test_non_finite_numbers_pass(engine: DuckDbEngine) -> None:
    table = pa.table({"f": [float("inf"), float("-inf")]})
    assert engine.fetch("SELECT * FROM v", {"v": ViewSource(table=table)})["f"].to_pylist() == [
        float("inf"),
        float("-inf"),
    ]


def test_replaced_file_is_read_anew_even_within_a_second(engine: DuckDbEngine, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    for number in range(10):
        source = parquet(path, pa.table({"a": [number] * 20}))
        assert engine.fetch("SELECT MAX(a) AS m FROM v", {"v": source}).to_pylist() == [{"m": number}]
