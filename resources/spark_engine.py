"""The table engine for tables beyond one machine: Spark, in this process or on a cluster (Dataproc).

Belongs here: the order of reading, running and writing, and what Spark's errors mean. Does not belong here: any
table's SQL, or how Spark is started (spark_session) and reads files (spark_views).

A partition is one file. Spark writes parts beside each other, in parallel; the driver then puts them in one file,
in order, with the row groups and the schema that the other engine gives it. CSV files are parsed by the engine
that is given for them: one parser means one idea of what a row is, where it stands, and what is wrong with it.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.ports import TableEngine, ViewSource
from resources.engine_errors import damaged_file, missing_file, refused_statement, require_within
from resources.process_handle import PerProcessHandle
from resources.spark_session import open_session
from resources.spark_views import register_views

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

_FOLDER_PREFIX = "spark-parts-"
_LEFTOVER_AGE_S = 24 * 3600.0
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_.]+)\]")
_DAMAGED = ("FAILED_READ_FILE", "CANNOT_READ_FILE_FOOTER", "UNABLE_TO_INFER_SCHEMA")
_MISSING = ("PATH_NOT_FOUND", "FAILED_READ_FILE.FILE_NOT_EXIST")


class SparkEngine(PerProcessHandle["SparkSession"]):
    """Implements `ports.TableEngine` with one lazily opened session per process.

    Args:
        master: Spark's address of the cluster; empty for this process. All machines of a cluster must see the
            folders below under the same names.
        threads: of this process, if there is no cluster.
        memory_limit: of the driver, such as `2GB`.
        temp_directory: for parts of results and what does not fit into memory; created when needed.
        allowed_directories: the only folders that views and targets may lie in.
        csv_engine: reads CSV files into Parquet files below `temp_directory`.
        settings: Spark's, by name.
    """

    dialect = "pyspark"

    def __init__(
        self,
        master: str,
        threads: int,
        memory_limit: str,
        temp_directory: Path,
        allowed_directories: Sequence[Path],
        *,
        csv_engine: TableEngine,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.master, self.threads, self.memory_limit = master, threads, memory_limit
        self.temp_directory, self.allowed_directories = Path(temp_directory), tuple(allowed_directories)
        self.csv_engine, self.settings = csv_engine, dict(settings or {})

    def write_parquet(
        self, sql: str, views: Mapping[str, ViewSource], target: Path, *, row_group_rows: int = 122_880
    ) -> int:
        """Run `sql` over the named views, write one Parquet file, return its rows.

        Raises:
            EngineError: a source cannot be read, the target not written, or the statement is wrong.
        """
        require_within([Path(target)], self._folders())
        with self._parts(sql, views) as parts:
            return _gather(parts, Path(target), row_group_rows)

    def fetch(self, sql: str, views: Mapping[str, ViewSource]) -> pa.Table:
        """Run `sql` and return the (small) result. Raises EngineError as `write_parquet` does."""
        with self._folder() as folder, self._frame(sql, views, folder) as frame:
            found: pa.Table = frame.toArrow()
            return found

    def batches(
        self, sql: str, views: Mapping[str, ViewSource], rows_per_batch: int = 65_536
    ) -> Iterator[pa.RecordBatch]:
        """Run `sql` and stream the result from parts on disk. Raises EngineError as `write_parquet` does."""
        import pyarrow.parquet as pq

        with self._parts(sql, views) as parts:
            schema = _schema(parts)
            for part in parts:
                for batch in pq.ParquetFile(part).iter_batches(rows_per_batch):
                    yield batch.cast(schema)

    @contextmanager
    def _parts(self, sql: str, views: Mapping[str, ViewSource]) -> Iterator[list[Path]]:
        """Yield the result as Parquet files in the order of its rows; they end with the block."""
        with self._folder() as folder:
            written = folder / "parts"
            with self._frame(sql, views, folder) as frame:
                frame.write.parquet(f"file:{written}")
            yield sorted(written.glob("part-*.parquet"))

    @contextmanager
    def _frame(self, sql: str, views: Mapping[str, ViewSource], folder: Path) -> Iterator[DataFrame]:
        """Yield the statement's result, not yet computed; its views are known to it alone."""
        require_within((Path(file) for view in views.values() for file in view.files), self._folders())
        session = self._opened().newSession()
        from py4j.protocol import Py4JJavaError
        from pyspark.errors import PySparkException

        try:
            register_views(session, {name: self._staged(view, folder) for name, view in views.items()})
            yield session.sql(sql)
        except (PySparkException, Py4JJavaError) as error:
            # Not "from error": Dagster stores causes, and Spark's messages hold values of rows.
            raise _explained(str(error), views) from None

    def _folders(self) -> tuple[Path, ...]:
        return (*self.allowed_directories, self.temp_directory)

    def _staged(self, source: ViewSource, folder: Path) -> ViewSource:
        """Return a view of Parquet files: CSV files are parsed first, strictly, with all that the view adds."""
        if source.format == "parquet" or source.table is not None:
            return replace(source, files=[_link(Path(file).resolve(), folder) for file in source.files])
        staged = folder / f"{secrets.token_hex(8)}.parquet"
        self.csv_engine.write_parquet("SELECT * FROM delivered", {"delivered": source}, staged)
        return ViewSource(files=[staged])

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = self.temp_directory.resolve() / f"{_FOLDER_PREFIX}{secrets.token_hex(8)}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _open(self) -> SparkSession:
        self._sweep()
        return open_session(
            self.master, self.threads, self.memory_limit, self.temp_directory.resolve(), self.settings
        )

    def _close(self, handle: SparkSession) -> None:
        handle.stop()

    def _require_reopening(self) -> None:
        raise EngineError(
            "Spark was started before this process was forked off",
            expected="an engine that is first used in the process that uses it",
            remedy="run steps in one process (`executor: {kind: in_process}`)",
        )

    def _sweep(self) -> None:
        """Delete the parts that killed processes left."""
        oldest_kept_s = time.time() - _LEFTOVER_AGE_S
        for folder in self.temp_directory.glob(f"{_FOLDER_PREFIX}*"):
            if folder.stat().st_mtime < oldest_kept_s:
                shutil.rmtree(folder, ignore_errors=True)


