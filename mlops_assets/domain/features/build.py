"""Build one partition of a feature table, or find that it is already there.

Belongs here: the step from a plan to a published partition. Does not belong here: what a table computes, or
in which order tables are built (catalogue.py is ordered).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlops_assets.domain.ask_together import ask_together
from mlops_assets.domain.features.compile import compile_table
from mlops_assets.domain.features.table import (
    BuildPlan,
    BuildSite,
    FeatureTable,
    MissingInput,
    ViewPlan,
    empty_arrow,
)
from mlops_assets.domain.ports import Lake, Manifest, PartitionId, TableEngine, ViewSource
from mlops_assets.domain.published import find_current, read_manifest

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TableOutcome:
    """What became of one partition.

    Attributes:
        status: `built`, `reused` (published with the same build key) or `missing_input`.
        partition: the partition asked for.
        manifest: what is published now, or None.
        detail: one sentence for people.
    """

    status: Literal["built", "reused", "missing_input"]
    partition: PartitionId
    manifest: Manifest | None
    detail: str


def build_table(
    table: FeatureTable,
    geography: str,
    day: dt.date,
    *,
    lake: Lake,
    engine: TableEngine,
) -> TableOutcome:
    """Publish the partition of a geography and day, unless it is there, intact, or an input is absent.

    Args:
        table: what to build.
        geography: segment of the partition and of all inputs.
        day: day of the partition.
        lake: where inputs are and the result goes.
        engine: runs the table's SQL.

    Raises:
        EngineError: an input cannot be read, or memory or disk ran out; the old partition stands.
        StorageError: the result cannot be published; the old partition stands.
    """
    site = BuildSite(lake, geography, day)
    partition = site.partition(table.name, day)
    plan = table.recipe.plan(table, site)
    if isinstance(plan, MissingInput):
        published = read_manifest(lake, partition)
        detail = _missing_detail(plan, partition, published)
        return TableOutcome("missing_input", partition, published, detail)
    if current := find_current(lake, partition, plan.build_key):
        detail = f"{partition} is current, {current.row_count} rows"
        return TableOutcome("reused", partition, current, detail)
    manifest = _publish(table, partition, plan, lake, engine)
    detail = f"{partition} built by {plan.statement}, {manifest.row_count} rows"
    return TableOutcome("built", partition, manifest, detail)


def _publish(
    table: FeatureTable, partition: PartitionId, plan: BuildPlan, lake: Lake, engine: TableEngine
) -> Manifest:
    sql = compile_table(table, plan.statement, engine.dialect)
    views = {name: view_source(view, lake) for name, view in plan.views.items()}
    views["as_of"] = ViewSource(table=_as_of(partition.day, plan.as_of_facts))
    with lake.write(partition, plan.build_key) as writer:
        rows = engine.write_parquet(sql, views, writer.file("data"))
        return writer.commit(row_count=rows, inputs=plan.inputs, facts=plan.facts)


def view_source(view: ViewPlan, lake: Lake) -> ViewSource:
    """Return the files of a planned view, or an empty table of its columns."""
    if not view.partitions:
        dated = {**view.columns, "file_day": "date"} if view.has_file_day else view.columns
        return ViewSource(table=empty_arrow(dated))
    days = [partition.day for partition in view.partitions if partition.day is not None]
    return ViewSource(
        files=ask_together(lake, lake.path, view.partitions),
        file_days=days if view.has_file_day else (),
    )


def _as_of(day: dt.date | None, facts: Mapping[str, int]) -> pa.Table:
    import pyarrow as pa

    columns = {"day": pa.array([day], pa.date32())}
    return pa.table(columns | {name: pa.array([value], pa.int64()) for name, value in facts.items()})


def _missing_detail(missing: MissingInput, partition: PartitionId, published: Manifest | None) -> str:
    detail = f"{partition} needs {missing.partition}, which is not published"
    if published is None:
        return f"{detail}; deliver or build it, then run again"
    return f"{detail} any more; the partition built from it earlier stays and is stale"
