"""Stage `reports`, by the week: what became of the offers, and what running everything cost.

Belongs here: rendering, saving and mailing the week's reports as assets. Does not belong here: their content
(mlops_assets.domain.reporting) or reading the event log (step_usage).

A week is Monday to Sunday, the days of the data. Both reports are made anew on each day, as far as their week has come.
"""

import datetime as dt

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.partitions import trailing_days
from mlops_assets.assets.presentation import report_metadata
from mlops_assets.assets.segments import Segments, list_offering, owners_of
from mlops_assets.assets.step_usage import read_usage
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.table_readers import tables_by_use_case
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.offers.offer_tables import proposals_table
from mlops_assets.domain.offers.reconciliation import reconciliation_table
from mlops_assets.domain.ports import Lake, TableEngine
from mlops_assets.domain.reporting.offer_week import (
    EARLIER_WEEKS,
    OfferWeekSource,
    make_week_messages,
    render_offer_week,
)
from mlops_assets.domain.reporting.report_index import save_report_index
from mlops_assets.domain.reporting.report_ports import ReportStore
from mlops_assets.domain.reporting.utilisation import Price, UtilisationReport, build_utilisation_report
from mlops_assets.domain.reporting.utilisation_page import (
    render_utilisation_csv,
    render_utilisation_html,
    render_utilisation_markdown,
)
from mlops_assets.domain.weeks import WEEK_DAYS, sunday_of

_DAY = dt.timedelta(days=1)


def build_offer_reports(config: ProjectConfig, days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """Return the weekly report of every use case that makes offers."""
    return [_build_offer_report(use_case, segments, days) for use_case, segments in list_offering(config)]


def _build_offer_report(
    use_case: str, segments: Segments, days: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    table = reconciliation_table(proposals_table(use_case))
    recipients = sorted({address for settings in segments.values() for address in settings.recipients})

    @dg.asset(
        key=names.offer_report_key(use_case),
        description=(
            "Offers proposed and sent, mismatch ratio, realised acceptance and margin against expectation, unexplained "
            "rows; mailed once, when the week is over.\n\nGrain: one page and table per week, Monday to Sunday; on "
            "other days the week so far. Freshness: with the day's run. On failure: the reconciliation stands, its "
            "page is missing and the day is run again."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        kinds={"html", "csv", "parquet"},
        partitions_def=days,
        deps=[
            dg.AssetDep(
                dg.AssetKey(names.table_key(table.name)),
                partition_mapping=trailing_days((1 + EARLIER_WEEKS) * WEEK_DAYS),
            )
        ],
    )
    @retry_if_worthwhile
    def offer_performance(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        reports: dg.ResourceParam[ReportStore],
        outbox: dg.ResourceParam[Outbox],
    ) -> dg.MaterializeResult:
        source = OfferWeekSource(use_case, table, tuple(sorted(segments)), lake, engine)
        rendered = render_offer_week(source, dt.date.fromisoformat(context.partition_key))
        if rendered is None:
            return dg.MaterializeResult(metadata={"report": "Nothing has been proposed in this week."})
        for path, content in rendered.files.items():
            reports.save(path, content)
        save_report_index(reports)
        for message in make_week_messages(rendered, recipients):
            outbox.enqueue(message, dt.datetime.now(dt.UTC))
        return dg.MaterializeResult(
            metadata={
                **report_metadata(rendered.markdown, rendered.files),
                **_figures(rendered.report.total.sent_share, rendered.report.total.mismatch),
            }
        )

    return offer_performance


def _figures(sent_share: float | None, mismatch: float | None) -> dict[str, float]:
    """Return what Dagster plots over the days; what is not known is left out."""
    named = {"share_sent": sent_share, "mismatch_ratio": mismatch}
    return {name: value for name, value in named.items() if value is not None}


def build_utilisation_asset(
    config: ProjectConfig, days: dg.PartitionsDefinition, day_log: dg.AssetKey
) -> dg.AssetsDefinition:
    """Return the report on what each stage and use case cost; it comes after everything else of the day."""

    @dg.asset(
        key=names.table_key(names.UTILISATION_TABLE),
        description=(
            "Time, CPU, rows and cost by stage and use case, and what sharing tables saved, from what every step noted."
            "\n\nGrain: one page and table per week, Monday to Sunday; the trainings of a Sunday are in when Monday is "
            "run. Freshness: with the day's run. On failure: the day stands, its page is missing."
        ),
        group_name=names.OPERATION_GROUP,
        owners=["team:data-platform"],
        kinds={"html", "csv"},
        partitions_def=days,
        deps=[day_log],
    )
    @retry_if_worthwhile
    def utilisation(
        context: dg.AssetExecutionContext, reports: dg.ResourceParam[ReportStore]
    ) -> dg.MaterializeResult:
        day = dt.date.fromisoformat(context.partition_key)
        # Trainings of a Sunday run after its daily graph.
        weeks = [day - _DAY, day] if day.isoweekday() == 1 else [day]
        found = [_measure_week(config, context.instance, one) for one in weeks]
        for report in (one for one in found if one.total.steps or one is found[-1]):
            path = f"utilisation/week-{sunday_of(report.first_day)}"
            reports.save(f"{path}.html", render_utilisation_html(report))
            reports.save(f"{path}.csv", render_utilisation_csv(report))
        save_report_index(reports)
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.md(render_utilisation_markdown(found[-1])),
                "week_cpu_seconds": found[-1].total.cpu_seconds,
                "week_cost_usd": found[-1].cost_usd,
            }
        )

    return utilisation


def _measure_week(config: ProjectConfig, instance: dg.DagsterInstance, day: dt.date) -> UtilisationReport:
    """Return the cost of the week of a day, up to the day or to a later one of the week that has run already."""
    sunday = sunday_of(day)
    first_day = sunday - (WEEK_DAYS - 1) * _DAY
    steps, runs = read_usage(instance, first_day, sunday)
    settings = config.environment.cost
    return build_utilisation_report(
        steps,
        runs,
        first_day=first_day,
        last_day=max([day, *(one.day for one in steps)]),
        price=Price(usd_per_cpu_hour=settings.usd_per_cpu_hour, is_assumed=settings.is_assumed),
        readers=tables_by_use_case(config),
        stages=names.STAGES,
    )
