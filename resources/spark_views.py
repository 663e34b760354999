"""Named views as Spark's data frames.

Belongs here: reading files and small tables with the columns that a ViewSource asks for. Does not belong here:
the session (spark_session) or statements (spark_engine).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import EngineError
from mlops_assets.domain.ports import ViewSource

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def register_views(session: SparkSession, views: Mapping[str, ViewSource]) -> None:
    """Make the views known to the statements of a session. Files are Parquet, under plain names that differ.

    Raises:
        EngineError: a view has no source, or not a day for each file.
    """
    for name, source in views.items():
        _frame(session, name, source).createOrReplaceTempView(f"`{name.replace('`', '``')}`")


def _frame(session: SparkSession, name: str, source: ViewSource) -> DataFrame:
    if source.table is not None:
        return session.createDataFrame(source.table)
    if not source.files:
        raise EngineError(f"view {name!r} has no source", expected="files or a table in its ViewSource")
    if source.file_days and len(source.file_days) != len(source.files):
        raise EngineError(
            f"files and file_days of view {name!r} differ in length", expected="one day for each file"
        )
    return _parquet(session, source)


def _parquet(session: SparkSession, source: ViewSource) -> DataFrame:
    from pyspark.sql import functions as spark

    # An older file may lack a column, as where files of several days are read at once.
    reader = session.read.option("mergeSchema", str(bool(source.file_days)).lower())
    frame = reader.parquet(*(f"file:{file}" for file in source.files))
    columns = [spark.col("*")]
    if source.row_number_column:
        row = spark.col("_metadata.row_index") + spark.lit(1)
        columns.append(row.alias(source.row_number_column))
    if source.file_days:
        columns.append(_file_day(source).alias("file_day"))
    return frame.select(*columns) if len(columns) > 1 else frame


def _file_day(source: ViewSource) -> Column:
    """Return the day of the file that a row is from, found by the file's name."""
    from pyspark.sql import functions as spark

    days = {file.name: day for file, day in zip(source.files, source.file_days, strict=True)}
    known = spark.create_map(*(spark.lit(part) for pair in days.items() for part in pair))
    day = spark.try_element_at(known, spark.col("_metadata.file_name"))
    unknown = spark.raise_error(spark.lit("a row is of a file that the view does not name"))
    return spark.coalesce(day, unknown.cast("date"))
