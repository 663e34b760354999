"""House rules of feature tables: documentation, order, portability, versions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.compile import compile_statements
from mlops_assets.domain.features.table import ENGINE_TYPES, FeatureTable
from mlops_assets.domain.feeds.units import UNITS
from mlops_assets.domain.hashing import stable_hash
from tests.unit.domain.features.record_versions import versioned_tables

TABLES = list(FEATURE_TABLES.values())
COMPILED = Path(__file__).with_name("compiled_versions.json")


def table_names(table: FeatureTable) -> str:
    return table.name


@pytest.mark.parametrize("table", TABLES, ids=table_names)
def test_table_is_documented(table: FeatureTable) -> None:
    assert table.owner.startswith("team:")
    assert "one row" in table.description
    assert (
        "without it" in table.description
        or "without them" in table.description
        or "day without" in table.description
    )
    assert [name for name, column in table.columns.items() if column.role == "key"] == list(table.keys)
    for name, column in table.columns.items():
        assert column.description, name
        assert column.unit is None or column.unit in UNITS, name


@pytest.mark.parametrize("table", TABLES, ids=table_names)
def test_expressions_have_the_documented_columns_and_types(table: FeatureTable) -> None:
    for expression in table.recipe.expressions(table).values():
        assert expression.columns == tuple(table.columns)
        for name, column in table.columns.items():
            kind = ENGINE_TYPES[column.type]
            found = str(expression[name].type()).removeprefix("!")
            assert found == kind or (kind == "int64" and found.startswith("int")), name


def test_inputs_come_first() -> None:
    seen: set[str] = set()
    for table in TABLES:
        for source in table.inputs:
            assert source.is_own_state or source.table.startswith("feeds/") or source.table in seen, (
                table.name
            )
        seen.add(table.name)


def test_inputs_exist_with_their_types() -> None:
    for table in TABLES:
        for source in table.inputs:
            if source.table in FEATURE_TABLES:
                types = FEATURE_TABLES[source.table].column_types
                assert {name: types[name] for name in source.columns} == dict(source.columns)


def test_feed_columns_are_in_the_contracts() -> None:
    yaml = pytest.importorskip("yaml")
    folder = Path(__file__).parents[4] / "configs" / "feeds"
    for table in TABLES:
        for source in table.inputs:
            if source.table.startswith("feeds/"):
                contract = yaml.safe_load((folder / f"{source.view}.yaml").read_text())
                types = {column["name"]: column["type"] for column in contract["columns"]}
                if contract.get("grain"):  # merged feeds count what they merged
                    types["record_count"] = "integer"
                assert {name: types.get(name) for name in source.columns} == dict(source.columns)


def test_required_features_are_there() -> None:
    wanted = {
        "avg_phone_calls", "avg_topup_amt", "avg_freq", "top3_app_usage_ratio", "data_local_mb", "sms_onnet",
        "phone_calls_month1", "balance_main_acc", "last_activity_days", "activity_days", "days_since_plan",
        "n_boosters", "n_plans_month1",
    }  # fmt: skip
    columns = FEATURE_TABLES["etl/subscriber_features"].columns
    assert wanted <= {name for name, column in columns.items() if column.role == "feature"}


@pytest.mark.parametrize("dialect", ["bigquery", "pyspark"])
def test_tables_compile_for_other_engines(dialect: str) -> None:
    for table in TABLES:
        for sql in compile_statements(table, dialect).values():
            assert sql.startswith(("SELECT", "WITH"))


def test_expressions_changed_only_with_their_version() -> None:
    """Whoever changes an expression raises the table's `version`; the published partitions depend on it."""
    found = {
        table.name: [table.version, stable_hash(compile_statements(table))]
        for table in versioned_tables().values()
    }
    recorded = json.loads(COMPILED.read_text())
    changed = [name for name, entry in found.items() if recorded.get(name) != entry]
    assert not changed, (
        f"SQL or version of {changed} changed: raise `version`, then record it with "
        f"`python -m tests.unit.domain.features.record_versions`"
    )
    assert set(recorded) == set(found)


def test_catalogue_loads_no_heavy_library() -> None:
    code = (
        "import sys; import mlops_assets.domain.features.catalogue; "
        "print([m for m in ('ibis', 'pyarrow', 'pandas', 'duckdb', 'dagster') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