def _link(file: Path, folder: Path) -> Path:
    """Return a link under a plain name: Spark takes `*[]{}` for patterns and passes over hidden files."""
    link = folder / f"{secrets.token_hex(8)}.parquet"
    link.symlink_to(file)
    return link


def _schema(parts: Sequence[Path]) -> pa.Schema:
    """Return the schema of the parts, with columns that may be null, as in the files of any engine here."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.schema([field.with_nullable(True) for field in pq.read_schema(parts[0])])


def _gather(parts: Sequence[Path], target: Path, row_group_rows: int) -> int:
    """Write the rows of the parts to one file, a row group at a time, and return how many they are."""
    import pyarrow.parquet as pq

    schema, rows = _schema(parts), 0
    try:
        with pq.ParquetWriter(target, schema, compression="snappy", version="2.6") as writer:
            for part in parts:
                for batch in pq.ParquetFile(part).iter_batches(row_group_rows):
                    writer.write_batch(batch.cast(schema), row_group_rows)
                    rows += batch.num_rows
    except FileNotFoundError as error:
        raise missing_file(str(target.parent)) from error
    except OSError as error:
        raise EngineError(
            f"a file cannot be written: {error.strerror or type(error).__name__}",
            kind="disk",
            where=str(target),
            remedy="check the disk's space and permissions",
        ) from error
    return rows


def _explained(text: str, views: Mapping[str, ViewSource]) -> EngineError:
    """Say what an error of Spark means; values of rows are left out, they may identify subscribers."""
    named = _CONDITION.search(text)
    condition = named.group(1) if named else ""
    if condition.startswith(_MISSING):
        return missing_file(
            ", ".join(str(f) for v in views.values() for f in v.files if not Path(f).exists())
        )
    if condition.startswith(_DAMAGED) or "is not a Parquet file" in text:
        return damaged_file("", views)
    if "OutOfMemoryError" in text:
        return refused_statement(condition, "memory", "raise `memory_limit` in the environment file")
    if "No space left on device" in text:
        return refused_statement(condition, "disk", "check the disk's space and permissions")
    return refused_statement(text[named.start() :] if named else text)
