"""Stage `quality` over snapshot feeds: every day of the snapshot, replayed by one materialisation.

Belongs here: turning a replay's outcomes into materialisations, checks, the report of the last day and its mail.
Does not belong here: the replay (mlops_assets.domain.quality.snapshot_replay), monitors of daily tables (quality).
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.presentation import data_version, record_table, report_metadata
from mlops_assets.assets.quality import OUTCOME_WORDS, RESULTS, MonitorResult, is_fine, report_key, result_key
from mlops_assets.config import names
from mlops_assets.config.loader import EVERYWHERE
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.ports import Lake, TableEngine
from mlops_assets.domain.quality.monitor_day import MonitorOutcome, code_versions
from mlops_assets.domain.quality.monitor_tables import ANOMALIES, DRIFT, KERNEL
from mlops_assets.domain.quality.snapshot_replay import SnapshotMonitor
from mlops_assets.domain.quality.spec import MonitorSpec
from mlops_assets.domain.reporting.monitor_reports import make_anomaly_messages, render_monitor_day
from mlops_assets.domain.reporting.report_index import save_report_index
from mlops_assets.domain.reporting.report_ports import ReportStore

SHOWN_DAYS = 30


def build_snapshot_quality_assets(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return kernel, anomalies, drift and report of every monitor of a snapshot feed, without partitions."""
    return [asset for spec in config.snapshot_monitors() for asset in _build_monitor(spec)]


def _build_monitor(spec: MonitorSpec) -> list[dg.AssetsDefinition]:
    source, kernel = dg.AssetKey(names.table_key(spec.table)), result_key(spec, KERNEL)
    deps = {KERNEL: [source], ANOMALIES: [source, kernel], DRIFT: [kernel, result_key(spec, ANOMALIES)]}
    return [*(_build_result(spec, result, deps[result.name]) for result in RESULTS), _build_report(spec)]


def _build_result(
    spec: MonitorSpec, result: MonitorResult, deps: Sequence[dg.AssetKey]
) -> dg.AssetsDefinition:
    key = result_key(spec, result.name)

    @dg.asset(
        key=key,
        description=_description(spec, result),
        group_name=names.SHARED_GROUP,
        owners=[spec.owner],
        kinds={"duckdb", "parquet"},
        code_version=stable_hash([spec, code_versions(spec)])[:12],
        deps=deps,
        check_specs=[
            dg.AssetCheckSpec(
                result.check, asset=key, description=f"On the snapshot's last day: {result.check_description}"
            )
        ],
    )
    @retry_if_worthwhile
    def result_asset(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], engine: dg.ResourceParam[TableEngine]
    ) -> dg.MaterializeResult:
        monitor = SnapshotMonitor.read(spec, EVERYWHERE, lake=lake, engine=engine)
        outcomes = monitor.replay(result.name, result.act)
        context.log.info("%s of %s: %d days replayed", result.name, spec.table, len(outcomes))
        return dg.MaterializeResult(
            metadata=_metadata(outcomes),
            data_version=data_version(outcomes),
            check_results=[_check(result.check, spec, outcomes)],
        )

    return result_asset


def _description(spec: MonitorSpec, result: MonitorResult) -> str:
    meaning = result.description.partition("\n\n")[0]
    return (
        f"{meaning} Every day of {spec.table} is replayed in order, with what was known then; days whose values are "
        "the same as before are kept.\n\nGrain: as of a daily monitor, for every day of the snapshot. Freshness: "
        f"with job {names.SNAPSHOT_QUALITY_JOB}. On failure: finished days stay, the next run goes on from there."
    )


def _metadata(outcomes: Sequence[MonitorOutcome]) -> dict[str, Any]:
    shown = [
        {
            "day": str(one.partition.day),
            "status": one.status,
            "rows": one.manifest.row_count if one.manifest else 0,
            "detail": one.detail,
        }
        for one in outcomes[-SHOWN_DAYS:]
    ]
    return {
        "dagster/row_count": sum(one.manifest.row_count for one in outcomes if one.manifest),
        "days": len(outcomes),
        "days_built": sum(one.status == "built" for one in outcomes),
        "first_day": str(outcomes[0].partition.day),
        "last_day": str(outcomes[-1].partition.day),
        "last_days": record_table(shown),
    }


def _check(name: str, spec: MonitorSpec, outcomes: Sequence[MonitorOutcome]) -> dg.AssetCheckResult:
    """Evaluate a check on the last day; a day that could not be looked at is no failure, but said to be so."""
    found = [is_fine(name, spec, outcome) for outcome in outcomes]
    return dg.AssetCheckResult(
        check_name=name,
        passed=found[-1] is not False,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "last_day": OUTCOME_WORDS[found[-1]],
            **{f"days_{word.replace(' ', '_')}": found.count(value) for value, word in OUTCOME_WORDS.items()},
        },
    )


def _build_report(spec: MonitorSpec) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey(report_key(spec)),
        description=(
            f"What was outside its range in {spec.name} on the snapshot's last day, and the ranges of the coming "
            f"{spec.forecast.horizon_days} days as a file.\n\nGrain: one page and one kernel file. Freshness: with "
            f"job {names.SNAPSHOT_QUALITY_JOB}. On failure: the verdicts stand, their page is missing."
        ),
        group_name=names.SHARED_GROUP,
        owners=[spec.owner],
        kinds={"html", "csv"},
        deps=[result_key(spec, result.name) for result in RESULTS],
    )
    @retry_if_worthwhile
    def anomaly_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        reports: dg.ResourceParam[ReportStore],
        outbox: dg.ResourceParam[Outbox],
    ) -> dg.MaterializeResult:
        last_day = SnapshotMonitor.read(spec, EVERYWHERE, lake=lake, engine=engine).days()[-1]
        rendered = render_monitor_day(last_day)
        paths = [reports.save(path, content) for path, content in rendered.files.items()]
        save_report_index(reports)
        context.log.info("report of %s on %s: %d files", spec.name, last_day.day, len(paths))
        for message in make_anomaly_messages(last_day, rendered):
            outbox.enqueue(message, dt.datetime.now(dt.UTC))
        return dg.MaterializeResult(metadata=report_metadata(rendered.markdown, paths))

    return anomaly_report
