"""Which rows of a table a use case is about, and which of their columns are read.

Belongs here: the one projection that corpus and scoring share, so that a model is asked about the same
population it was trained on. Does not belong here: labels and splits (corpus).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from mlops_assets.domain.learning.spec import CorpusSpec
from mlops_assets.domain.table_sql import compile_sql


def population_sql(corpus: CorpusSpec, columns: Sequence[str], view: str, dialect: str = "duckdb") -> str:
    """Return SQL that reads key and `columns` of the rows that pass the corpus filter.

    Args:
        corpus: entity key and filter.
        columns: what to read beside the key.
        view: name under which the table is visible.
        dialect: an Ibis backend name.
    """
    return _compiled(corpus.entity_key, tuple(corpus.filter_equals.items()), tuple(columns), view, dialect)


@lru_cache(maxsize=256)
def _compiled(
    key: str, filters: tuple[tuple[str, str], ...], columns: tuple[str, ...], view: str, dialect: str
) -> str:
    import ibis

    wanted = list(dict.fromkeys((key, *columns)))
    # The values' types do not matter to a projection; the filter compares texts.
    schema = dict.fromkeys(wanted, "int64") | {name: "string" for name, _ in filters}
    table = ibis.table(schema, name=view)
    for name, value in filters:
        table = table.filter(table[name] == value)
    return compile_sql(table.select(*wanted), dialect)
