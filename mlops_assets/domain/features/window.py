"""Sliding windows that are kept exact by adding the day that enters and subtracting the one that leaves.

state[D] = state[D-1] + daily[D] - daily[D-days]. All sums are integers (KB, cents, counts), so that sliding
gives the same state as merging all dailies of the window; `last_day` may be kept beside them because the
day that leaves is older than any that stays. Shorter windows over the same dailies ride along in the same
state: one more day leaves, nothing else is read twice. Measured at 300,000 subscribers: sliding by joins
0.35 CPU s, sliding by union and group-by 0.67, merging 30 dailies 6.

Belongs here: the recipe `SlidingWindow`. Does not belong here: which columns a window has, or ratios of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.domain.features.table import (
    BuildPlan,
    BuildSite,
    ColumnDoc,
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

ACTIVE_DAYS, LAST_DAY = "active_days", "last_day"
DAYS_PRESENT = "window_days_present"


@dataclass(frozen=True)
class WindowSum:
    """One summed column.

    Attributes:
        description: what is summed.
        unit: a unit of `feeds.units`.
        term: contribution of a source row, an integer or boolean; null counts as 0.
        days: length of the window if it is shorter than the dailies' `days`.
    """

    description: str
    unit: str
    term: Callable[[ir.Table], ir.Value]
    days: int | None = None


@dataclass(frozen=True)
class SlidingWindow:
    """Integer sums per key over the last days.

    Attributes:
        source: the dailies; `source.days` is the length of the window.
        key: column that identifies an entity in the dailies.
        sums: name to sum.
        is_one_row_per_key: the dailies hold at most one row per key.
    """

    source: TableInput
    key: str
    sums: Mapping[str, WindowSum]
    is_one_row_per_key: bool

    @property
    def inputs(self) -> tuple[TableInput, ...]:
        """Return the dailies of the window."""
        return (self.source,)

    @property
    def state_columns(self) -> dict[str, ColumnType]:
        """Types of the state: key, sums, days with a row, last of these days."""
        sums: dict[str, ColumnType] = dict.fromkeys(self.sums, "integer")
        return {self.key: self.source.columns[self.key], **sums, ACTIVE_DAYS: "integer", LAST_DAY: "date"}

    @property
    def lengths(self) -> tuple[int, ...]:
        """Distinct lengths of the sums' windows in days, longest first."""
        return tuple(sorted({self.source.days, *map(self._length, self.sums)}, reverse=True))

    def documentation(self, key: ColumnDoc, of: str) -> dict[str, ColumnDoc]:
        """Return the state's columns with their meaning; `of` names what the dailies tell."""
        sums = {
            name: ColumnDoc(
                "integer", f"{one.description}, sum of {self._length(name)} days", one.unit, "info"
            )
            for name, one in self.sums.items()
        }
        days = self.source.days
        active = ColumnDoc("integer", f"days with {of} among the last {days}", "day", "info")
        last = ColumnDoc("date", f"last file day with {of} among the last {days}", role="info")
        return {self.key: key, **sums, ACTIVE_DAYS: active, LAST_DAY: last}

    def expressions(self, table: FeatureTable) -> Mapping[str, ir.Table]:
        """Return `slide` (previous state, entering and leaving days) and `merge` (all dailies)."""
        return {
            "slide": self._slide().select(*table.columns),
            "merge": self._merge().select(*table.columns),
        }

    def plan(self, table: FeatureTable, site: BuildSite) -> BuildPlan | MissingInput:
        """Slide if the state of the day before holds exactly the current dailies, otherwise merge.

        The build key names the dailies of the window only: both ways give the same rows.
        """
        dailies = site.build_keys(self.source.table, site.day, self.source.days)
        if site.day not in dailies:
            return MissingInput(site.partition(self.source.table, site.day))
        is_sliding = self._is_previous_current(table, site)
        present = {
            days_present_fact(self, days): _count_since(dailies, site.day, days) for days in self.lengths
        }
        return BuildPlan(
            build_key=_state_key(table, site, site.day, dailies),
            statement="slide" if is_sliding else "merge",
            views=self._slide_views(table, site) if is_sliding else self._merge_views(site, dailies),
            inputs={str(site.partition(self.source.table, day)): key for day, key in dailies.items()},
            facts={**present, "method": "slide" if is_sliding else "merge"},
        )

    def _length(self, name: str) -> int:
        return self.sums[name].days or self.source.days

    def _of_length(self, days: int) -> list[str]:
        return [name for name in self.sums if self._length(name) == days]

    def _is_previous_current(self, table: FeatureTable, site: BuildSite) -> bool:
        yesterday = site.day - dt.timedelta(days=1)
        previous = site.manifest(table.name, yesterday)
        if previous is None:
            return False
        dailies = site.build_keys(self.source.table, yesterday, self.source.days)
        return previous.build_key == _state_key(table, site, yesterday, dailies)

    def _slide_views(self, table: FeatureTable, site: BuildSite) -> dict[str, ViewPlan]:
        source, yesterday = self.source, site.day - dt.timedelta(days=1)
        views = {
            "previous": ViewPlan(self.state_columns, (site.partition(table.name, yesterday),)),
            "entering": ViewPlan(source.columns, (site.partition(source.table, site.day),)),
        }
        for days in self.lengths:
            day = site.day - dt.timedelta(days=days)
            is_there = site.manifest(source.table, day) is not None
            leaving = (site.partition(source.table, day),) if is_there else ()
            views[f"leaving_{days}"] = ViewPlan(source.columns, leaving)
        return views

    def _merge_views(self, site: BuildSite, dailies: Mapping[dt.date, str]) -> dict[str, ViewPlan]:
        partitions = tuple(site.partition(self.source.table, day) for day in dailies)
        return {"dailies": ViewPlan(self.source.columns, partitions, has_file_day=True)}

    def _daily(self, rows: ir.Table, names: list[str], *by: str) -> ir.Table:
        """Return the contribution of each key (and file day, if given): one integer per sum."""
        terms = {name: self.sums[name].term(rows).cast("int64").fill_null(0) for name in names}
        daily = rows.select(*by, self.key, **terms)
        if self.is_one_row_per_key:
            return daily
        return daily.group_by(*by, self.key).aggregate(**{name: daily[name].sum() for name in names})

    def _slide(self) -> ir.Table:
        previous = unbound("previous", self.state_columns)
        entering = _prefixed(
            self._daily(unbound("entering", self.source.columns), list(self.sums)), "entering"
        )
        rows = previous.outer_join(entering, previous[self.key] == entering[f"entering_{self.key}"])
        for days in self.lengths:
            view = f"leaving_{days}"
            leaving = self._daily(unbound(view, self.source.columns), self._of_length(days))
            leaving = _prefixed(leaving, view)
            rows = rows.left_join(leaving, previous[self.key] == leaving[f"{view}_{self.key}"])
        rows = rows.cross_join(unbound("as_of", {"day": "date"}))
        is_entering = rows[f"entering_{self.key}"].notnull()
        is_leaving = rows[f"leaving_{self.source.days}_{self.key}"].notnull()
        days_with_row = rows[ACTIVE_DAYS].fill_null(0) + is_entering.cast("int64") - is_leaving.cast("int64")
        state = rows.select(
            rows[self.key].coalesce(rows[f"entering_{self.key}"]).name(self.key),
            **{name: self._slid(rows, name) for name in self.sums},
            **{ACTIVE_DAYS: days_with_row, LAST_DAY: is_entering.ifelse(rows.day, rows[LAST_DAY])},
        )
        return state.filter(state[ACTIVE_DAYS] > 0)

    def _slid(self, rows: ir.Table, name: str) -> ir.Value:
        entering, leaving = rows[f"entering_{name}"], rows[f"leaving_{self._length(name)}_{name}"]
        return rows[name].fill_null(0) + entering.fill_null(0) - leaving.fill_null(0)

    def _merge(self) -> ir.Table:
        dailies = unbound("dailies", {**self.source.columns, "file_day": "date"})
        rows = self._daily(dailies, list(self.sums), "file_day").cross_join(unbound("as_of", {"day": "date"}))
        age_days = rows.day.delta(rows.file_day, unit="day")
        totals = {name: self._summed(rows, age_days, name) for name in self.sums}
        return rows.group_by(self.key).aggregate(
            **totals, **{ACTIVE_DAYS: rows.count(), LAST_DAY: rows.file_day.max()}
        )

    def _summed(self, rows: ir.Table, age_days: ir.Value, name: str) -> ir.Value:
        if self._length(name) == self.source.days:
            return rows[name].sum()
        return (age_days < self._length(name)).ifelse(rows[name], 0).sum()


def days_present_fact(window: SlidingWindow, days: int) -> str:
    """Return the manifest fact that counts the delivered days among the last `days`."""
    return DAYS_PRESENT if days == window.source.days else f"{DAYS_PRESENT}_{days}d"


def _count_since(dailies: Mapping[dt.date, str], day: dt.date, days: int) -> int:
    return sum((day - daily).days < days for daily in dailies)


def _state_key(table: FeatureTable, site: BuildSite, day: dt.date, dailies: Mapping[dt.date, str]) -> str:
    named = {daily.isoformat(): key for daily, key in dailies.items()}
    return stable_hash([table.name, site.geography, day, table.version, site.code_version_suffix, named])


def _prefixed(daily: ir.Table, prefix: str) -> ir.Table:
    return daily.rename({f"{prefix}_{name}": name for name in daily.columns})
