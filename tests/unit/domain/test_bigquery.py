"""Every statement that configuration decides compiles for BigQuery, to functions that BigQuery has."""

from __future__ import annotations

import re

import pytest

from mlops_assets.config.loader import load_project
from tests.unit.domain.graph_statements import graph_statements

# From BigQuery's reference. What is compiled to anything else is refused until somebody has looked it up there.
FUNCTIONS = {
    "ABS", "ANY_VALUE", "AVG", "CAST", "CEIL", "COALESCE", "CONCAT", "COUNT", "COUNTIF", "DATE",
    "DATETIME", "DATETIME_ADD", "DATETIME_DIFF", "DATETIME_SUB", "DATE_ADD", "DATE_DIFF",
    "DATE_SUB", "EXP", "EXTRACT", "FLOOR", "GREATEST", "IF", "IEEE_DIVIDE", "IFNULL", "INSTR",
    "IS_NAN", "LAG", "LEAST", "LENGTH",
    "LN", "LOGICAL_AND", "LOGICAL_OR", "LOWER", "LPAD", "MAX", "MD5", "MIN", "MOD", "NULLIF", "POW",
    "POWER", "REGEXP_EXTRACT", "ROUND", "ROW_NUMBER", "SAFE_CAST", "SIGN", "SQRT", "STDDEV_SAMP",
    "STRPOS", "SUBSTR", "SUBSTRING", "SUM", "TIMESTAMP_ADD", "TIMESTAMP_SUB",
    "TO_HEX", "TRIM", "TRUNC", "UNIX_DATE", "UPPER",
    "VAR_SAMP",
}  # fmt: skip
_NOT_FUNCTIONS = {
    "ALL", "AND", "AS", "BETWEEN", "BY", "CASE", "DISTINCT", "ELSE", "EXCEPT", "EXISTS", "FROM",
    "HAVING", "IN", "INTERVAL", "JOIN", "NOT", "ON", "OR", "OVER", "SELECT", "STRUCT", "THEN",
    "UNNEST", "USING", "VALUES", "WHEN", "WHERE", "WITH",
}  # fmt: skip
_CALL = re.compile(r"\b([A-Za-z_][A-Za-z0-9_]*)\s*\(")
_TEXT = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`")
_UNPORTABLE = ("ASOF", "QUALIFY", "RANGE BETWEEN INTERVAL", "TIMESTAMP WITH")


@pytest.fixture(scope="module")
def statements() -> dict[str, str]:
    return dict(graph_statements(load_project(), "bigquery"))


def test_statements_use_what_bigquery_has(statements: dict[str, str]) -> None:
    from sqlglot import parse_one

    unknown: dict[str, set[str]] = {}
    for name, sql in statements.items():
        assert parse_one(sql, read="bigquery") is not None, name
        bare = _TEXT.sub("''", sql)
        assert not any(word in bare for word in _UNPORTABLE), name
        for function in {call.upper() for call in _CALL.findall(bare)} - FUNCTIONS - _NOT_FUNCTIONS:
            unknown.setdefault(function, set()).add(name)
    assert not unknown


def test_rows_are_numbered_in_an_order_only(statements: dict[str, str]) -> None:
    """Without one, an engine that reads a part of the statement twice may number its rows differently."""
    from sqlglot import expressions, parse_one

    numbering = {
        name: parse_one(sql, read="bigquery") for name, sql in statements.items() if "ROW_NUMBER" in sql
    }
    assert len(numbering) > 5
    unordered = {
        name
        for name, tree in numbering.items()
        for window in tree.find_all(expressions.Window)
        if isinstance(window.this, expressions.RowNumber) and not window.args.get("order")
    }
    assert not unordered


def test_all_parts_of_the_graph_are_among_them(statements: dict[str, str]) -> None:
    kinds = {name.split()[0].split("/")[0] for name in statements}
    assert {"etl", "quality", "feeds", "corpus", "removed", "labels", "profile", "panel", "eligible"} <= kinds
    assert len(statements) > 120
