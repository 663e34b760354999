"""From a table expression to the SQL text that an engine runs.

Belongs here: compilation only. Does not belong here: any expression, or the engine (ports.TableEngine).
"""

from __future__ import annotations

from typing import Any


def compile_sql(expression: Any, dialect: str = "duckdb") -> str:
    """Return the SQL of an Ibis table expression over unbound tables.

    Half the time of `ibis.to_sql`, which formats for people. The text depends on the expression alone, so
    that callers can keep it.

    Args:
        expression: what to compile.
        dialect: an Ibis backend name (`duckdb`, `bigquery`, `pyspark`).
    """
    from ibis.backends.sql import compilers

    compiler = getattr(compilers, dialect).compiler
    return str(compiler.to_sqlglot(expression).sql(dialect=compiler.dialect, copy=False))
