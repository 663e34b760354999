"""The first rows of a table for people to look at, without values that identify subscribers.

Belongs here: reading few rows and masking them. Does not belong here: how a user interface shows them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from mlops_assets.domain.ports import TableEngine, ViewSource

MASK = "***"
# Columns with these names identify a person or a thing of theirs in any table.
IDENTIFYING = frozenset({"subscriber_id", "customer_id", "entity_id", "msisdn"})
MOST_ROWS = 100


def preview_rows(
    engine: TableEngine, path: Path, limit: int = 5, masked_columns: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return a few rows of a Parquet file with identifying columns masked.

    Args:
        engine: reads the file.
        path: a Parquet file within the engine's folders.
        limit: rows, at most MOST_ROWS.
        masked_columns: masked beside IDENTIFYING, upper and lower case alike.

    Raises:
        EngineError: the file cannot be read.
    """
    masked = IDENTIFYING | {name.lower() for name in masked_columns}
    sql = f"SELECT * FROM shown LIMIT {max(0, min(limit, MOST_ROWS))}"  # noqa: S608 - a bounded whole number
    rows = engine.fetch(sql, {"shown": ViewSource(files=[path])}).to_pylist()
    return [
        {name: MASK if name.lower() in masked and value is not None else value for name, value in row.items()}
        for row in rows
    ]
