"""Which rows of a table a use case is about, and which of their columns are read.

Belongs here: the one expression that corpus and scoring share, so that a model is asked about the same
population it was trained on. Does not belong here: labels and splits (corpus).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import LearningError
from mlops_assets.domain.learning.spec import CorpusSpec
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa


def population_of(
    corpus: CorpusSpec, stored: pa.Schema, columns: Iterable[str], view: str, *, has_file_day: bool = False
) -> ir.Table:
    """Return the rows that pass the corpus filter and have a key.

    A filter compares texts: `is_active: "true"` is the same for a boolean and for a text column.

    Args:
        corpus: entity key and filter.
        stored: columns of the stored table.
        columns: what to read beside key and filter columns.
        view: name under which the table is visible.
        has_file_day: whether the view has the day of each row's file.

    Raises:
        LearningError: the stored table lacks a column.
    """
    import ibis

    wanted = list(dict.fromkeys((corpus.entity_key, *columns, *corpus.filter_equals)))
    if missing := [name for name in wanted if name not in stored.names]:
        raise LearningError(
            f"the table has no column {', '.join(missing)}",
            where=corpus.table,
            expected="the columns that the model was trained on",
            remedy="build the table's partition again with the current version, or train a new model",
        )
    types = ibis.Schema.from_pyarrow(stored)
    own = {name: types[name] for name in wanted}
    rows = ibis.table(own | {"file_day": "date"} if has_file_day else own, name=view)
    for column, value in corpus.filter_equals.items():
        rows = rows.filter(rows[column].cast("string") == value)
    return rows.filter(rows[corpus.entity_key].notnull())


def population_sql(
    corpus: CorpusSpec, columns: Sequence[str], view: str, stored: pa.Schema, dialect: str
) -> str:
    """Return SQL that reads key and `columns` of the population.

    Args:
        corpus: entity key and filter.
        columns: what to read beside the key.
        view: name under which the table is visible.
        stored: columns of the stored table.
        dialect: an Ibis backend name.

    Raises:
        LearningError: the stored table lacks a column.
    """
    return _compiled(corpus.model_dump_json(), tuple(columns), view, stored.remove_metadata(), dialect)


@lru_cache(maxsize=64)
def _compiled(corpus_json: str, columns: tuple[str, ...], view: str, stored: pa.Schema, dialect: str) -> str:
    corpus = CorpusSpec.model_validate_json(corpus_json)
    rows = population_of(corpus, stored, columns, view)
    return compile_sql(rows.select(*dict.fromkeys((corpus.entity_key, *columns))), dialect)
