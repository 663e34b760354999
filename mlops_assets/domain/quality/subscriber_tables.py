"""Lake tables of per-subscriber ranges, in the order in which a day builds them.

| table | what | reads |
|---|---|---|
| `quality/subscriber_scores` | how surprising the day's values were | state and kernel before the day |
| `quality/subscriber_limits` | which scores are normal | scores of the fourteen days before |
| `quality/subscriber_anomalies` | values outside their range | state, kernel and limits |
| `quality/subscriber_levels` | state after the day | state and kernel before the day |

A day is judged with what was known before it: the newest kernel of an earlier day and the newest earlier
state. A day without usage or CRM feed makes no partition and moves nothing; the next day goes on from the
last state. A state depends on the one before it, so that a corrected day reaches later states as they are
built again, in order; what is not built again forgets it by half in ten days.

Belongs here: partitions, columns and documentation. Does not belong here: the expressions
(subscriber_ranges.py).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.domain.features.keys import SUBSCRIBER_KEY
from mlops_assets.domain.features.plan_usage import PLAN_USAGE_DAILY
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
from mlops_assets.domain.ports import PartitionId
from mlops_assets.domain.quality.spec import RangeSpec
from mlops_assets.domain.quality.subscriber_ranges import (
    KEPT_DAYS,
    Views,
    calibrate_limits,
    count_scores,
    find_anomalies,
    move_levels,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

LEVELS, SCORES = "quality/subscriber_levels", "quality/subscriber_scores"
LIMITS, ANOMALIES = "quality/subscriber_limits", "quality/subscriber_anomalies"
OWNER = "team:data-quality"
CALIBRATION_DAYS = 14
CALIBRATION_DAYS_MIN = 7  # every weekday once; with fewer nobody is judged
_KERNEL_DAYS, _BASE_DAYS = 30, 7

_USAGE: dict[str, ColumnType] = {
    "subscriber_id": "integer",
    "data_local_kb": "integer",
    "data_roaming_kb": "integer",
}
_PEOPLE: dict[str, ColumnType] = {"subscriber_id": "integer", "status": "text", "plan_code": "text"}
_KERNEL: dict[str, ColumnType] = {
    "series": "text",
    "target_day": "date",
    "horizon_days": "integer",
    "mid_mb": "decimal",
}
_LEVELS: dict[str, ColumnType] = {
    "subscriber_id": "integer",
    "plan_code": "text",
    "level": "decimal",
    "spread": "decimal",
    "history_days": "integer",
    "last_day": "date",
}
_SCORES: dict[str, ColumnType] = {
    "plan_code": "text",
    "stratum": "integer",
    "kind": "text",
    "bucket": "integer",
    "subscribers": "integer",
}
_LIMITS: dict[str, ColumnType] = {
    "plan_code": "text",
    "stratum": "integer",
    "low_score": "decimal",
    "high_score": "decimal",
    "removal_low_score": "decimal",
    "removal_high_score": "decimal",
}


@dataclass(frozen=True)
class Source:
    """A view of a statement and where its partitions are.

    Attributes:
        read: table and columns; `read.days` is how far back is looked.
        before_day: partitions of the day itself are not read.
        is_newest_only: only the newest partition found is read; otherwise all.
        as_of_view: the days are counted back from that view's newest partition instead of the day.
        min_partitions: with fewer published ones none is read.
        unless_zero: partitions whose manifest says that this fact is 0 are not read.
        view: name in the statement.
    """

    read: TableInput
    view: str
    before_day: bool = False
    is_newest_only: bool = False
    as_of_view: str = ""
    min_partitions: int = 0
    unless_zero: str = ""

    def partitions(self, site: BuildSite, found: Mapping[str, Sequence[PartitionId]]) -> list[PartitionId]:
        """Return the published partitions to be read, oldest first."""
        last = found[self.as_of_view][-1].day if self.as_of_view else site.day
        if last is None:
            return []
        last -= dt.timedelta(days=int(self.before_day))
        days = [
            day
            for day in site.build_keys(self.read.table, last, self.read.days)
            if self._is_filled(site, day)
        ]
        if len(days) < self.min_partitions:
            return []
        return [site.partition(self.read.table, day) for day in (days[-1:] if self.is_newest_only else days)]

    def _is_filled(self, site: BuildSite, day: dt.date) -> bool:
        manifest = site.manifest(self.read.table, day)
        return manifest is not None and manifest.facts.get(self.unless_zero) != 0


@dataclass(frozen=True)
class SubscriberRecipe:
    """One statement over sources that are found as `Source` says.

    Attributes:
        sources: what is read, in the order in which it is looked for.
        expression: views to result; `as_of` has one row with `day`.
        is_state: the table reads its own partition of an earlier day.
    """

    sources: tuple[Source, ...]
    expression: Callable[[Views], ir.Table]
    is_state: bool = False

    @property
    def inputs(self) -> tuple[TableInput, ...]:
        """Return what is read of other tables."""
        return tuple(one.read for one in self.sources if not (self.is_state and one.read.table == LEVELS))

    @property
    def state_columns(self) -> Mapping[str, ColumnType] | None:
        """Return the columns of the own earlier state, if any is read."""
        return _LEVELS if self.is_state else None

    def expressions(self, table: FeatureTable) -> Mapping[str, ir.Table]:
        """Return the one statement, `judge`, with the documented columns in their order."""
        views = {one.view: unbound(one.view, one.read.columns) for one in self.sources}
        views["as_of"] = unbound("as_of", {"day": "date"})
        return {"judge": self.expression(views).select(*table.columns)}

    def plan(self, table: FeatureTable, site: BuildSite) -> BuildPlan | MissingInput:
        """Read what is published; the build key names every partition that is read."""
        found: dict[str, list[PartitionId]] = {}
        for one in self.sources:
            found[one.view] = one.partitions(site, found)
            if one.read.is_required and not found[one.view]:
                return MissingInput(site.partition(one.read.table, site.day))
        inputs = {str(part): _build_key(site, part) for parts in found.values() for part in parts}
        identity = [table.name, site.geography, site.day, table.version, inputs]
        views = {one.view: ViewPlan(one.read.columns, tuple(found[one.view])) for one in self.sources}
        facts = {f"{view}_days": len(parts) for view, parts in found.items()}
        return BuildPlan(stable_hash(identity), "judge", views, inputs, facts)


def _build_key(site: BuildSite, partition: PartitionId) -> str:
    manifest = site.manifest(partition.table, partition.day) if partition.day else None
    return manifest.build_key if manifest else ""


def subscriber_tables(kernel_table: str, ranges: RangeSpec = RangeSpec()) -> tuple[FeatureTable, ...]:  # noqa: B008 - frozen
    """Return the four tables in the order in which a day builds them.

    Args:
        kernel_table: `quality/<monitor>/kernel` of the monitor whose series are plans, values data volume.
        ranges: shares of normal values outside the published and the removal range.
    """
    kernel = Source(
        TableInput(kernel_table, _KERNEL, days=_KERNEL_DAYS),
        "kernel",
        before_day=True,
        is_newest_only=True,
        unless_zero="series_with_range",  # the first weeks have too little history to forecast
    )
    of_day = (*_OF_THE_DAY, kernel, _PLAN_BASE, _PREVIOUS)
    return (
        _scores_table(SubscriberRecipe(of_day, count_scores)),
        _limits_table(ranges),
        _anomalies_table(SubscriberRecipe((*of_day, _TODAYS_LIMITS), find_anomalies)),
        _levels_table(SubscriberRecipe(of_day, move_levels, is_state=True)),
    )


_OF_THE_DAY = (
    Source(TableInput("feeds/usage", _USAGE), "usage"),
    Source(TableInput("feeds/subscribers", _PEOPLE), "subscribers"),
)
_PLAN_BASE = Source(
    PLAN_USAGE_DAILY.read("plan_code", "active_subscribers", days=_BASE_DAYS),
    "plan_usage_daily",
    as_of_view="kernel",
)
_PREVIOUS = Source(
    TableInput(LEVELS, _LEVELS, days=KEPT_DAYS, is_required=False),
    "previous",
    before_day=True,
    is_newest_only=True,
)
_TODAYS_LIMITS = Source(TableInput(LIMITS, _LIMITS), "limits")
_PLAN_DOC = ColumnDoc("text", "plan at the end of the day", role="key")


def _levels_table(recipe: SubscriberRecipe) -> FeatureTable:
    return FeatureTable(
        name=LEVELS,
        description=(
            "Usual level and spread of each subscriber on each plan of the last 45 days, one row each. Fresh "
            "when the day's usage and CRM snapshot are in; without them the state of the day before goes on."
        ),
        owner=OWNER,
        kind="state",
        keys=("subscriber_id", "plan_code"),
        columns={
            "subscriber_id": SUBSCRIBER_KEY,
            "plan_code": _PLAN_DOC,
            "level": ColumnDoc("decimal", "usual ln((y + c) / (m + c)), robust moving mean", role="info"),
            "spread": ColumnDoc("decimal", "usual deviation from it, robust", role="info"),
            "history_days": ColumnDoc(
                "integer", "days on the plan that were seen, at most 30", "day", "info"
            ),
            "last_day": ColumnDoc("date", "last of them", role="info"),
        },
        recipe=recipe,
        version="1",
        is_compact=True,
    )


def _scores_table(recipe: SubscriberRecipe) -> FeatureTable:
    return FeatureTable(
        name=SCORES,
        description=(
            "How far subscribers were from their usual, counted in steps of 0.05 spreads, one row per plan, "
            "stratum, kind and step. Fresh with the day's usage; a day without it is missing in calibrations."
        ),
        owner=OWNER,
        kind="daily",
        keys=("plan_code", "stratum", "kind", "bucket"),
        columns={
            "plan_code": _PLAN_DOC,
            "stratum": ColumnDoc("integer", "history: 0 below 3 days, 1 below 10, 2 from 10", role="key"),
            "kind": ColumnDoc("text", "published, removal (less the common shift), or no_kernel", role="key"),
            "bucket": ColumnDoc("integer", "floor(score / 0.05)", role="key"),
            "subscribers": ColumnDoc("integer", "subscribers with this score", "count", "info"),
        },
        recipe=recipe,
        version="1",
    )


def _limits_table(ranges: RangeSpec) -> FeatureTable:
    scores = TableInput(SCORES, _SCORES, days=CALIBRATION_DAYS, is_required=False)
    source = Source(scores, "scores", before_day=True, min_partitions=CALIBRATION_DAYS_MIN)
    return FeatureTable(
        name=LIMITS,
        description=(
            "Which scores are normal on the day, one row per plan and stratum, over all plans (empty plan), and "
            "over all strata (-1). "
            "Made of the scores of the fourteen days before, at least seven; a day without any does not count."
        ),
        owner=OWNER,
        kind="daily",
        keys=("plan_code", "stratum"),
        columns={
            "plan_code": ColumnDoc("text", "plan, empty for all of them", role="key"),
            "stratum": ColumnDoc("integer", "as in subscriber_scores, -1 for all of them", role="key"),
            "low_score": ColumnDoc("decimal", "lower published limit; null with too few scores", role="info"),
            "high_score": ColumnDoc("decimal", "upper published limit; null with too few", role="info"),
            "removal_low_score": ColumnDoc("decimal", "lower removal limit; null with too few", role="info"),
            "removal_high_score": ColumnDoc("decimal", "upper removal limit; null with too few", role="info"),
            "scores": ColumnDoc("integer", "scores that they rest on", "count", "info"),
        },
        recipe=SubscriberRecipe((source,), lambda views: calibrate_limits(views, ranges)),
        # The shares are part of the statement, which is compiled once per version.
        version=f"1-{stable_hash(ranges)[:8]}",
    )


def _anomalies_table(recipe: SubscriberRecipe) -> FeatureTable:
    return FeatureTable(
        name=ANOMALIES,
        description=(
            "Subscribers whose data volume of the day is outside their range, one row each. Fresh when usage, "
            "CRM snapshot and kernel are in; without it nothing of the day is left out of corpora."
        ),
        owner=OWNER,
        kind="daily",
        keys=("subscriber_id",),
        columns={
            "subscriber_id": SUBSCRIBER_KEY,
            "plan_code": ColumnDoc("text", "plan at the end of the day", role="info"),
            "value_mb": ColumnDoc("decimal", "data volume at home and roaming", "MB", "info"),
            "low_mb": ColumnDoc("decimal", "lower end of the published range", "MB", "info"),
            "high_mb": ColumnDoc("decimal", "upper end of the published range", "MB", "info"),
            "reason": ColumnDoc("text", "above, below; far_above, far_below if removed", role="info"),
            "is_removed": ColumnDoc(
                "boolean", "outside the removal range too: left out of corpora", role="info"
            ),
        },
        recipe=recipe,
        version="1",
    )
