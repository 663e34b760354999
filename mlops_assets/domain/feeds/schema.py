"""The schema of a homologated feed as a pandera contract.

Belongs here: the contract of our own output, checked on a bounded sample before anything reads it. Does
not belong here: judging deliveries; every delivered row passes the engine's checks (homologation).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.domain.feeds.contract import ColumnContract, FeedContract
from mlops_assets.domain.feeds.homologation import output_types
from mlops_assets.domain.ports import TableEngine, ViewSource

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pdr
    import pyarrow as pa

# All failing rows of a big table take half a minute to report; these take milliseconds.
SAMPLED_ROWS = 1000
_TOLERANCE = 1e-9  # relative; a unit's conversion may add so much to a value at its limit
_PANDAS_TYPES = {
    "int64": "Int64",
    "float64": "float64",
    "string": "str",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "datetime64[us]",
}


def pandera_schema(contract: FeedContract) -> pdr.DataFrameSchema:
    """Return the schema of a feed's homologated table.

    Args:
        contract: contract of one geography (`for_geography` applied).

    Returns:
        A strict schema: types, nullability, ranges, allowed values and, without a grain, a unique key.
    """
    import pandera.pandas as pdr

    by_name = {column.name: column for column in contract.columns}
    columns = {
        name: _pandera_column(by_name.get(name), _PANDAS_TYPES[kind])
        for name, kind in output_types(contract).items()
    }
    unique = contract.grain or contract.key
    return pdr.DataFrameSchema(columns, strict=True, unique=list(unique), name=contract.name)


def find_violations(contract: FeedContract, engine: TableEngine, path: Path) -> list[str]:
    """Validate the first rows of a published table against its schema.

    Args:
        contract: contract of one geography (`for_geography` applied).
        engine: reads the file.
        path: the published Parquet file.

    Returns:
        One line for each rule that does not hold, without values: they may identify subscribers.

    Raises:
        EngineError: the file cannot be read.
    """
    from pandera.errors import SchemaErrors

    sql = f"SELECT * FROM published LIMIT {SAMPLED_ROWS}"  # noqa: S608 - a constant
    sample = _typed_frame(engine.fetch(sql, {"published": ViewSource(files=[path])}))
    try:
        with warnings.catch_warnings():
            # pandera concatenates failures of different types, which pandas 3 will refuse.
            warnings.simplefilter("ignore", FutureWarning)
            pandera_schema(contract).validate(sample, lazy=True)
    except SchemaErrors as error:
        counted = error.failure_cases.groupby(["column", "check"], dropna=False, sort=True).size()
        return [
            f"{column}: {check} ({rows} in {len(sample)} rows)" for (column, check), rows in counted.items()
        ]
    return []


def _typed_frame(table: pa.Table) -> pd.DataFrame:
    """Return the table with types that hold nulls, whatever values it has."""
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get)
    return frame


def _pandera_column(column: ColumnContract | None, kind: str) -> pdr.Column:
    import pandera.engines.pandas_engine as engine
    import pandera.pandas as pdr

    dtype = engine.Date() if kind == "date" else kind
    if column is None:
        return pdr.Column(dtype, nullable=False)
    described = f"{column.description} [{column.unit}]" if column.unit else column.description
    return pdr.Column(dtype, _checks(column), nullable=column.nullable, description=described)


def _checks(column: ColumnContract) -> list[pdr.Check]:
    """Return the limits of single values; of what they add up to only that it is not negative, if they are not."""
    import pandera.pandas as pdr

    if column.merge in {"sum", "count", "increase"}:
        return [pdr.Check.ge(0)] if column.minimum is not None and column.minimum >= 0 else []
    checks = []
    if column.minimum is not None:
        checks.append(pdr.Check.ge(column.minimum - _TOLERANCE * abs(column.minimum)))
    if column.maximum is not None:
        checks.append(pdr.Check.le(column.maximum + _TOLERANCE * abs(column.maximum)))
    if column.allowed:
        checks.append(pdr.Check.isin(column.allowed))
    return checks
