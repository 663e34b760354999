"""Stage `quality`, the witnesses beside the ranges: single subscribers, and features that moved.

Belongs here: turning the day's subscriber tables, histograms and compared features into materialisations and
checks. Does not belong here: any of their computations (mlops_assets.domain.quality).

A day on which they cannot be made is materialised without rows: the verdict of the day must be given all the same.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.partitions import day_before, trailing_days
from mlops_assets.assets.presentation import (
    data_version,
    outcome_table,
    row_count_metadata,
    select_published,
    table_schema,
)
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.features.build import TableOutcome, build_table
from mlops_assets.domain.features.table import FeatureTable
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.ports import Lake, TableEngine
from mlops_assets.domain.quality.monitor_day import MONITOR_VERSION, MonitorDay
from mlops_assets.domain.quality.monitor_tables import FEATURES, KERNEL, monitor_table
from mlops_assets.domain.quality.spec import MonitorSpec
from mlops_assets.domain.quality.subscriber_tables import ANOMALIES, LEVELS, subscriber_tables
from mlops_assets.domain.quality.watched_features import WATCHED_TABLES
from mlops_assets.domain.reporting.formats import format_share

Monitored = Callable[[MonitorSpec, dt.date, Lake, TableEngine], list[MonitorDay]]


def build_witness_assets(
    config: ProjectConfig, days: dg.PartitionsDefinition, monitored: Monitored
) -> list[dg.AssetsDefinition]:
    """Return the assets of single subscribers, of histograms, and of compared features.

    Args:
        config: the project.
        days: partitions of the data.
        monitored: a monitor's day in every geography.
    """
    monitors = config.daily_monitors()
    judging = [spec for spec in monitors if spec.is_per_subscriber]
    watching = [spec for spec in monitors if spec.features.tables]
    geographies = sorted(config.geographies)
    assets = [_build_subscribers(spec, geographies, days) for spec in judging]
    watched = dict.fromkeys(name for spec in watching for name in spec.features.tables)
    if watched:
        assets.append(_build_histograms([WATCHED_TABLES[name] for name in watched], geographies, days))
    return [*assets, *(_build_features(spec, days, monitored) for spec in watching)]


def witness_keys(spec: MonitorSpec) -> list[dg.AssetKey]:
    """Return the assets that a monitor's drift verdict looks at beside its own results."""
    keys = [_key(ANOMALIES)] if spec.is_per_subscriber else []
    return [*keys, *([_key(monitor_table(spec.name, FEATURES))] if spec.features.tables else [])]


def _key(table: str) -> dg.AssetKey:
    return dg.AssetKey(names.table_key(table))


def _build_subscribers(
    spec: MonitorSpec, geographies: Sequence[str], days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    tables = subscriber_tables(monitor_table(spec.name, KERNEL), spec.ranges)
    check = dg.AssetCheckSpec(
        names.CHECK_SUBSCRIBERS,
        asset=_key(ANOMALIES),
        partitions_def=days,
        description="At most the configured share of subscribers is outside their own range.",
    )

    @dg.multi_asset(
        name="subscriber_ranges",
        specs=[_spec(table, tables, days) for table in tables],
        check_specs=[check],
        partitions_def=days,
    )
    @retry_if_worthwhile
    def subscribers(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], engine: dg.ResourceParam[TableEngine]
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        day = dt.date.fromisoformat(context.partition_key)
        yield from _build_all(tables, geographies, day, lake, engine)
        yield _check_subscribers(spec, geographies, day, lake, engine)

    return subscribers


def _build_histograms(
    tables: Sequence[FeatureTable], geographies: Sequence[str], days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="feature_histograms",
        specs=[_spec(table, tables, days) for table in tables],
        partitions_def=days,
    )
    @retry_if_worthwhile
    def histograms(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], engine: dg.ResourceParam[TableEngine]
    ) -> Iterator[dg.MaterializeResult]:
        day = dt.date.fromisoformat(context.partition_key)
        yield from _build_all(tables, geographies, day, lake, engine)

    return histograms


