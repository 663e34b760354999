"""Stage `quality`: what each monitor finds on a day, and the reports on it.

Belongs here: turning a monitor's outcomes into materialisations, checks, reports and mails. Does not belong
here: forecasting, judging, drift (mlops_assets.domain.quality) or what reports say (domain.reporting).
"""

import datetime as dt
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.partitions import day_before, trailing_days
from mlops_assets.assets.presentation import (
    data_version,
    outcome_table,
    report_metadata,
    row_count_metadata,
    select_published,
)
from mlops_assets.assets.witnesses import build_witness_assets, witness_keys
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.recipients import feed_recipients, monitor_recipients
from mlops_assets.config.run_plan import retrained_since
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.ports import Lake, PromotionLedger, TableEngine
from mlops_assets.domain.quality.kernel import history_days
from mlops_assets.domain.quality.monitor_day import MonitorDay, MonitorOutcome, code_versions
from mlops_assets.domain.quality.monitor_tables import ANOMALIES, DRIFT, KERNEL, monitor_table
from mlops_assets.domain.quality.spec import MonitorSpec
from mlops_assets.domain.reporting.delivery_mail import make_escalation_messages
from mlops_assets.domain.reporting.monitor_reports import (
    make_anomaly_messages,
    make_summary_messages,
    render_monitor_day,
    render_summary_day,
)
from mlops_assets.domain.reporting.report_index import save_report_index
from mlops_assets.domain.reporting.report_ports import ReportStore


@dataclass(frozen=True)
class MonitorResult:
    """One stored result of a monitor: how it is made, what is checked, what people read about it."""

    name: str
    act: Callable[[MonitorDay], MonitorOutcome]
    check: str
    check_description: str
    description: str


RESULTS = (
    MonitorResult(
        KERNEL,
        MonitorDay.build_kernel,
        names.CHECK_COVERAGE,
        "Every series has a range; without one its values go unchecked.",
        "Ranges of the coming days for every series, made with what is known on the day.\n\nGrain: one row per "
        "series and coming day. Freshness: with the day's run. On failure: the coming days are judged by older "
        "ranges.",
    ),
    MonitorResult(
        ANOMALIES,
        MonitorDay.judge,
        names.CHECK_ANOMALIES,
        "At most the configured share of series is outside its range.",
        "The day's values against the ranges that were made before it.\n\nGrain: one row per series. Freshness: "
        "with the day's run. On failure: the day counts neither as an anomaly nor as normal.",
    ),
    MonitorResult(
        DRIFT,
        MonitorDay.decide,
        names.CHECK_DRIFT,
        "Behaviour has not moved; retraining is not due.",
        "Evidence of drift and the verdict on it: healthy, broken feed, one-off event or behaviour shift.\n\nGrain: "
        "one verdict per geography. Freshness: with the day's run. On failure: nothing is retrained.",
    ),
)
OUTCOME_WORDS = {True: "fine", False: "not fine", None: "not checked"}


