"""Stage `reports`, about fleets: the state of every group, after a training and by the week.

Belongs here: rendering and saving the report as assets. Does not belong here: its content (mlops_assets.domain).
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.fleet_days import LIVE_DAYS, daily_fleets, fleet_on
from mlops_assets.assets.partitions import segment_partitions, trailing_days
from mlops_assets.assets.presentation import report_metadata
from mlops_assets.assets.segments import Segments, owners_of
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.fleet_matching import find_missing_feeds
from mlops_assets.domain.learning.fleet_review import (
    FLEET_REVIEW_VERSION,
    assemble_fleet_report,
    read_sources,
)
from mlops_assets.domain.ports import Lake, ModelSlot, PromotionLedger
from mlops_assets.domain.reporting.fleet_report import FleetReport
from mlops_assets.domain.reporting.fleet_report_page import (
    render_fleet_csv,
    render_fleet_html,
    render_fleet_markdown,
)
from mlops_assets.domain.reporting.report_index import save_report_index
from mlops_assets.domain.reporting.report_ports import ReportStore
from mlops_assets.domain.weeks import sunday_of


def build_fleet_training_reports(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return the report after a training, of every fleet."""
    return [
        _build_training_report(use_case, model, segments, segment_partitions(config, use_case))
        for use_case in sorted(config.use_cases)
        for model, segments in config.fleets(use_case).items()
    ]


def build_fleet_week_reports(
    config: ProjectConfig, days: dg.PartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """Return the weekly report of every fleet that raises alerts."""
    return [_build_week_report(*one, days) for one in daily_fleets(config)]


def _build_training_report(
    use_case: str, model: str, segments: Segments, partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    specs = {segment: settings.models[model] for segment, settings in segments.items()}

    @dg.asset(
        key=names.fleet_training_report_key(use_case, model),
        description=(
            f"The fleet of {model} after a training: champion, metric and gain of every group, why groups share the "
            "pooled model, what failed, and what it cost.\n\nGrain: one page and table per segment and last day of "
            "data. Freshness: with each training. On failure: the decisions stand, their page is missing."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"html", "csv"},
        partitions_def=partitions,
        code_version=stable_hash([specs, FLEET_REVIEW_VERSION])[:12],
        deps=[dg.AssetKey(names.fleet_key(use_case, model))],
        output_required=False,
    )
    @retry_if_worthwhile
    def training_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[PromotionLedger],
        reports: dg.ResourceParam[ReportStore],
    ) -> Iterator[dg.MaterializeResult]:
        slot = ModelSlot(use_case, model, context.partition_key)
        spec = specs.get(slot.segment)
        found = read_sources(slot, spec, None, lake=lake, ledger=ledger) if spec and spec.fleet else None
        if found is None:
            context.log.info("segment %s has no trained fleet of %s", slot.segment, model)
            return
        report = assemble_fleet_report(found)
        name = f"trained-{report.data_day.isoformat()}" if report.data_day else "trained"
        paths = _save(report, name, reports)
        save_report_index(reports)
        yield dg.MaterializeResult(metadata=_metadata([report], paths))

    return training_report


def _build_week_report(
    use_case: str, model: str, segments: Segments, days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    specs = {segment: settings.models[model] for segment, settings in segments.items()}

    @dg.asset(
        key=names.fleet_report_key(use_case, model),
        description=(
            f"The fleet of {model} as it serves: champion, age, metric, live precision and recall and drift of every "
            "group, coverage, gains and cost.\n\nGrain: one page and table per segment and week, Monday to Sunday; on "
            "other days the week so far. Freshness: with the day's run. On failure: the day stands, its page is "
            "missing."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"html", "csv"},
        partitions_def=days,
        code_version=stable_hash([specs, FLEET_REVIEW_VERSION])[:12],
        deps=[
            dg.AssetKey(names.scores_key(use_case, model)),
            dg.AssetDep(
                dg.AssetKey(names.fleet_matched_key(use_case, model)),
                partition_mapping=trailing_days(LIVE_DAYS),
            ),
        ],
    )
    @retry_if_worthwhile
    def week_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        ledger: dg.ResourceParam[PromotionLedger],
        reports: dg.ResourceParam[ReportStore],
    ) -> dg.MaterializeResult:
        day, made, paths = dt.date.fromisoformat(context.partition_key), [], []
        for segment in sorted(segments):
            fleet = fleet_on(use_case, model, segments, segment, day)
            missing = find_missing_feeds(fleet, lake)
            found = read_sources(fleet.slot, fleet.spec, day, lake=lake, ledger=ledger, missing=missing)
            if found is not None:
                made.append(assemble_fleet_report(found))
                paths += _save(made[-1], f"week-{sunday_of(day).isoformat()}", reports)
        save_report_index(reports)
        return dg.MaterializeResult(metadata=_metadata(made, paths))

    return week_report


def _save(report: FleetReport, name: str, reports: ReportStore) -> list[str]:
    """Save page and table, and return their paths."""
    folder = f"{report.use_case}/fleet/{report.model}.{report.segment}"
    rendered = {"html": render_fleet_html(report), "csv": render_fleet_csv(report)}
    return [str(reports.save(f"{folder}/{name}.{kind}", content)) for kind, content in rendered.items()]


def _metadata(made: list[FleetReport], paths: list[str]) -> dict[str, dg.MetadataValue[Any]]:
    if not made:
        return {"report": dg.MetadataValue.text("No fleet has been trained yet.")}
    return report_metadata("\n\n".join(map(render_fleet_markdown, made)), paths)
