"""The comparison of tables sees every kind of difference, and none where order and rounding alone differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.table_equality import compare_lakes, find_difference
from benchmarks.twin_engine import CompiledExpressions, TwinEngine
from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import PartitionId, ViewSource
from resources.duckdb_engine import DuckDbEngine
from resources.lake import LocalLake

ROWS = pa.table({"a": [1, 2, None], "b": [0.1, 3e9, None], "c": [[0.5], [], None], "d": ["x", "y", None]})


def changed(name: str, values: list[object], kind: pa.DataType | None = None) -> pa.Table:
    place = ROWS.column_names.index(name)
    return ROWS.set_column(place, name, pa.array(values, kind or ROWS.schema.field(name).type))


@pytest.mark.parametrize(
    "other",
    [
        ROWS.take([2, 0, 1]),
        changed("b", [0.1 + 1e-12, 3e9 * (1 + 1e-12), None]),
        changed("c", [[0.5 + 1e-13], [], None]),
    ],
)
def test_order_and_rounding_do_not_count(other: pa.Table) -> None:
    assert find_difference("t", ROWS, other) is None


@pytest.mark.parametrize(
    ("other", "what", "rows"),
    [
        (changed("b", [0.1, 3e9 * (1 + 1e-8), None]), "values b", 1),
        (changed("b", [0.1, 3e9, 0.0]), "values b", 1),
        (changed("b", [0.1, float("nan"), None]), "values b", 1),
        (changed("c", [[0.5], [], [1.0]]), "values c", 1),
        (changed("d", ["x", "z", None]), "values d", 1),
        (changed("a", [1, 2, None], pa.int32()), "types a int64 and int32", 3),
        (ROWS.rename_columns(["a", "b", "c", "e"]), "columns d, e", 3),
        (ROWS.slice(0, 2), "rows 3 and 2", 1),
        (ROWS.slice(0, 0), "rows 3 and 0", 3),
    ],
)
def test_what_differs_is_named(other: pa.Table, what: str, rows: int) -> None:
    found = find_difference("t", ROWS, other)
    assert found is not None
    assert (found.what, found.rows) == (what, rows)


def publish(root: Path, tables: Mapping[str, pa.Table]) -> Path:
    for name, rows in tables.items():
        with LocalLake(root).write(PartitionId(name, "cl"), stable_hash(name)) as writer:
            pq.write_table(rows, writer.file("data"))
            writer.commit(row_count=rows.num_rows)
    return root


def test_lakes_are_compared_by_partition(tmp_path: Path) -> None:
    one = publish(tmp_path / "one", {"etl/a": ROWS, "etl/b": ROWS, "model/m": ROWS})
    other = publish(tmp_path / "other", {"etl/a": ROWS.slice(0, 1), "model/m": ROWS.slice(1)})
    found = compare_lakes(one, other, ["model/"])
    assert found.tables == ("etl/a", "etl/b")
    assert [(d.where, d.what, d.rows) for d in found.differences] == [
        ("etl/a/cl/all/data", "rows 3 and 1", 2),
        ("etl/b/cl/all/data", "missing", 3),
    ]
    assert found.differing_rows == 5


class WrongEngine(DuckDbEngine):
    """Adds one to every number that it is asked for, or fails."""

    def fetch(self, sql: str, views: Mapping[str, ViewSource]) -> pa.Table:
        if "fail" in sql:
            raise EngineError("it failed")
        return pa.table({"a": [row["a"] + 1 for row in super().fetch(sql, views).to_pylist()]})

    def batches(
        self, sql: str, views: Mapping[str, ViewSource], rows_per_batch: int = 65_536
    ) -> Iterator[pa.RecordBatch]:
        yield from self.fetch(sql, views).to_batches(rows_per_batch)


def test_a_twin_answers_as_the_first_and_notes_the_second(tmp_path: Path) -> None:
    first, second = (kind(1, "200MB", tmp_path / "spill", [tmp_path]) for kind in (DuckDbEngine, WrongEngine))
    twin = TwinEngine(first, second, CompiledExpressions(), tmp_path, most_runs=2)
    for _ in range(3):
        assert twin.fetch("SELECT CAST(7 AS BIGINT) AS a", {}).to_pylist() == [{"a": 7}]
    assert [(d.what, d.rows) for d in twin.differences] == [("values a", 1)] * 2
    assert [batch.num_rows for batch in twin.batches("SELECT CAST(8 AS BIGINT) AS a", {})] == [1]
    assert twin.write_parquet("SELECT 1 AS a", {}, tmp_path / "o.parquet") == 1
    twin.fetch("SELECT CAST(9 AS BIGINT) AS a, 'fail' AS b", {})
    assert [d.what for d in twin.differences[2:]] == ["values a", "failed: it failed"]
    assert (twin.rows, [path.name for path in tmp_path.glob("*.parquet")]) == (4, ["o.parquet"])
