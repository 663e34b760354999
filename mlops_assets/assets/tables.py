"""Stage `etl`: one asset per shared feature table.

Belongs here: turning table outcomes into materialisation, metadata and checks, and the dependencies between
days. Does not belong here: expressions and the incremental builder (mlops_assets.domain.features).
"""

import datetime as dt
from collections.abc import Iterator, Sequence

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.partitions import trailing_days
from mlops_assets.assets.presentation import (
    data_version,
    outcome_table,
    preview,
    row_count_metadata,
    select_published,
    table_schema,
)
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.features.build import TableOutcome, build_table
from mlops_assets.domain.features.catalogue import FEATURE_TABLES
from mlops_assets.domain.features.table import FeatureTable
from mlops_assets.domain.ports import Lake, TableEngine


def build_table_assets(config: ProjectConfig, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return one asset per feature table, partitioned by day."""
    return [_build_table_asset(table, sorted(config.geographies), days) for table in FEATURE_TABLES.values()]


def _build_table_asset(
    table: FeatureTable, geographies: Sequence[str], days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    key = dg.AssetKey(names.table_key(table.name))

    @dg.asset(
        key=key,
        description=(
            f"{table.description}\n\nGrain: one row per {', '.join(table.keys)} and day. Freshness: with "
            f"the day's run. On "
            "failure: the geography concerned is left out of everything downstream, the others go on."
        ),
        group_name=names.SHARED_GROUP,
        owners=[table.owner],
        kinds={"duckdb", "parquet"},
        partitions_def=days,
        code_version=table.version,
        deps=_dependencies(table),
        metadata={"dagster/column_schema": table_schema(table)},
        check_specs=[
            dg.AssetCheckSpec(
                names.CHECK_INPUTS,
                asset=key,
                blocking=True,
                partitions_def=days,
                description="Every geography has the inputs of the day. Fails hard when none has.",
            )
        ],
    )
    @retry_if_worthwhile
    def table_asset(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], engine: dg.ResourceParam[TableEngine]
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        day = dt.date.fromisoformat(context.partition_key)
        outcomes = [build_table(table, geography, day, lake=lake, engine=engine) for geography in geographies]
        yield from _report(table, outcomes, lake, engine)

    return table_asset


def _dependencies(table: FeatureTable) -> list[dg.AssetDep]:
    # A state's own yesterday is a short cut with the same result, not a dependency.
    return [
        dg.AssetDep(
            dg.AssetKey(names.table_key(source.table)),
            partition_mapping=trailing_days(source.days) if source.days != 1 else None,
        )
        for source in table.inputs
        if not source.is_own_state
    ]


def _report(
    table: FeatureTable, outcomes: list[TableOutcome], lake: Lake, engine: TableEngine
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    published = select_published(outcomes)
    missing = [o for o in outcomes if o not in published]
    check = dg.AssetCheckResult(
        check_name=names.CHECK_INPUTS,
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN if published else dg.AssetCheckSeverity.ERROR,
        metadata={"missing": dg.MetadataValue.md("\n".join(f"- {o.detail}" for o in missing))}
        if missing
        else {},
    )
    if not published:
        yield check
        raise dg.Failure(f"no geography has the inputs of {table.name}", allow_retries=False)
    yield dg.MaterializeResult(
        metadata={
            **row_count_metadata(published),
            "geographies": outcome_table(outcomes, lambda o: o.detail),
            "preview": preview(lake, engine, published[0].partition, table.keys),
        },
        data_version=data_version(published),
        check_results=[check],
    )
