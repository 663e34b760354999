"""Which columns may be features, refused by name before anything is read.

Belongs here: the check of a model's feature list against a table's documented columns. Does not belong here:
the completeness of label windows (learning/corpus.py).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

from mlops_assets.domain.errors import ConfigError, LeakageError
from mlops_assets.domain.features.table import ColumnDoc
from mlops_assets.domain.feeds.contract import FeedContract

RESERVED_COLUMNS = ("as_of_day", "split", "label")


def check_features(
    features: Sequence[str],
    *,
    table: str,
    columns: Mapping[str, ColumnDoc],
    entity_key: str,
    label_column: str | None = None,
) -> None:
    """Refuse features that the table lacks or that would tell the outcome.

    Args:
        features: feature names of a model.
        table: name of the table they come from, for messages.
        columns: the table's documented columns.
        entity_key: key of the corpus.
        label_column: column of the table that is the label, if it is one.

    Raises:
        ConfigError: a feature is not a feature column of the table; the message suggests the nearest one.
        LeakageError: a feature is the label or not fixed by the end of its day.
    """
    unusable = {label_column, *RESERVED_COLUMNS}
    usable = [name for name, column in columns.items() if column.role == "feature" and name not in unusable]
    for name in features:
        where = f"feature {name!r} of {table}"
        if name not in columns:
            raise ConfigError("unknown feature", where=where, remedy=suggest(name, usable))
        column = columns[name]
        if name == label_column or column.role == "label":
            raise LeakageError(
                "a feature is the label",
                where=where,
                remedy="remove it from `features`; it tells the outcome",
            )
        if not column.is_point_in_time:
            raise LeakageError(
                "a feature may still change after its as-of day",
                where=where,
                expected="a column whose value is fixed at the end of the day",
                remedy="remove it from `features`",
            )
        kind = "key" if name == entity_key else "reserved" if name in RESERVED_COLUMNS else column.role
        if kind != "feature":
            raise ConfigError(f"a {kind} column is not a feature", where=where, remedy=suggest(name, usable))


def feed_columns(contract: FeedContract) -> dict[str, ColumnDoc]:
    """Return the documented columns of a feed, for use cases that learn on a snapshot feed itself.

    Where the key is only what makes a record different from all others, its columns may be features.
    """
    added = (
        {contract.record_id: ColumnDoc("text", "identifies the record", role="key")}
        if contract.record_id
        else {}
    )
    return added | {
        column.name: ColumnDoc(
            column.type,
            column.description,
            column.unit,
            "key" if column.name in contract.key and not contract.record_id else "feature",
        )
        for column in contract.columns
    }


def suggest(name: str, known: Collection[str]) -> str:
    """Return the remedy for an unknown name: the nearest known ones, or all."""
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"use one of {', '.join(sorted(known))}"
