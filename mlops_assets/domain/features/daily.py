"""Tables that read their inputs' partitions of the same day and nothing older.

Belongs here: the recipe `DailyRecipe`. Does not belong here: any table's expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.domain.features.table import (
    BuildPlan,
    BuildSite,
    FeatureTable,
    MissingInput,
    TableInput,
    ViewPlan,
    unbound,
)
from mlops_assets.domain.feeds.contract import ColumnType
from mlops_assets.domain.hashing import stable_hash

if TYPE_CHECKING:
    import ibis.expr.types as ir


@dataclass(frozen=True)
class DailyRecipe:
    """One expression over the inputs' partitions of the day.

    Attributes:
        inputs: tables read; their views are named by the last part of the table's name.
        expression: view name to Ibis table, result. `as_of` has one row: `day` and the inputs' facts.
    """

    inputs: tuple[TableInput, ...]
    expression: Callable[[Mapping[str, ir.Table]], ir.Table]

    @property
    def state_columns(self) -> None:
        """Return None: no state is kept."""
        return None

    def expressions(self, table: FeatureTable) -> Mapping[str, ir.Table]:
        """Return the one statement, `build`, with the documented columns in their order."""
        views = {source.view: unbound(source.view, source.columns) for source in self.inputs}
        as_of: dict[str, ColumnType] = {"day": "date"}
        for source in self.inputs:
            as_of |= dict.fromkeys(fact_columns(source), "integer")
        views["as_of"] = unbound("as_of", as_of)
        return {"build": self.expression(views).select(*table.columns)}

    def plan(self, table: FeatureTable, site: BuildSite) -> BuildPlan | MissingInput:
        """Build from whatever is published of the day; an absent optional input counts as empty."""
        keys: dict[str, str] = {}
        views: dict[str, ViewPlan] = {}
        as_of_facts: dict[str, int] = {}
        for source in self.inputs:
            partition = site.partition(source.table, site.day)
            manifest = site.manifest(source.table, site.day)
            if manifest is None and source.is_required:
                return MissingInput(partition)
            if manifest is not None:
                keys[str(partition)] = manifest.build_key
            views[source.view] = ViewPlan(source.columns, (partition,) if manifest else ())
            found = manifest.facts if manifest else {}
            as_of_facts |= {
                column: int(found.get(fact, 0))
                for column, fact in zip(fact_columns(source), source.facts, strict=True)
            }
        identity = [table.name, site.geography, site.day, table.version, keys]
        return BuildPlan(stable_hash(identity), "build", views, keys, as_of_facts=as_of_facts)


def fact_columns(source: TableInput) -> list[str]:
    """Return the columns of `as_of` that carry an input's facts."""
    return [f"{source.view}_{fact}" for fact in source.facts]
