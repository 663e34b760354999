"""Google's own SQL analyser accepts every statement that configuration decides: names, types and functions."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.twin_engine import remember_expressions
from mlops_assets.config.loader import load_project
from tests.unit.domain.graph_statements import graph_statements

pytestmark = pytest.mark.slow  # the analyser is WebAssembly, compiled anew in each process: 30 CPU seconds
KINDS = {
    "int": "INT64",
    "float": "DOUBLE",
    "string": "STRING",
    "boolean": "BOOL",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}


def test_statements_are_valid_googlesql() -> None:
    pytest.importorskip("zetasql", reason="zetasql is not installed (PyPI)")
    with remember_expressions() as compiled:
        statements = dict(graph_statements(load_project(), "bigquery"))
    refused = {name: analyse(sql, compiled.by_sql[sql]) for name, sql in statements.items()}
    assert {name: why for name, why in refused.items() if why} == {}
    summing = next(sql for sql in statements.values() if "SUM(" in sql)
    assert "MEDIAN" in analyse(summing.replace("SUM(", "MEDIAN("), compiled.by_sql[summing])


def analyse(sql: str, expression: Any) -> str:
    """Return what is wrong with a statement over the tables of its expression; empty if nothing."""
    from ibis.expr.operations import UnboundTable
    from zetasql.api import Analyzer, CatalogBuilder, TableBuilder, TypeFactory
    from zetasql.core.exceptions import ZetaSQLError
    from zetasql.types import (
        AnalyzerOptions,
        LanguageOptions,
        ProductMode,
        ZetaSQLBuiltinFunctionOptions,
    )

    language = LanguageOptions.maximum_features()
    language.product_mode = ProductMode.PRODUCT_EXTERNAL
    catalogue = CatalogBuilder("operator")
    for table in {found.name: found for found in expression.op().find(UnboundTable)}.values():
        built = TableBuilder(table.name)
        for name, kind in table.schema.items():
            if kind.is_array():
                of = TypeFactory.create_simple_type(_kind_of(kind.value_type))
                built = built.add_column(name, TypeFactory.create_array_type(of))
            else:
                built = built.add_column(name, _kind_of(kind))
        catalogue = catalogue.add_table(built.build())
    functions = ZetaSQLBuiltinFunctionOptions(language_options=language)
    analyser = Analyzer(
        AnalyzerOptions(language_options=language), catalogue.with_builtin_functions(functions).build()
    )
    try:
        analyser.analyze_statement(sql)
    except ZetaSQLError as error:
        return str(error).splitlines()[0]
    return ""


def _kind_of(kind: Any) -> Any:
    from zetasql.types import TypeKind

    word = next(ours for ours in KINDS if str(kind).lstrip("!").startswith(ours))
    return getattr(TypeKind, f"TYPE_{KINDS[word]}")
