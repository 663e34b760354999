"""Spark's session of this process: where it runs, what it may use, and what must be the same as elsewhere.

Belongs here: starting Spark, and saying what is missing for it. Does not belong here: statements (spark_engine).
Spark is an extra of this project and wants Java 17 or later; neither is needed for any other engine.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.config.engine_config import FIXED_SPARK_SETTINGS
from mlops_assets.domain.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_USUAL_SETTINGS = {
    "spark.app.name": "mlops-assets",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.catalogImplementation": "in-memory",
}
_LOCAL_SETTINGS = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def missing_for_spark() -> list[str]:
    """Return what has to be installed before Spark can run here, with how; empty if nothing."""
    missing = []
    if find_spec("pyspark") is None:
        missing.append("pyspark (`make spark`)")
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=str(Path(home) / "bin") if home else None) is None:
        missing.append("Java 17 or later (Debian: default-jre-headless; elsewhere set JAVA_HOME)")
    return missing


def require_spark() -> None:
    """Raise ConfigError if something is missing."""
    if missing := missing_for_spark():
        raise ConfigError(
            f"the engine `spark` cannot run on this machine: {', '.join(missing)} is missing",
            where="engine.kind of the environment",
            expected="pyspark and Java",
            remedy=f"install {' and '.join(missing)}, or choose `kind: duckdb`",
        )


def open_session(
    master: str, threads: int, memory_limit: str, temp_directory: Path, settings: Mapping[str, str]
) -> SparkSession:
    """Start Spark, or return the session that this process has.

    Args:
        master: Spark's address of the cluster; empty for this process with `threads` threads.
        threads: of this process, and least partitions of a shuffle.
        memory_limit: of the driver, which is all there is without a cluster, such as `2GB`.
        temp_directory: for what does not fit into memory.
        settings: Spark's, of the environment; they stand above our usual ones, not above the fixed ones.

    Raises:
        ConfigError: pyspark or Java is missing.
        EngineError: Spark did not start.
    """
    require_spark()
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    # It writes statements that failed, with values of rows, to standard error.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    wanted = _USUAL_SETTINGS | (_LOCAL_SETTINGS if not master else {})
    wanted |= {
        "spark.driver.memory": memory_limit.removesuffix("B").lower(),
        "spark.local.dir": str(temp_directory),
        "spark.sql.warehouse.dir": str(temp_directory / "warehouse"),
        "spark.sql.shuffle.partitions": str(max(threads, 1) if not master else 200),
    }
    builder = SparkSession.builder.master(master or f"local[{threads}]")
    for name, value in {**wanted, **settings, **FIXED_SPARK_SETTINGS}.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise EngineError(
            f"Spark did not start: {type(error).__name__}",
            where=master or "this process",
            expected="Java 17 or later and, with a cluster, a master that answers",
            remedy="run `java -version`; look into Spark's lines on standard error",
        ) from error
