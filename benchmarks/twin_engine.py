"""Every statement that the graph runs, run on a second engine as well, over the same files, and compared.

Belongs here: an engine that answers as the first one does and remembers what the second one said otherwise; the
expressions that were compiled meanwhile. Does not belong here: what is run with it.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.table_equality import Difference, find_difference
from mlops_assets.domain import table_sql
from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.ports import TableEngine, ViewSource

if TYPE_CHECKING:
    import pyarrow as pa

_LOOKS_AT_SOME = " LIMIT "  # written by hand for people or for a sample: any rows will do


@dataclass
class CompiledExpressions:
    """Expressions by the SQL that they were compiled to for the first engine, and the functions that did so."""

    by_sql: dict[str, Any] = field(default_factory=dict)
    compiled_in: set[str] = field(default_factory=set)


@contextmanager
def remember_expressions() -> Iterator[CompiledExpressions]:
    """Remember what is compiled within the block; statements that caches keep from before it are not seen."""
    found, original = CompiledExpressions(), table_sql.compile_sql

    def compile_and_remember(expression: Any, dialect: str) -> str:
        sql = original(expression, dialect)
        caller = sys._getframe(1)  # noqa: SLF001 - the documented way to know who calls
        found.by_sql[sql] = expression
        found.compiled_in.add(f"{caller.f_globals['__name__']}.{caller.f_code.co_name}")
        return sql

    _replace_compiler(original, compile_and_remember)
    try:
        yield found
    finally:
        _replace_compiler(compile_and_remember, original)


def _replace_compiler(old: Any, new: Any) -> None:
    for module in list(sys.modules.values()):
        if getattr(module, "compile_sql", None) is old:
            module.compile_sql = new  # type: ignore[attr-defined]


class TwinEngine:
    """Implements `ports.TableEngine`: what `first` answers counts, `second` is asked beside it.

    Args:
        first: whose results are returned, and for whose dialect statements are compiled.
        second: whose results are compared with them.
        compiled: expressions by the SQL for `first`.
        folder: for files of `second`; within its folders.
        most_runs: how often one statement is compared; later runs of it are left to `first`.

    `first_s` and `second_s` add up what the compared files and small results took each engine, seconds.
    """

    def __init__(
        self,
        first: TableEngine,
        second: TableEngine,
        compiled: CompiledExpressions,
        folder: Path,
        *,
        most_runs: int,
    ) -> None:
        self.first, self.second, self.compiled, self.folder = first, second, compiled, folder
        self.most_runs = most_runs
        self.runs: Counter[str] = Counter()
        self.rows, self.differences = 0, list[Difference]()
        self.first_s, self.second_s = 0.0, 0.0

    @property
    def dialect(self) -> str:
        """Return the dialect of the first engine."""
        return self.first.dialect

    def write_parquet(
        self, sql: str, views: Mapping[str, ViewSource], target: Path, *, row_group_rows: int = 122_880
    ) -> int:
        """Write the first engine's file; the second one's is compared and deleted."""
        import pyarrow.parquet as pq

        start = time.perf_counter()
        rows = self.first.write_parquet(sql, views, target, row_group_rows=row_group_rows)
        if self._is_due(sql):
            self.first_s += time.perf_counter() - start
            other = self.folder / f"{secrets.token_hex(8)}.parquet"
            with self._noting_failure(sql):
                statement, start = self._for_second(sql), time.perf_counter()
                self.second.write_parquet(statement, views, other, row_group_rows=row_group_rows)
                self.second_s += time.perf_counter() - start
                self._compare(sql, pq.read_table(target), pq.read_table(other))
            other.unlink(missing_ok=True)
        return rows

    def fetch(self, sql: str, views: Mapping[str, ViewSource]) -> pa.Table:
        """Return the first engine's result."""
        start = time.perf_counter()
        found = self.first.fetch(sql, views)
        if self._is_due(sql):
            self.first_s += time.perf_counter() - start
            with self._noting_failure(sql):
                statement, start = self._for_second(sql), time.perf_counter()
                other = self.second.fetch(statement, views)
                self.second_s += time.perf_counter() - start
                self._compare(sql, found, other)
        return found

    def batches(
        self, sql: str, views: Mapping[str, ViewSource], rows_per_batch: int = 65_536
    ) -> Iterator[pa.RecordBatch]:
        """Return the first engine's batches."""
        import pyarrow as pa

        if self._is_due(sql):
            with self._noting_failure(sql):
                ours = list(self.first.batches(sql, views, rows_per_batch))
                theirs = list(self.second.batches(self._for_second(sql), views, rows_per_batch))
                self._compare(sql, pa.Table.from_batches(ours), pa.Table.from_batches(theirs))
        yield from self.first.batches(sql, views, rows_per_batch)

    def _for_second(self, sql: str) -> str:
        """Return the statement in the second dialect; what no expression stands for is SQL of every engine."""
        expression = self.compiled.by_sql.get(sql)
        return sql if expression is None else table_sql.compile_sql(expression, self.second.dialect)

    def _is_due(self, sql: str) -> bool:
        if sql not in self.compiled.by_sql and _LOOKS_AT_SOME in sql:
            return False
        self.runs[sql] += 1
        return self.runs[sql] <= self.most_runs

    def _compare(self, sql: str, ours: pa.Table, theirs: pa.Table) -> None:
        self.rows += ours.num_rows
        if found := find_difference(sql, ours, theirs):
            self.differences.append(found)

    @contextmanager
    def _noting_failure(self, sql: str) -> Iterator[None]:
        try:
            yield
        except EngineError as error:
            self.differences.append(Difference(sql, f"failed: {error}", 1))
