"""Which engine computes the tables of an environment, and with what.

Belongs here: the fields of `engine:` and what cannot be combined. Does not belong here: the engines (resources).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record

SparkSetting = Annotated[str, Field(pattern=r"^spark\.[A-Za-z][A-Za-z0-9._-]{0,120}$")]
# What tables depend on: UTC, timestamps without zone as in DuckDB's files, errors where a number overflows, files
# read through views alone, and columns whose names differ by case only.
FIXED_SPARK_SETTINGS: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.runSQLOnFiles": "false",
    "spark.sql.caseSensitive": "true",
}


class EngineConfig(Record):
    """The table engine and the memory of one process; its threads are those of the step (`executor`).

    Attributes:
        kind: `duckdb` in this process, or `spark` (an extra, see docs/engines.md).
        memory_limit: of the engine in this process; of the driver, if Spark runs on a cluster.
        master: Spark's cluster, such as `yarn` or `spark://host:7077`; empty for this process. All machines of a
            cluster must see MLOPS_HOME under the same path.
        spark_settings: Spark's own settings by name, such as `spark.executor.memory`.
    """

    kind: Literal["duckdb", "spark"] = "duckdb"
    memory_limit: str = Field("2GB", pattern=r"^[1-9][0-9]*(MB|GB)$")
    master: str = Field("", pattern=r"^(yarn|(spark|k8s)://[A-Za-z0-9.:/,_-]{1,200})?$")
    spark_settings: dict[SparkSetting, str] = {}

    @model_validator(mode="after")
    def _fits_its_kind(self) -> EngineConfig:
        if self.kind != "spark" and (self.master or self.spark_settings):
            raise ValueError("`master` and `spark_settings` are for `kind: spark`")
        if fixed := sorted(FIXED_SPARK_SETTINGS.keys() & self.spark_settings.keys()):
            raise ValueError(f"tables depend on {', '.join(fixed)}: leave it out of `spark_settings`")
        return self
