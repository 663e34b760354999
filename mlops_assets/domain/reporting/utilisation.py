"""What running the platform costs: time, rows and money by stage and use case, and what reuse saved.

Belongs here: the typed content, and adding up what was measured. Does not belong here: measuring (mlops_assets.assets)
or how it looks (utilisation_page).

Nothing is estimated: seconds, CPU seconds and rows are those that each step noted when it ended. A step without such
a note (a failed try, or a run of an earlier version) is counted, and its CPU is in no sum. Cost is CPU seconds / 3600
x the price of a CPU hour. Reuse is arithmetic on the measured: a table with n readers was computed once, not n times.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record

SHARED = "shared"
COSTLIEST_ASSETS_MAX = 12
_SECONDS_PER_HOUR = 3600.0

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0.0)]


class StepUsage(Record):
    """One try of one step.

    Attributes:
        asset: key of what the step made, such as `etl/profile`; its first part is the stage.
        day: of the data, or of the training.
        seconds: wall clock.
        cpu_seconds: of all threads; None if they were not measured.
        row_count: rows of what was published; None if it has no rows.
        is_failed: the try failed, or was repeated.
    """

    asset: str
    day: dt.date
    seconds: Seconds
    cpu_seconds: Seconds | None = None
    row_count: Count | None = None
    is_failed: bool = False

    @property
    def stage(self) -> str:
        """First part of the key."""
        return self.asset.partition("/")[0]


class RunUsage(Record):
    """A run that is over, from its start to its end; `day` as that of its steps."""

    day: dt.date
    seconds: Seconds


class Price(Record):
    """Price of an hour of one CPU in USD; `is_assumed` if nobody configured it."""

    usd_per_cpu_hour: Annotated[float, Field(ge=0.0)]
    is_assumed: bool

    def cost_usd(self, cpu_seconds: float) -> float:
        """Return the cost of so many CPU seconds."""
        return cpu_seconds / _SECONDS_PER_HOUR * self.usd_per_cpu_hour


class UsageSum(Record):
    """Sum over steps; `unmeasured` of them have no CPU seconds, and are in the other figures only."""

    steps: Count = 0
    seconds: Seconds = 0.0
    cpu_seconds: Seconds = 0.0
    row_count: Count = 0
    unmeasured: Count = 0
    failed: Count = 0


class StageUsage(UsageSum):
    """A stage of a use case, or of what all share."""

    stage: str
    use_case: str


class AssetUsage(UsageSum):
    """All steps of an asset."""

    asset: str


class DayUsage(UsageSum):
    """All steps of a day."""

    day: dt.date


class SharedTable(Record):
    """A table that several use cases read, computed once."""

    table: str
    readers: Annotated[tuple[str, ...], Field(min_length=2)]
    cpu_seconds: Seconds

    @property
    def saved_cpu_seconds(self) -> float:
        """CPU seconds that the other readers would have spent on the same table."""
        return self.cpu_seconds * (len(self.readers) - 1)


class UtilisationReport(Record):
    """Cost of a period; lines in order of stage and use case, assets and tables by their CPU, days in order.

    `runs` that are over took `run_seconds` from their starts to their ends; `use_cases` are all that are configured.
    """

    first_day: dt.date
    last_day: dt.date
    price: Price
    use_cases: tuple[str, ...]
    total: UsageSum
    runs: Count
    run_seconds: Seconds
    stages: tuple[StageUsage, ...]
    days: tuple[DayUsage, ...]
    assets: tuple[AssetUsage, ...]
    shared_tables: tuple[SharedTable, ...] = ()

    @model_validator(mode="after")
    def _parts_add_up(self) -> UtilisationReport:
        for parts in (self.stages, self.days):
            if sum(one.steps for one in parts) != self.total.steps:
                raise ValueError(f"the parts have other steps than the total of {self.total.steps}")
        return self

    @property
    def title(self) -> str:
        """Heading, and entry in the index page."""
        return f"Utilisation: {self.first_day.isoformat()} to {self.last_day.isoformat()}"

    @property
    def cost_usd(self) -> float:
        """Cost of everything that was measured."""
        return self.price.cost_usd(self.total.cpu_seconds)

    @property
    def saved_cpu_seconds(self) -> float:
        """CPU seconds that sharing tables saved."""
        return sum(one.saved_cpu_seconds for one in self.shared_tables)

    @property
    def saved_share(self) -> float | None:
        """Saved CPU as a share of what would have been spent without sharing; None if nothing was measured."""
        alone = self.total.cpu_seconds + self.saved_cpu_seconds
        return self.saved_cpu_seconds / alone if alone else None

    def sum_by_stage(self) -> dict[str, float]:
        """Return CPU seconds by stage, over all use cases, in the order of the lines."""
        sums: dict[str, float] = defaultdict(float)
        for line in self.stages:
            sums[line.stage] += line.cpu_seconds
        return dict(sums)


def build_utilisation_report(
    steps: Iterable[StepUsage],
    runs: Iterable[RunUsage],
    *,
    first_day: dt.date,
    last_day: dt.date,
    price: Price,
    readers: Mapping[str, Iterable[str]],
    stages: Sequence[str],
) -> UtilisationReport:
    """Return the report of a period.

    Args:
        steps: of any days; those outside the period are ignored.
        runs: likewise.
        first_day: of the period.
        last_day: of the period, included.
        price: of a CPU hour.
        readers: use case to the tables that it rests on, directly or by others; all use cases are named.
        stages: order of the stages; others follow by name.
    """
    found = [one for one in steps if first_day <= one.day <= last_day]
    tables = {use_case: frozenset(names) for use_case, names in readers.items()}
    lengths = [one.seconds for one in runs if first_day <= one.day <= last_day]
    assets = _assets(found)
    return UtilisationReport(
        first_day=first_day,
        last_day=last_day,
        price=price,
        use_cases=tuple(sorted(tables)),
        total=UsageSum(**_add(found)),
        runs=len(lengths),
        run_seconds=sum(lengths),
        stages=tuple(_stages(found, tables, stages)),
        days=tuple(
            DayUsage(day=day, **_add(of)) for day, of in sorted(_group(found, lambda s: s.day).items())
        ),
        assets=tuple(assets[:COSTLIEST_ASSETS_MAX]),
        shared_tables=tuple(_shared_tables(assets, tables)),
    )


def _add(steps: Sequence[StepUsage]) -> dict[str, Any]:
    return {
        "steps": len(steps),
        "seconds": sum(one.seconds for one in steps),
        "cpu_seconds": sum(one.cpu_seconds or 0.0 for one in steps),
        "row_count": sum(one.row_count or 0 for one in steps),
        "unmeasured": sum(one.cpu_seconds is None for one in steps),
        "failed": sum(one.is_failed for one in steps),
    }


def _group(steps: Iterable[StepUsage], key: Callable[[StepUsage], Any]) -> dict[Any, list[StepUsage]]:
    groups: dict[Any, list[StepUsage]] = defaultdict(list)
    for step in steps:
        groups[key(step)].append(step)
    return groups


def _assets(steps: Iterable[StepUsage]) -> list[AssetUsage]:
    """Return the sums by asset, the costliest first."""
    sums = [AssetUsage(asset=asset, **_add(of)) for asset, of in _group(steps, lambda s: s.asset).items()]
    return sorted(sums, key=lambda one: (-one.cpu_seconds, -one.seconds, one.asset))


def _stages(
    steps: Iterable[StepUsage], tables: Mapping[str, frozenset[str]], order: Sequence[str]
) -> list[StageUsage]:
    groups = _group(steps, lambda s: (s.stage, use_case_of(s.asset, tables)))
    places = {stage: place for place, stage in enumerate(order)}
    keys = sorted(groups, key=lambda key: (places.get(key[0], len(order)), *key))
    return [StageUsage(stage=key[0], use_case=key[1], **_add(groups[key])) for key in keys]


def use_case_of(asset: str, use_cases: Iterable[str]) -> str:
    """Return the use case that an asset's key names in its second place; `shared` if there is none."""
    named = asset.split("/")[1:-1]
    return named[0] if named and named[0] in use_cases else SHARED


def _shared_tables(
    assets: Iterable[AssetUsage], tables: Mapping[str, frozenset[str]]
) -> Iterable[SharedTable]:
    for one in assets:
        readers = tuple(sorted(use_case for use_case, read in tables.items() if one.asset in read))
        if len(readers) > 1:
            yield SharedTable(table=one.asset, readers=readers, cpu_seconds=one.cpu_seconds)
