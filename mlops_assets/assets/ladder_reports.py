"""Stage `reports`, after a policy's training: ladder, decision, what became of the week before; mailed once.

Belongs here: rendering, saving and mailing the report as an asset. Does not belong here: its content
(mlops_assets.domain).
"""

import datetime as dt
from collections.abc import Mapping

import dagster as dg

from mlops_assets.assets.decision_report import decision_report, publish_page
from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.retraining_reports import read_shift
from mlops_assets.assets.segments import Segments, require_settings
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.policy_slots import require_offers, segments_by_agent
from mlops_assets.domain.learning.champions import decision_on
from mlops_assets.domain.learning.training import read_challenger
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.offers.decision_log import read_log
from mlops_assets.domain.offers.ladder_review import LADDER_REVIEW_VERSION, LadderSources, review_ladder
from mlops_assets.domain.offers.performance_record import read_performance_verdicts, read_week
from mlops_assets.domain.offers.worlds import read_worlds
from mlops_assets.domain.ports import Lake, ModelSlot, PromotionLedger, TableEngine
from mlops_assets.domain.reporting.ladder_report_page import (
    make_ladder_message,
    render_ladder_html,
    render_ladder_markdown,
)
from mlops_assets.domain.reporting.report_ports import ReportStore
from mlops_assets.domain.weeks import last_week_end


def build_ladder_reports(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return the report of every policy."""
    return [
        _build_report(config, use_case, agent, segments)
        for use_case in sorted(config.use_cases)
        for agent, segments in segments_by_agent(config, use_case).items()
    ]


def _build_report(
    config: ProjectConfig, use_case: str, agent: str, segments: Segments
) -> dg.AssetsDefinition:
    shown = {segment: require_offers(settings) for segment, settings in segments.items()}

    @decision_report(
        config,
        use_case,
        agent,
        segments,
        key=names.ladder_report_key(use_case, agent),
        description=(
            f"The ladder of policies of {agent} with values and intervals, what the log says, the decision and its "
            "reasons, and what became of the offers of the week before; mailed once.\n\nGrain: one page per segment "
            "and decision. Freshness: with each training. On failure: the decision stands, its report is missing."
        ),
        shown=[shown, LADDER_REVIEW_VERSION],
    )
    @retry_if_worthwhile
    def ladder_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        engine: dg.ResourceParam[TableEngine],
        ledger: dg.ResourceParam[PromotionLedger],
        reports: dg.ResourceParam[ReportStore],
        outbox: dg.ResourceParam[Outbox],
    ) -> dg.MaterializeResult:
        slot = ModelSlot(use_case, agent, context.partition_key)
        settings = require_settings(segments, use_case, agent, slot.segment)
        report = review_ladder(_collect(slot, context.run.tags, lake, engine, ledger))
        path = f"policies/{slot.registered_name}/version-{report.version}.html"
        told = publish_page(reports, path, render_ladder_html(report), render_ladder_markdown(report))
        outbox.enqueue(make_ladder_message(report, settings.recipients), dt.datetime.now(dt.UTC))
        return told

    return ladder_report


def _collect(
    slot: ModelSlot, tags: Mapping[str, str], lake: Lake, engine: TableEngine, ledger: PromotionLedger
) -> LadderSources:
    challenger, log = read_challenger(lake, slot), read_log(slot, lake)
    entry = decision_on(ledger, slot, challenger.version, challenger.bundle_sha256)
    ended = last_week_end(entry.as_of_day or log.last_day)
    week = read_week(slot.use_case, slot.segment, ended, lake=lake, engine=engine)
    verdicts = read_performance_verdicts(lake, slot.use_case, slot.segment, 1)
    return LadderSources(
        reason=tags.get(names.TAG_REASON, "by hand"),
        challenger=challenger,
        entry=entry,
        log=log.manifest,
        worlds=read_worlds(slot, lake),
        week=week if week.days else None,
        week_verdict="; ".join(one.kind.replace("_", " ") for one in verdicts if one.day == ended),
        shift=read_shift(lake, slot, tags),
    )
