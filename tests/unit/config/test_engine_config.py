"""An environment names its engine; what cannot work is refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.config.engine_config import FIXED_SPARK_SETTINGS
from mlops_assets.config.models import Environment
from mlops_assets.domain.errors import ConfigError
from resources import spark_session
from resources.duckdb_engine import DuckDbEngine
from resources.environments import check_engine, open_platform
from resources.spark_engine import SparkEngine

CALENDAR = {"first_day": "2026-08-03"}
ONE_PROCESS = {"kind": "in_process", "cores": 2}


def environment(engine: dict[str, Any], **more: Any) -> Environment:
    return Environment.model_validate(
        {"name": "test", "calendar": CALENDAR, "engine": engine, "executor": ONE_PROCESS} | more
    )


def test_the_environment_chooses_the_engine(tmp_path: Any) -> None:
    ours = open_platform(environment({"kind": "duckdb"}), tmp_path).engine
    spark = open_platform(
        environment({"kind": "spark", "master": "yarn", "spark_settings": {"spark.executor.memory": "4g"}}),
        tmp_path,
    ).engine
    assert isinstance(ours, DuckDbEngine)
    assert isinstance(spark, SparkEngine)
    assert (ours.dialect, spark.dialect, spark.master) == ("duckdb", "pyspark", "yarn")
    assert spark.settings == {"spark.executor.memory": "4g"}


@pytest.mark.parametrize(
    ("engine", "more", "why"),
    [
        ({"kind": "spark"}, {"executor": {"kind": "multiprocess"}}, "in_process"),
        (
            {"kind": "spark", "master": "yarn"},
            {"storage": {"kind": "gcs", "bucket": "b-1"}},
            "cluster",
        ),
        ({"kind": "duckdb", "master": "yarn"}, {}, "for `kind: spark`"),
        ({"kind": "duckdb", "spark_settings": {"spark.a": "1"}}, {}, "for `kind: spark`"),
        ({"kind": "spark", "spark_settings": {"spark.sql.ansi.enabled": "false"}}, {}, "tables depend on"),
        ({"kind": "spark", "spark_settings": {"PYTHONPATH": "x"}}, {}, "pattern"),
        ({"kind": "spark", "master": "local[2]; rm"}, {}, "pattern"),
    ],
)
def test_what_cannot_work_is_refused(engine: dict[str, Any], more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        environment(engine, **more)


def test_every_fixed_setting_is_a_setting_of_spark() -> None:
    assert all(name.startswith("spark.") for name in FIXED_SPARK_SETTINGS)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(spark_session, "find_spec", lambda _: None)
    check_engine(environment({"kind": "duckdb"}))
    with pytest.raises(ConfigError) as caught:
        check_engine(environment({"kind": "spark"}))
    assert "pyspark (`make spark`)" in str(caught.value)
    assert "Java 17" in caught.value.remedy
