"""Corpus and scoring are about the same rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.corpus_expression import CorpusShape, compile_corpus
from mlops_assets.domain.learning.population import population_sql
from mlops_assets.domain.learning.spec import CorpusSpec, ModelSpec
from mlops_assets.domain.ports import ViewSource
from resources.duckdb_engine import DuckDbEngine

CORPUS = CorpusSpec.model_validate(
    {
        "table": "feeds/telco",
        "entity_key": "customer_id",
        "filter_equals": {"is_active": "true", "plan": "7"},
        "split": {"kind": "hash"},
    }
)
MODEL = ModelSpec.model_validate(
    {
        "task": "binary",
        "label": {"kind": "column", "column": "churn", "positive": "Yes"},
        "features": ["tenure"],
        "algorithms": {"dummy": {}},
        "metric": "roc_auc",
    }
)
STORED = pa.table(
    {
        "customer_id": pa.array(["a", "b", None, "d", "e"]),
        "is_active": pa.array([True, False, True, True, None]),
        "plan": pa.array([7, 7, 7, 8, 7], pa.int64()),
        "tenure": pa.array([1, 2, 3, 4, 5], pa.int64()),
        "churn": pa.array(["Yes", "No", "Yes", "No", "No"]),
    }
)


def test_scoring_asks_about_the_rows_that_training_learned_from(tmp_path: Path) -> None:
    engine = DuckDbEngine(1, "200MB", tmp_path / "spill", [tmp_path])
    shape = CorpusShape(CORPUS, MODEL, ("tenure",), STORED.schema, None)
    parts = pa.table({"part_key": list("abcde"), "split": ["train"] * 5})
    views = {"population": ViewSource(table=STORED), "parts": ViewSource(table=parts)}
    trained = engine.fetch(compile_corpus(shape, "duckdb"), views)["customer_id"].to_pylist()
    scored = engine.fetch(
        population_sql(CORPUS, ["tenure"], "population", STORED.schema, "duckdb"), views
    ).to_pylist()
    assert trained == ["a"]
    assert scored == [{"customer_id": "a", "tenure": 1}]
    engine.close()


def test_table_without_a_feature_is_refused() -> None:
    with pytest.raises(LearningError, match=r"no column tenure; where: feeds/telco; .*remedy"):
        population_sql(CORPUS, ["tenure"], "population", STORED.drop_columns(["tenure"]).schema, "duckdb")
