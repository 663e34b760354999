"""What a feature table is: its meaning, columns, inputs, and the recipe that builds it.

Belongs here: the documented shape of tables and the small records that a recipe and the builder exchange.
Does not belong here: any particular table (one file per family), the kinds of recipe (daily.py, window.py,
carry_forward.py) or their execution (build.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.feeds.contract import ColumnType
from mlops_assets.domain.ports import Lake, Manifest, PartitionId

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

ColumnRole = Literal["key", "feature", "label", "info"]
ENGINE_TYPES: Mapping[ColumnType, str] = {
    "integer": "int64",
    "decimal": "float64",
    "text": "string",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}


@dataclass(frozen=True)
class ColumnDoc:
    """One documented column.

    Attributes:
        type: our type, as in feed contracts.
        description: meaning or formula, and what null means.
        unit: a unit of `feeds.units`, `usd_cent`, or None for text, dates and pure numbers.
        role: `feature` may enter a model; `label` tells an outcome; `info` is neither.
        is_point_in_time: False if the value may still change after the partition's day.
    """

    type: ColumnType
    description: str
    unit: str | None = None
    role: ColumnRole = "feature"
    is_point_in_time: bool = True


@dataclass(frozen=True)
class TableInput:
    """What a table reads of another one (or of its own state).

    Attributes:
        table: `feeds/...` or `etl/...`.
        columns: needed columns and their types; others are never read.
        days: how many days back, the partition's own day included; 0 for the whole history.
        is_own_state: the table's own partition of an earlier day, used if it is current.
        is_required: without this input's partition of the day the table is not built.
        facts: numbers of the input's manifest that the expression needs; they arrive in `as_of` as
            `<table>_<fact>`.
    """

    table: str
    columns: Mapping[str, ColumnType]
    days: int = 1
    is_own_state: bool = False
    is_required: bool = True
    facts: tuple[str, ...] = ()

    @property
    def view(self) -> str:
        """Name under which expressions see the input."""
        return self.table.rsplit("/", 1)[1]


@dataclass(frozen=True)
class ViewPlan:
    """A view of a statement: partitions of one table, or no rows of these columns."""

    columns: Mapping[str, ColumnType]
    partitions: tuple[PartitionId, ...] = ()
    has_file_day: bool = False


@dataclass(frozen=True)
class BuildPlan:
    """What would be built: identity, statement and sources; nothing has been read yet."""

    build_key: str
    statement: str
    views: Mapping[str, ViewPlan]
    inputs: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)
    as_of_facts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MissingInput:
    """A required partition that is not published."""

    partition: PartitionId


class BuildSite:
    """One table's view of the lake while one partition is planned; manifests are read once.

    Args:
        lake: where the manifests are.
        geography: segment of all partitions.
        day: day of the partition to be built.
    """

    def __init__(self, lake: Lake, geography: str, day: dt.date) -> None:
        self.lake, self.geography, self.day = lake, geography, day
        self._manifests: dict[PartitionId, Manifest | None] = {}

    def partition(self, table: str, day: dt.date) -> PartitionId:
        """Return the partition of a table on a day."""
        return PartitionId(table, self.geography, day)

    def manifest(self, table: str, day: dt.date) -> Manifest | None:
        """Return a partition's manifest, or None if it is not published."""
        partition = self.partition(table, day)
        if partition not in self._manifests:
            self._manifests[partition] = self.lake.manifest(partition)
        return self._manifests[partition]

    def build_keys(self, table: str, last_day: dt.date, days: int) -> dict[dt.date, str]:
        """Return day to build key of the published partitions among the `days` that end on `last_day`."""
        window = [last_day - dt.timedelta(days=back) for back in reversed(range(days))]
        asked = [one for day in window if (one := self.partition(table, day)) not in self._manifests]
        self._manifests.update(zip(asked, ask_together(self.lake, self.lake.manifest, asked), strict=True))
        found = ((day, self.manifest(table, day)) for day in window)
        return {day: manifest.build_key for day, manifest in found if manifest is not None}


class Recipe(Protocol):
    """How a table comes about."""

    @property
    def inputs(self) -> tuple[TableInput, ...]:
        """Return what is read, the own state left aside."""
        ...

    @property
    def state_columns(self) -> Mapping[str, ColumnType] | None:
        """Return the columns of the own earlier state that are read, or None if none is."""
        ...

    def expressions(self, table: FeatureTable) -> Mapping[str, ir.Table]:
        """Return each statement's expression over unbound tables; their text must not depend on the day."""
        ...

    def plan(self, table: FeatureTable, site: BuildSite) -> BuildPlan | MissingInput:
        """Decide from manifests alone what a build would do."""
        ...


@dataclass(frozen=True)
class FeatureTable:
    """A shared table with one partition per geography and day.

    Attributes:
        name: `etl/...`.
        description: meaning, grain, freshness, effect of failure.
        owner: `team:...`.
        kind: `daily` (aggregate or events of one day), `state` (window or carried forward) or `snapshot`
            (what models read).
        keys: columns that identify a row within a partition.
        columns: all columns in order.
        recipe: inputs and expressions.
        version: to be raised with every change of an expression; a test watches the compiled SQL.
        is_compact: keep decimals as float32 and integers other than keys as int32, which is what models
            read; for tables from which nothing is summed.
    """

    name: str
    description: str
    owner: str
    kind: Literal["daily", "state", "snapshot"]
    keys: tuple[str, ...]
    columns: Mapping[str, ColumnDoc]
    recipe: Recipe
    version: str
    is_compact: bool = False

    @property
    def inputs(self) -> tuple[TableInput, ...]:
        """What the table reads; the own state of an earlier day comes last."""
        columns = self.recipe.state_columns
        if columns is None:
            return self.recipe.inputs
        own = TableInput(self.name, columns, is_own_state=True, is_required=False)
        return (*self.recipe.inputs, own)

    @property
    def column_types(self) -> dict[str, ColumnType]:
        """Types of all columns, in order."""
        return {name: column.type for name, column in self.columns.items()}

    def stored_types(self) -> dict[str, str]:
        """Return column to Ibis type as stored."""
        compact = {"integer": "int32", "decimal": "float32"} if self.is_compact else {}
        return {
            name: ENGINE_TYPES[kind] if name in self.keys else compact.get(kind, ENGINE_TYPES[kind])
            for name, kind in self.column_types.items()
        }

    def read(
        self, *names: str, days: int = 1, is_required: bool = True, facts: tuple[str, ...] = ()
    ) -> TableInput:
        """Return this table as an input of another one, with the named columns (all if none is named)."""
        types = self.column_types
        columns = {name: types[name] for name in names} if names else types
        return TableInput(self.name, columns, days=days, is_required=is_required, facts=facts)


def unbound(name: str, columns: Mapping[str, ColumnType]) -> ir.Table:
    """Return an Ibis table of this name and schema that is bound to no engine."""
    import ibis

    return ibis.table({column: ENGINE_TYPES[kind] for column, kind in columns.items()}, name=name)


def empty_arrow(columns: Mapping[str, ColumnType]) -> pa.Table:
    """Return an Arrow table without rows, standing for an absent input."""
    import pyarrow as pa

    types = {
        "integer": pa.int64(),
        "decimal": pa.float64(),
        "text": pa.string(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }
    return pa.schema([(name, types[kind]) for name, kind in columns.items()]).empty_table()
