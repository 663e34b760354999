"""From a table expression to the SQL text that an engine runs.

Belongs here: compilation only. Does not belong here: any expression, or the engine (ports.TableEngine).
"""

from __future__ import annotations

from typing import Any


def compile_sql(expression: Any, dialect: str) -> str:
    """Return the SQL of an Ibis table expression over unbound tables.

    Half the time of `ibis.to_sql`, which formats for people. The text depends on the expression alone, so
    that callers can keep it.

    Args:
        expression: what to compile.
        dialect: an Ibis backend name (`duckdb`, `bigquery`, `pyspark`).
    """
    from ibis.backends.sql import compilers

    if dialect == "pyspark":
        _give_spark_options()
    elif dialect == "bigquery":
        expression = _with_bigquery_digests(expression)
    compiler = getattr(compilers, dialect).compiler
    tree = compiler.to_sqlglot(expression)
    if dialect == "bigquery":
        tree = tree.transform(_as_bigquery_timestamp, copy=False)
    return str(tree.sql(dialect=compiler.dialect, copy=False))


def _give_spark_options() -> None:
    """Set what Ibis' compiler asks for and only its Spark backend brings: NaN is a value, as everywhere here."""
    import ibis
    from ibis.config import Config

    if ibis.options.pyspark is None:

        class SparkOptions(Config):  # type: ignore[misc]
            treat_nan_as_null: bool = False

        ibis.options.pyspark = SparkOptions()


def _as_bigquery_timestamp(node: Any) -> Any:
    """Name UTC moments TIMESTAMP: Ibis takes those without a zone for DATETIME, but adds to them as TIMESTAMP."""
    from sqlglot import expressions as sql

    if isinstance(node, sql.DataType) and node.this == sql.DataType.Type.DATETIME:
        return sql.DataType.build("timestamptz")
    return node


def _with_bigquery_digests(expression: Any) -> Any:
    """Return the expression with digests as TO_HEX(MD5(text)), for which Ibis has no rule."""
    import ibis
    from ibis.common.patterns import replace
    from ibis.expr.rewrites import p

    def md5(text: str) -> bytes:
        raise NotImplementedError  # the engine's own function; Ibis reads only this signature

    def to_hex(digest: bytes) -> str:
        raise NotImplementedError  # as above

    # Annotations are texts in this module, and Ibis wants types.
    md5.__annotations__ = {"text": str, "return": bytes}
    to_hex.__annotations__ = {"digest": bytes, "return": str}
    digest, as_text = ibis.udf.scalar.builtin(md5), ibis.udf.scalar.builtin(to_hex)

    def rewrite(_: Any) -> Any:
        return as_text(digest(_.arg.to_expr())).op()

    return expression.op().replace(replace(p.HexDigest(how="md5"))(rewrite)).to_expr()
