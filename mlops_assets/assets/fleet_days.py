"""Stages `alerts` and `matched`: a fleet's alert list of the day, and its predictions beside what happened.

Belongs here: turning their outcomes into materialisations, metadata, mails and checks. Does not belong here: reasons,
counting, drift (mlops_assets.domain.learning.fleet_*) or pages (mlops_assets.domain.reporting).
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.partitions import trailing_days
from mlops_assets.assets.presentation import data_version, outcome_table, record_table, row_count_metadata
from mlops_assets.assets.segments import Segments, owners_of
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.fleet_alerts import (
    ALERTS_VERSION,
    AlertOutcome,
    AlertStores,
    publish_alerts,
    read_alerts,
)
from mlops_assets.domain.learning.fleet_live import (
    EARLIER_DAYS,
    RECENT_DAYS,
    LiveRecord,
    read_live,
    share_of,
)
from mlops_assets.domain.learning.fleet_matching import (
    LOOK_BACK_DAYS,
    MATCHING_VERSION,
    MatchOutcome,
    days_to_match,
    match_day,
)
from mlops_assets.domain.learning.fleet_scoring import FleetDay
from mlops_assets.domain.learning.spec import EventLabel
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.ports import (
    Lake,
    ModelRegistry,
    ModelSlot,
    PartitionId,
    PromotionLedger,
    TableEngine,
)
from mlops_assets.domain.reporting.fleet_alert_list import AlertList, make_alert_message, render_alert_csv
from mlops_assets.domain.reporting.report_index import save_report_index
from mlops_assets.domain.reporting.report_ports import ReportStore

LIVE_DAYS = RECENT_DAYS + EARLIER_DAYS  # of matched predictions that a report reads
_SHOWN_GROUPS = 200


def daily_fleets(config: ProjectConfig) -> Iterator[tuple[str, str, Segments]]:
    """Yield use case, model and segments of the fleets that are scored daily and raise alerts about events."""
    for use_case in sorted(config.use_cases):
        for model, segments in config.fleets(use_case).items():
            alerting = {
                segment: item
                for segment, item in segments.items()
                if item.score_daily
                and item.segment_by == "geography"
                and (spec := item.models[model]).fleet is not None
                and spec.alerts is not None
                and isinstance(spec.label, EventLabel)
            }
            if alerting:
                yield use_case, model, alerting


def fleet_on(use_case: str, model: str, segments: Segments, segment: str, day: dt.date) -> FleetDay:
    """Return one segment's fleet on a day."""
    settings = segments[segment]
    return FleetDay(ModelSlot(use_case, model, segment), settings.corpus, settings.models[model], day)