def build_quality_assets(config: ProjectConfig, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return kernel, anomalies and drift of every daily monitor, its report, and the summary of the day."""
    monitors = config.daily_monitors()
    assets = [asset for spec in monitors for asset in _build_monitor(config, spec, days)]
    witnesses = build_witness_assets(config, days, functools.partial(_monitored, config))
    return [*assets, *witnesses, _build_summary(config, monitors, days)]


def _build_monitor(
    config: ProjectConfig, spec: MonitorSpec, days: dg.PartitionsDefinition
) -> list[dg.AssetsDefinition]:
    source = dg.AssetKey(names.table_key(spec.table))
    by_older_ranges = dg.AssetDep(result_key(spec, KERNEL), partition_mapping=day_before())
    deps = {
        KERNEL: [dg.AssetDep(source, partition_mapping=trailing_days(history_days(spec.forecast)))],
        ANOMALIES: [dg.AssetDep(source), by_older_ranges],
        DRIFT: [
            dg.AssetDep(result_key(spec, ANOMALIES)),
            by_older_ranges,
            *map(dg.AssetDep, witness_keys(spec)),
        ],
    }
    results = [_build_result(config, spec, days, result, deps[result.name]) for result in RESULTS]
    return [*results, _build_report(config, spec, days)]


def result_key(spec: MonitorSpec, result: str) -> dg.AssetKey:
    """Return the asset key of a monitor's kernel, anomalies or drift."""
    return dg.AssetKey(names.table_key(monitor_table(spec.name, result)))


def _build_result(
    config: ProjectConfig,
    spec: MonitorSpec,
    days: dg.PartitionsDefinition,
    result: MonitorResult,
    deps: Sequence[dg.AssetDep],
) -> dg.AssetsDefinition:
    key = result_key(spec, result.name)

    @dg.asset(
        key=key,
        description=result.description,
        group_name=names.SHARED_GROUP,
        owners=[spec.owner],
        kinds={"duckdb", "parquet"},
        partitions_def=days,
        code_version=stable_hash([spec, code_versions(spec)])[:12],
        deps=deps,
        check_specs=[
            dg.AssetCheckSpec(
                result.check, asset=key, partitions_def=days, description=result.check_description
            )
        ],
    )
    @retry_if_worthwhile
    def result_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.MaterializeResult:
        day = dt.date.fromisoformat(context.partition_key)
        outcomes = [
            result.act(_after_retraining(config, ledger, one))
            for one in _monitored(config, spec, day, lake, engine)
        ]
        published = select_published(outcomes)
        return dg.MaterializeResult(
            metadata={
                **row_count_metadata(published),
                "geographies": outcome_table(outcomes, lambda o: o.detail),
            },
            data_version=data_version(published),
            check_results=[_check(result.check, spec, outcomes)],
        )

    return result_asset


def _monitored(
    config: ProjectConfig, spec: MonitorSpec, day: dt.date, lake: Lake, engine: TableEngine
) -> list[MonitorDay]:
    from mlops_assets.domain.features.catalogue import feeds_behind

    feeds = feeds_behind(spec.table)
    return [
        MonitorDay(spec.in_country(config.geographies[code].country), feeds, code, day, lake, engine)
        for code in sorted(config.geographies)
    ]


def _after_retraining(config: ProjectConfig, ledger: PromotionLedger, monitored: MonitorDay) -> MonitorDay:
    """Return the monitor's day with the day from which evidence of drift counts."""
    since_day = retrained_since(config, ledger, monitored.spec.name, monitored.segment, monitored.day)
    return replace(monitored, since_day=since_day)


def _check(name: str, spec: MonitorSpec, outcomes: Sequence[MonitorOutcome]) -> dg.AssetCheckResult:
    """Evaluate a monitor's check; what could not be looked at is no failure, but said to be so."""
    judged = {o.partition.segment: is_fine(name, spec, o) for o in outcomes}
    told = {segment: OUTCOME_WORDS[outcome] for segment, outcome in judged.items()}
    return dg.AssetCheckResult(
        check_name=name,
        passed=False not in judged.values(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"geographies": dg.MetadataValue.json(told)},
    )


def is_fine(name: str, spec: MonitorSpec, outcome: MonitorOutcome) -> bool | None:
    """Return whether an outcome passes a check of its monitor; None if it could not be looked at."""
    facts = outcome.manifest.facts if outcome.manifest and outcome.status != "missing_input" else None
    if facts is None:
        return None
    if name == names.CHECK_COVERAGE:
        return bool(facts["series_with_range"] == facts["series"])
    if name == names.CHECK_ANOMALIES:
        share = facts["outside_share"]
        return None if share is None else bool(share <= spec.drift.anomaly_share)
    return not facts["verdict"]["is_retraining_due"]


def report_key(spec: MonitorSpec) -> list[str]:
    """Return the asset key of a monitor's report."""
    return ["reports", spec.name, "anomaly_report"]


def _build_report(
    config: ProjectConfig, spec: MonitorSpec, days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    @dg.asset(
        key=dg.AssetKey(report_key(spec)),
        description=(
            f"What was outside its range in {spec.name}, why, and what follows; mailed when there is something to "
            "say.\n\nGrain: one page and one kernel file per geography and day. Freshness: with the day's run. On "
            "failure: the verdicts stand, their page is missing."
        ),
        group_name=names.SHARED_GROUP,
        owners=[spec.owner],
        kinds={"html", "csv"},
        partitions_def=days,
        deps=[result_key(spec, result) for result in (KERNEL, ANOMALIES, DRIFT)],
    )
    @retry_if_worthwhile
    def anomaly_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        reports: dg.ResourceParam[ReportStore],
        outbox: dg.ResourceParam[Outbox],
    ) -> dg.MaterializeResult:
        day, paths, shown = dt.date.fromisoformat(context.partition_key), [], []
        for monitored in _monitored(config, spec, day, lake, engine):
            rendered = render_monitor_day(monitored)
            paths += [reports.save(path, content) for path, content in rendered.files.items()]
            shown.append(rendered.markdown)
            for message in make_anomaly_messages(monitored, rendered):
                outbox.enqueue(message, dt.datetime.now(dt.UTC))
        return dg.MaterializeResult(metadata=report_metadata("\n\n".join(shown), paths))

    return anomaly_report


def _build_summary(
    config: ProjectConfig, monitors: Sequence[MonitorSpec], days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    # After the monitors' reports: the last report of a day renews the index of all.
    deps = [dg.AssetKey(report_key(spec)) for spec in monitors]
    deps += [dg.AssetKey(names.feed_key(feed.name)) for feed in config.daily_feeds()]
    chains = {code: config.geography_chain(code) for code in config.geographies}

    @dg.asset(
        key=names.table_key("reports/quality_summary"),
        description=(
            "The day in the operator's form: a column per feed, True (anomaly), False (none) or None (not "
            "executed); mailed, and with it what has been held for too long.\n\nGrain: one row per geography and day; "
            "on the week's last day the week as well. Freshness: with "
            "the day's run. On failure: the checks stand, their summary is missing."
        ),
        group_name=names.SHARED_GROUP,
        owners=["team:data-platform"],
        kinds={"html", "csv"},
        partitions_def=days,
        deps=deps,
    )
    @retry_if_worthwhile
    def quality_summary(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        reports: dg.ResourceParam[ReportStore],
        outbox: dg.ResourceParam[Outbox],
    ) -> dg.MaterializeResult:
        day = dt.date.fromisoformat(context.partition_key)
        exec_date = max(day, dt.datetime.now(dt.UTC).date())
        rendered = render_summary_day(
            config.daily_feeds(), sorted(config.geographies), monitors, day, exec_date, lake
        )
        for path, content in rendered.files.items():
            reports.save(path, content)
        save_report_index(reports)
        told = functools.partial(feed_recipients, config)
        waiting = make_escalation_messages(config.daily_feeds(), chains, day, lake, told)
        for message in (*make_summary_messages(rendered, day, monitor_recipients(config)), *waiting):
            outbox.enqueue(message, dt.datetime.now(dt.UTC))
        return dg.MaterializeResult(metadata={"summary": dg.MetadataValue.md(rendered.markdown)})

    return quality_summary
