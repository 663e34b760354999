"""Expressions to SQL, once per process.

Belongs here: compilation and its cache. Does not belong here: running SQL (a `TableEngine` does).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    from mlops_assets.domain.features.table import FeatureTable

_compiled: dict[tuple[str, str, str, str], str] = {}


def compile_table(table: FeatureTable, statement: str, dialect: str) -> str:
    """Return the SQL of one of a table's statements; its text is the same every day.

    Args:
        table: what to build.
        statement: a key of `table.recipe.expressions(table)`.
        dialect: an Ibis backend name (`duckdb`, `bigquery`, `pyspark`).
    """
    key = (table.name, table.version, statement, dialect)
    if key not in _compiled:
        for name, sql in compile_statements(table, dialect).items():
            _compiled[table.name, table.version, name, dialect] = sql
    return _compiled[key]


def compile_statements(table: FeatureTable, dialect: str = "duckdb") -> dict[str, str]:
    """Compile all statements of a table. Raises ibis errors only for expressions that no test has seen."""
    # Engines widen sums (HUGEINT, NUMERIC) behind Ibis's back; a cast to "not null" is never optimised away.
    types = {name: f"!{kind}" for name, kind in table.stored_types().items()}
    return {
        name: compile_sql(expression.cast(types), dialect)
        for name, expression in table.recipe.expressions(table).items()
    }
