"""States that carry the latest known row of each key forward through daily deltas.

Belongs here: the recipe `CarryForward`. Does not belong here: which attributes are carried.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
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
class CarryForward:
    """The latest row of each key in all deltas up to the day.

    Attributes:
        source: the deltas (`days` = 0: the whole history counts); a day without delta changes nothing.
        key: column that identifies an entity, unique within a delta.
        changed_day: name of the column that tells the file day of the row carried.
    """

    source: TableInput
    key: str
    changed_day: str

    @property
    def inputs(self) -> tuple[TableInput, ...]:
        """Return the deltas."""
        return (self.source,)

    @property
    def state_columns(self) -> dict[str, ColumnType]:
        """Types of the state: the delta's columns and the day of the change."""
        return {**self.source.columns, self.changed_day: "date"}

    def expressions(self, table: FeatureTable) -> Mapping[str, ir.Table]:
        """Return the one statement, `overlay`: the previous state where no later delta has the key."""
        import ibis

        previous = unbound("previous", self.state_columns)
        deltas = unbound("deltas", {**self.source.columns, "file_day": "date"})
        newest_first = ibis.window(group_by=deltas[self.key], order_by=deltas.file_day.desc())
        ranked = deltas.mutate(newness=ibis.row_number().over(newest_first))
        latest = ranked.filter(ranked.newness == 0).drop("newness").rename({self.changed_day: "file_day"})
        kept = previous.anti_join(latest, previous[self.key] == latest[self.key])
        columns = list(self.state_columns)
        return {"overlay": kept.select(*columns).union(latest.select(*columns)).select(*table.columns)}

    def plan(self, table: FeatureTable, site: BuildSite) -> BuildPlan | MissingInput:
        """Overlay the deltas since the latest current state, or all of them if there is none.

        The build key names every delta up to the day, whatever state the build starts from.
        """
        history = [day for day in site.lake.days(self.source.table, site.geography) if day <= site.day]
        if not history:
            return MissingInput(site.partition(self.source.table, site.day))
        base = self._current_base(table, site, history)
        since = [day for day in history if base is None or day > base]
        deltas = tuple(site.partition(self.source.table, day) for day in since)
        previous = (site.partition(table.name, base),) if base else ()
        return BuildPlan(
            build_key=self._state_key(table, site, site.day, history),
            statement="overlay",
            views={
                "previous": ViewPlan(self.state_columns, previous),
                "deltas": ViewPlan(self.source.columns, deltas, has_file_day=True),
            },
            inputs={str(part): _key_of(site, part.table, part.day) for part in (*previous, *deltas)},
            facts={"deltas_in_history": len(history), "deltas_read": len(deltas)},
        )

    def _state_key(self, table: FeatureTable, site: BuildSite, day: dt.date, history: list[dt.date]) -> str:
        deltas = {d.isoformat(): _key_of(site, self.source.table, d) for d in history if d <= day}
        return stable_hash([table.name, site.geography, day, table.version, deltas])

    def _current_base(self, table: FeatureTable, site: BuildSite, history: list[dt.date]) -> dt.date | None:
        earlier = [day for day in site.lake.days(table.name, site.geography) if day < site.day]
        if not earlier:
            return None
        base = earlier[-1]
        is_current = _key_of(site, table.name, base) == self._state_key(table, site, base, history)
        return base if is_current else None


def _key_of(site: BuildSite, table: str, day: dt.date | None) -> str:
    manifest = site.manifest(table, day) if day else None
    return manifest.build_key if manifest else ""
