"""The schema of a homologated feed as a pandera contract.

Belongs here: the contract of our own output, checked on a bounded sample and shown as column schema. Does
not belong here: judging deliveries; every delivered row passes the engine's checks (homologation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract
from mlops_assets.domain.feeds.homologation import output_types

if TYPE_CHECKING:
    import pandera.pandas as pa

MOST_SAMPLED_ROWS = 10_000
_PANDAS_TYPES = {
    "int64": "Int64",
    "float64": "float64",
    "string": "str",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "datetime64[us]",
}


def pandera_schema(contract: FeedContract) -> pa.DataFrameSchema:
    """Return the schema of a feed's homologated table.

    Args:
        contract: contract of one geography (`for_geography` applied).

    Returns:
        A strict schema: types, nullability, ranges, allowed values and, without a grain, a unique key.
    """
    import pandera.pandas as pa

    by_name = {column.name: column for column in contract.columns}
    columns = {
        name: _pandera_column(by_name.get(name), _PANDAS_TYPES[kind], is_merged=_is_merged(contract, name))
        for name, kind in output_types(contract).items()
    }
    unique = contract.grain or contract.key
    return pa.DataFrameSchema(columns, strict=True, unique=list(unique), name=contract.name)


def _is_merged(contract: FeedContract, name: str) -> bool:
    return bool(contract.grain) and name not in contract.grain


def _pandera_column(column: ColumnContract | None, kind: str, *, is_merged: bool) -> pa.Column:
    import pandera.engines.pandas_engine as engine
    import pandera.pandas as pa

    dtype = engine.Date() if kind == "date" else kind
    if column is None:
        return pa.Column(dtype, nullable=False)
    checks = []
    if column.minimum is not None:
        checks.append(pa.Check.ge(column.minimum))
    if column.maximum is not None and not (is_merged and column.merge in {"sum", "count"}):
        checks.append(pa.Check.le(column.maximum * (1 + 1e-9)))
    if column.allowed:
        checks.append(pa.Check.isin(column.allowed))
    described = f"{column.description} [{column.unit}]" if column.unit else column.description
    return pa.Column(dtype, checks, nullable=column.nullable, description=described)