def build_fleet_day_assets(config: ProjectConfig, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return the alert list of every fleet that has one, and what became of its predictions."""
    fleets = list(daily_fleets(config))
    return [build(*fleet, days) for fleet in fleets for build in (_build_alerts, _build_matching)]


def _build_alerts(
    use_case: str, model: str, segments: Segments, days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    specs = {segment: settings.models[model].alerts for segment, settings in segments.items()}
    tables = sorted({settings.corpus.table for settings in segments.values()})

    @dg.asset(
        key=names.fleet_alerts_key(use_case, model),
        description=(
            f"Alert list of {model} for the people who look after the devices: those worth their cost, at most the "
            "team's capacity, the largest expected saving first, with reasons; as CSV and mail, once a day.\n\n"
            "Grain: one row per alert, segment and day. Freshness: with the day's run. On failure: the scores stand, "
            "their list is missing and the day is run again."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"parquet", "csv"},
        partitions_def=days,
        code_version=stable_hash([specs, ALERTS_VERSION])[:12],
        deps=[
            dg.AssetKey(names.scores_key(use_case, model)),
            *(dg.AssetKey(names.table_key(table)) for table in tables),
        ],
    )
    @retry_if_worthwhile
    def alerts_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
        reports: dg.ResourceParam[ReportStore],
        outbox: dg.ResourceParam[Outbox],
    ) -> dg.MaterializeResult:
        day = dt.date.fromisoformat(context.partition_key)
        stores, outcomes = AlertStores(lake, engine, registry, ledger), []
        for segment in sorted(segments):
            fleet = fleet_on(use_case, model, segments, segment, day)
            outcome = publish_alerts(fleet, stores)
            outcomes.append(outcome)
            if outcome.manifest is not None:
                alerts = _list_alerts(fleet, outcome.partition, outcome.manifest.facts, lake)
                path = f"{use_case}/alerts/{model}.{segment}/{day.isoformat()}.csv"
                reports.save(path, render_alert_csv(alerts))
                if segments[segment].recipients:
                    message = make_alert_message(alerts, segments[segment].recipients)
                    outbox.enqueue(message, dt.datetime.now(dt.UTC))
        save_report_index(reports)
        return _report_alerts(outcomes)

    return alerts_asset


def _list_alerts(fleet: FleetDay, made: PartitionId, facts: Mapping[str, Any], lake: Lake) -> AlertList:
    key, group = fleet.corpus.entity_key, fleet.group_column
    return AlertList(
        use_case=fleet.slot.use_case,
        model=fleet.slot.model,
        segment=fleet.slot.segment,
        day=fleet.day,
        entity=key,
        rows=tuple(row | {"key": row[key], "group": row[group]} for row in read_alerts(lake, made)),
        scored=facts["scored"],
        worth=facts["worth"],
        capacity_per_day=facts["capacity_per_day"],
        not_loadable=tuple(facts["not_loadable"]),
    )


def _report_alerts(outcomes: list[AlertOutcome]) -> dg.MaterializeResult:
    published = [one for one in outcomes if one.manifest is not None]
    return dg.MaterializeResult(
        metadata={**row_count_metadata(published), "segments": outcome_table(outcomes, lambda o: o.detail)},
        data_version=data_version(published),
    )


def _build_matching(
    use_case: str, model: str, segments: Segments, days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    labels = {segment: _label_of(settings.models[model].label) for segment, settings in segments.items()}
    key = dg.AssetKey(names.fleet_matched_key(use_case, model))
    window = trailing_days(1 + LOOK_BACK_DAYS + max(label.horizon_days for label in labels.values()))

    @dg.asset(
        key=key,
        description=(
            f"Predictions of {model} beside what happened: devices, events, alerts and their hits by group, for each "
            "day whose horizon is in by now. A day that waits for a missing feed is named, and counted when the feed "
            "is there.\n\nGrain: one row per group, segment and day of prediction. Freshness: a day of prediction is "
            "matched when the last feed of its horizon is in. On failure: nothing is lost, a later day matches it."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"parquet"},
        partitions_def=days,
        code_version=stable_hash([labels, MATCHING_VERSION])[:12],
        deps=[
            dg.AssetDep(dg.AssetKey(names.scores_key(use_case, model)), partition_mapping=window),
            *(
                dg.AssetDep(dg.AssetKey(names.table_key(table)), partition_mapping=window)
                for table in sorted({label.table for label in labels.values()})
            ),
        ],
        check_specs=[
            dg.AssetCheckSpec(
                names.CHECK_MATCHED,
                asset=key,
                partitions_def=days,
                description="No day of prediction waits for a feed.",
            ),
            dg.AssetCheckSpec(
                names.CHECK_RECALL,
                asset=key,
                partitions_def=days,
                description="No group catches fewer of its events than before, beyond chance.",
            ),
        ],
    )
    @retry_if_worthwhile
    def matching_asset(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
    ) -> dg.MaterializeResult:
        today = dt.date.fromisoformat(context.partition_key)
        outcomes = [
            match_day(fleet_on(use_case, model, segments, segment, day), lake=lake, engine=engine)
            for segment, label in sorted(labels.items())
            for day in days_to_match(today, label)
        ]
        live = {
            segment: read_live(lake, ModelSlot(use_case, model, segment), today) for segment in sorted(labels)
        }
        return _report_matching(outcomes, live)

    return matching_asset


def _label_of(label: object) -> EventLabel:
    if not isinstance(label, EventLabel):
        raise TypeError("a label about events is expected")
    return label


def _report_matching(outcomes: list[MatchOutcome], live: dict[str, LiveRecord]) -> dg.MaterializeResult:
    missing = sorted({source for one in outcomes for source in one.missing})
    fallen = [
        f"{segment}: {group}"
        for segment, record in live.items()
        for group, drift in record.drift.items()
        if drift.verdict == "fallen"
    ]
    figures = {
        f"{name}_{segment}": share
        for segment, record in live.items()
        for name, share in (
            ("precision", share_of(record.total, "alert_events", "alerts")),
            ("recall", share_of(record.total, "above_events", "events")),
        )
        if share is not None
    }
    shown = [one for one in outcomes if one.status != "no_scores"]
    return dg.MaterializeResult(
        metadata={
            "days": record_table(
                [
                    {"day": str(one.partition), "status": one.status, "what": one.detail}
                    for one in shown[-_SHOWN_GROUPS:]
                ]
            ),
            **{name: dg.MetadataValue.float(share) for name, share in figures.items()},
        },
        data_version=dg.DataVersion(
            stable_hash([one.manifest.build_key for one in outcomes if one.manifest])[:16]
        ),
        check_results=[
            _warn(names.CHECK_MATCHED, missing, "not matched without"),
            _warn(names.CHECK_RECALL, fallen, "recall has fallen beyond chance:"),
        ],
    )


def _warn(check: str, found: list[str], what: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=check,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{what} {', '.join(found[:_SHOWN_GROUPS])}" if found else None,
    )
