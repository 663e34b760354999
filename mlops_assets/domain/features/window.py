"""Sliding windows that are kept exact by adding the days that enter and subtracting those that leave.

state[D] = state[D-1] + daily[D] - daily[D-days]. All sums are integers (KB, cents, counts), so that sliding
gives the same state as merging all dailies of the window; `last_day` may be kept beside them because the
day that leaves is older than any that stays. Shorter windows over the same dailies ride along in the same
state: one more day leaves, nothing else is read twice. After days without a state (a feed was late) the window
jumps: k days enter and k leave. Measured at 300,000 subscribers: sliding by joins 0.35 CPU s, sliding by union
and group-by 0.67, merging 30 dailies 6.

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
# A jump reads twice its days, a merge all of the window; beyond a third of it nothing is gained.
_WINDOW_PER_JUMP = 3
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
        """Return `slide` and `jump` (previous state, entering and leaving days) and `merge` (all dailies)."""
        statements = {
            "slide": self._slide(is_jump=False),
            "jump": self._slide(is_jump=True),
            "merge": self._merge(),
        }
        return {name: expression.select(*table.columns) for name, expression in statements.items()}

    def plan(self, table: FeatureTable, site: BuildSite) -> BuildPlan | MissingInput:
        """Slide or jump from the last state that holds exactly the current dailies; without one, merge.

        The build key names the dailies of the window only: all ways give the same rows.
        """
        dailies = site.build_keys(self.source.table, site.day, self.source.days)
        if site.day not in dailies:
            return MissingInput(site.partition(self.source.table, site.day))
        previous = self._current_state(table, site)
        statement = "merge" if previous is None else "slide" if _is_yesterday(previous, site) else "jump"
        present = {
            days_present_fact(self, days): _count_since(dailies, site.day, days) for days in self.lengths
        }
        return BuildPlan(
            build_key=_state_key(table, site, site.day, dailies),
            statement=statement,
            views=self._slide_views(table, site, previous) if previous else self._merge_views(site, dailies),
            inputs={str(site.partition(self.source.table, day)): key for day, key in dailies.items()},
            facts={**present, "method": statement},
        )

    @property
    def _longest_jump_days(self) -> int:
        # What leaves is taken from keys that the previous state has. A key that came and left a shorter window
        # within the jump is not among them, so no jump is longer than the shortest window.
        return max(min(self.source.days // _WINDOW_PER_JUMP, self.lengths[-1]), 1)

    def _length(self, name: str) -> int:
        return self.sums[name].days or self.source.days

    def _of_length(self, days: int) -> list[str]:
        return [name for name in self.sums if self._length(name) == days]

    def _current_state(self, table: FeatureTable, site: BuildSite) -> dt.date | None:
        """Return the newest earlier day, within a jump, whose state holds exactly the current dailies."""
        for back in range(1, self._longest_jump_days + 1):
            day = site.day - dt.timedelta(days=back)
            state = site.manifest(table.name, day)
            if state is not None:
                dailies = site.build_keys(self.source.table, day, self.source.days)
                if state.build_key == _state_key(table, site, day, dailies):
                    return day
        return None

    def _slide_views(self, table: FeatureTable, site: BuildSite, previous: dt.date) -> dict[str, ViewPlan]:
        views = {
            "previous": ViewPlan(self.state_columns, (site.partition(table.name, previous),)),
            "entering": self._dailies(site, previous, site.day),
        }
        for days in self.lengths:
            length = dt.timedelta(days=days)
            views[f"leaving_{days}"] = self._dailies(site, previous - length, site.day - length)
        return views

    def _dailies(self, site: BuildSite, after: dt.date, last: dt.date) -> ViewPlan:
        """Return the published dailies of the days after one and up to another; several carry their day."""
        days = (last - after).days
        found = site.build_keys(self.source.table, last, days)
        partitions = tuple(site.partition(self.source.table, day) for day in found)
        return ViewPlan(self.source.columns, partitions, has_file_day=days > 1)

    def _merge_views(self, site: BuildSite, dailies: Mapping[dt.date, str]) -> dict[str, ViewPlan]:
        partitions = tuple(site.partition(self.source.table, day) for day in dailies)
        return {"dailies": ViewPlan(self.source.columns, partitions, has_file_day=True)}

    def _daily(self, rows: ir.Table, names: list[str], *by: str) -> ir.Table:
        """Return the contribution of each key (and file day, if given): one integer per sum."""
        terms = {name: self.sums[name].term(rows).cast("int64").fill_null(0) for name in names}
        daily = rows.select(*by, self.key, **terms)
        if self.is_one_row_per_key:
            return daily
        return daily.group_by(*by, self.key).aggregate(**{name: whole_sum(daily[name]) for name in names})

    def _slide(self, *, is_jump: bool) -> ir.Table:
        previous = unbound("previous", self.state_columns)
        entering = self._moving("entering", list(self.sums), is_jump=is_jump)
        rows = previous.outer_join(entering, previous[self.key] == entering[f"entering_{self.key}"])
        for days in self.lengths:
            view = f"leaving_{days}"
            leaving = self._moving(view, self._of_length(days), is_jump=is_jump)
            rows = rows.left_join(leaving, previous[self.key] == leaving[f"{view}_{self.key}"])
        rows = rows.cross_join(unbound("as_of", {"day": "date"}))
        state = rows.select(
            rows[self.key].coalesce(rows[f"entering_{self.key}"]).name(self.key),
            **{name: self._slid(rows, name) for name in self.sums},
            **self._slid_days(rows, is_jump=is_jump),
        )
        return state.filter(state[ACTIVE_DAYS] > 0)

    def _moving(self, view: str, names: list[str], *, is_jump: bool) -> ir.Table:
        """Return what the days of a view hold, one row a key; over several days with their number and last."""
        if not is_jump:
            return _prefixed(self._daily(unbound(view, self.source.columns), names), view)
        dated = unbound(view, {**self.source.columns, "file_day": "date"})
        rows = self._daily(dated, names, "file_day")
        sums = {name: whole_sum(rows[name]) for name in names}
        days = {ACTIVE_DAYS: rows.count(), LAST_DAY: rows.file_day.max()}
        return _prefixed(rows.group_by(self.key).aggregate(**sums, **days), view)

    def _slid_days(self, rows: ir.Table, *, is_jump: bool) -> dict[str, ir.Value]:
        leaving = f"leaving_{self.source.days}"
        is_entering = rows[f"entering_{self.key}"].notnull()
        if is_jump:
            entered = rows[f"entering_{ACTIVE_DAYS}"].fill_null(0)
            left = rows[f"{leaving}_{ACTIVE_DAYS}"].fill_null(0)
            last_entered = rows[f"entering_{LAST_DAY}"]
        else:
            entered = is_entering.cast("int64")
            left = rows[f"{leaving}_{self.key}"].notnull().cast("int64")
            last_entered = rows.day
        return {
            ACTIVE_DAYS: rows[ACTIVE_DAYS].fill_null(0) + entered - left,
            LAST_DAY: is_entering.ifelse(last_entered, rows[LAST_DAY]),
        }

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
            return whole_sum(rows[name])
        return whole_sum((age_days < self._length(name)).ifelse(rows[name], 0))


def whole_sum(whole: ir.Value) -> ir.Value:
    """Sum whole numbers as floats: exact below 2**53, and a fifth less CPU than DuckDB's sums of 128 bits."""
    return whole.cast("float64").sum().cast("int64")


def days_present_fact(window: SlidingWindow, days: int) -> str:
    """Return the manifest fact that counts the delivered days among the last `days`."""
    return DAYS_PRESENT if days == window.source.days else f"{DAYS_PRESENT}_{days}d"


def _is_yesterday(day: dt.date, site: BuildSite) -> bool:
    return (site.day - day).days == 1


def _count_since(dailies: Mapping[dt.date, str], day: dt.date, days: int) -> int:
    return sum((day - daily).days < days for daily in dailies)


def _state_key(table: FeatureTable, site: BuildSite, day: dt.date, dailies: Mapping[dt.date, str]) -> str:
    named = {daily.isoformat(): key for daily, key in dailies.items()}
    return stable_hash([table.name, site.geography, day, table.version, named])


def _prefixed(daily: ir.Table, prefix: str) -> ir.Table:
    return daily.rename({f"{prefix}_{name}": name for name in daily.columns})
