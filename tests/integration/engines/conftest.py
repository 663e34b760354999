"""Fixtures: Spark in this process, where pyspark and Java are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_assets.domain.ports import TableEngine
from resources.duckdb_engine import DuckDbEngine
from resources.spark_engine import SparkEngine
from resources.spark_session import missing_for_spark

EngineMaker = Callable[[Path], TableEngine]
# Small statements are interpreted: to generate and compile Java for each takes longer than to run it.
_INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}


def make_duckdb(root: Path) -> DuckDbEngine:
    """Return an engine that may use a folder."""
    return DuckDbEngine(1, "500MB", root / "spill", [root])


def make_spark(root: Path) -> SparkEngine:
    """Return Spark with one thread that may use a folder; the session is one for all tests of a process."""
    csv_engine = make_duckdb(root)
    return SparkEngine("", 1, "1GB", root / "spill", [root], csv_engine=csv_engine, settings=_INTERPRETED)


@pytest.fixture(scope="session")
def spark() -> Iterator[EngineMaker]:
    """Skip where Spark cannot run; end it after the last test."""
    if missing := missing_for_spark():
        pytest.skip(f"not installed: {', '.join(missing)}")
    yield make_spark
    from pyspark.sql import SparkSession

    if session := SparkSession.getActiveSession():
        session.stop()