def _spec(
    table: FeatureTable, together: Sequence[FeatureTable], days: dg.PartitionsDefinition
) -> dg.AssetSpec:
    return dg.AssetSpec(
        _key(table.name),
        description=(
            f"{table.description}\n\nGrain: one row per {', '.join(table.keys)} and day. Freshness: with the day's "
            "run. On failure: the day has one witness of drift less."
        ),
        group_name=names.SHARED_GROUP,
        owners=[table.owner],
        kinds={"duckdb", "parquet"},
        partitions_def=days,
        code_version=table.version,
        deps=list(_dependencies(table, {one.name for one in together})),
        metadata={"dagster/column_schema": table_schema(table)},
    )


def _dependencies(table: FeatureTable, together: set[str]) -> Iterator[dg.AssetDep]:
    for source in table.inputs:
        if source.table == LEVELS:
            continue  # the state of the day before: the past of what is built together
        if source.table in together:
            yield dg.AssetDep(_key(source.table))
        elif source.table.endswith(f"/{KERNEL}"):
            yield dg.AssetDep(_key(source.table), partition_mapping=day_before())
        else:
            mapping = trailing_days(source.days) if source.days != 1 else None
            yield dg.AssetDep(_key(source.table), partition_mapping=mapping)


def _build_all(
    tables: Sequence[FeatureTable], geographies: Sequence[str], day: dt.date, lake: Lake, engine: TableEngine
) -> Iterator[dg.MaterializeResult]:
    for table in tables:
        outcomes = [build_table(table, code, day, lake=lake, engine=engine) for code in geographies]
        yield _materialize(table, outcomes)


def _materialize(table: FeatureTable, outcomes: Sequence[TableOutcome]) -> dg.MaterializeResult:
    published = select_published(outcomes)
    return dg.MaterializeResult(
        asset_key=_key(table.name),
        # No preview: rows of single subscribers are nothing for Dagster's database.
        metadata={
            **row_count_metadata(published),
            "geographies": outcome_table(outcomes, lambda o: o.detail),
        },
        data_version=data_version(published),
    )


def _check_subscribers(
    spec: MonitorSpec, geographies: Sequence[str], day: dt.date, lake: Lake, engine: TableEngine
) -> dg.AssetCheckResult:
    from mlops_assets.domain.quality.subscriber_counts import count_subscribers

    counts = {code: count_subscribers(code, day, lake=lake, engine=engine) for code in geographies}
    shares = {code: found.outside_share if found else None for code, found in counts.items()}
    words = {
        code: "not judged" if share is None else f"{format_share(share)} outside"
        for code, share in shares.items()
    }
    return dg.AssetCheckResult(
        check_name=names.CHECK_SUBSCRIBERS,
        asset_key=_key(ANOMALIES),
        passed=all(share is None or share <= spec.drift.anomaly_share for share in shares.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"geographies": dg.MetadataValue.json(words)},
    )


def _build_features(
    spec: MonitorSpec, days: dg.PartitionsDefinition, monitored: Monitored
) -> dg.AssetsDefinition:
    @dg.asset(
        key=_key(monitor_table(spec.name, FEATURES)),
        description=(
            f"Distances of watched features ({', '.join(spec.features.tables)}) from the same weekdays before: "
            "Wasserstein on log scale, stability index; thresholds from their own past.\n\nGrain: one row per table "
            "and feature. Freshness: with the day's run. On failure: the day has one witness of drift less."
        ),
        group_name=names.SHARED_GROUP,
        owners=[spec.owner],
        kinds={"parquet"},
        partitions_def=days,
        code_version=stable_hash([spec.features, MONITOR_VERSION])[:12],
        deps=[_key(WATCHED_TABLES[name].name) for name in spec.features.tables],
    )
    @retry_if_worthwhile
    def features(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], engine: dg.ResourceParam[TableEngine]
    ) -> dg.MaterializeResult:
        from mlops_assets.domain.quality.feature_watch import compare_features

        day = dt.date.fromisoformat(context.partition_key)
        outcomes = [compare_features(one) for one in monitored(spec, day, lake, engine)]
        published = select_published(outcomes)
        return dg.MaterializeResult(
            metadata={
                **row_count_metadata(published),
                "geographies": outcome_table(outcomes, lambda o: o.detail),
            },
            data_version=data_version(published),
        )

    return features
