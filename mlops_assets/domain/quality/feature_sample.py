"""A small sample of a feature table, always of the same entities, for the classifier of feature drift.

Belongs here: drawing it. Does not belong here: fitting (feature_drift.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.features.table import FeatureTable
from mlops_assets.domain.learning.splits import hash_keys
from mlops_assets.domain.ports import Lake, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.table_sql import compile_sql

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBERS = ("integer", "decimal", "boolean")
_PURPOSE = "feature drift"


@dataclass(frozen=True, eq=False)
class FeatureSample:
    """Sampled rows.

    Attributes:
        features: names of the columns.
        values: float64 [rows x features], NaN where missing.
        key_hashes: uint64 [rows], of the entity key.
    """

    features: tuple[str, ...]
    values: NDArray[np.float64]
    key_hashes: NDArray[np.uint64]


def numeric_features(table: FeatureTable) -> list[str]:
    """Return the feature columns that are numbers or booleans."""
    return [n for n, doc in table.columns.items() if doc.role == "feature" and doc.type in _NUMBERS]


def sample_features(
    table: FeatureTable,
    partition: PartitionId,
    *,
    lake: Lake,
    engine: TableEngine,
    features: Sequence[str] = (),
    max_rows: int = 4000,
) -> FeatureSample:
    """Return the rows of the entities with the smallest MD5 of their key.

    Args:
        table: documentation of the partition.
        partition: what to read.
        lake: where it is.
        engine: runs the statement.
        features: numeric columns; all of them if none is named.
        max_rows: size of the sample.

    Raises:
        ConfigError: a named feature is no number of the table.
        TableInputError: the partition is not published.
    """
    known = numeric_features(table)
    names = tuple(features or known)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"no numeric feature {', '.join(unknown)}",
            where=table.name,
            expected=f"some of {', '.join(known)}",
            remedy="sample numbers only; texts are compared by their histograms",
        )
    sql = _sample_sql(table.keys[0], names, max_rows, engine.dialect)
    rows = engine.fetch(sql, {"sampled": ViewSource(files=[lake.path(partition)])})
    columns = [rows[name].to_numpy(zero_copy_only=False) for name in names]
    values = np.column_stack([np.asarray(column, np.float64) for column in columns])
    return FeatureSample(names, values, hash_keys(rows["entity"].to_pylist(), _PURPOSE))


@lru_cache(maxsize=64)
def _sample_sql(key: str, features: tuple[str, ...], max_rows: int, dialect: str) -> str:
    import ibis

    # Only the names matter to the text; every value is cast.
    rows = ibis.table({key: "int64", **dict.fromkeys(features, "!float32")}, name="sampled")
    entity = rows[key].cast("string")
    values = {name: rows[name].cast("float64") for name in features}
    selected = rows.select(entity=entity, digest=entity.hexdigest("md5"), **values)
    ordered = selected.order_by("digest", "entity").limit(max_rows)
    return compile_sql(ordered.select("entity", *features), dialect)
