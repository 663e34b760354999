"""Stage `reports`, after a training: what the newest decision rests on and what has changed, mailed once.

Belongs here: rendering, saving and mailing the report as an asset. Does not belong here: its content
(mlops_assets.domain).
"""

import datetime as dt
from collections.abc import Mapping

import dagster as dg

from mlops_assets.assets.decision_report import decision_report, publish_page
from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.segments import Segments, require_settings
from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.config.policy_plan import VERDICT_WEEKS
from mlops_assets.config.run_plan import VERDICT_DAYS, column_notes
from mlops_assets.domain.learning.champions import decision_on, load_version
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.evidence import union_features
from mlops_assets.domain.learning.retraining import find_last_shift
from mlops_assets.domain.learning.retraining_review import (
    REVIEW_VERSION,
    ReviewSources,
    read_moved_data,
    review_retraining,
)
from mlops_assets.domain.learning.training import read_challenger
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.offers.performance import PERFORMANCE_MONITOR
from mlops_assets.domain.offers.performance_record import read_performance_verdicts
from mlops_assets.domain.ports import Lake, ModelRegistry, ModelSlot, PromotionLedger
from mlops_assets.domain.quality.drift_record import read_verdicts
from mlops_assets.domain.reporting.report_ports import ReportStore
from mlops_assets.domain.reporting.retraining_report import ShiftNote
from mlops_assets.domain.reporting.retraining_report_page import (
    make_retraining_message,
    render_retraining_html,
    render_retraining_markdown,
)


def build_retraining_reports(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return the retraining report of every model."""
    return [
        _build_report(config, use_case, model, segments)
        for use_case in sorted(config.use_cases)
        for model, segments in config.segments_by_model(use_case).items()
    ]


def _build_report(
    config: ProjectConfig, use_case: str, model: str, segments: Segments
) -> dg.AssetsDefinition:
    shown = {
        segment: [settings.retraining, settings.corpus, settings.models[model]]
        for segment, settings in segments.items()
    }

    @decision_report(
        config,
        use_case,
        model,
        segments,
        key=names.retraining_report_key(use_case, model),
        description=(
            f"Champion and challenger of {model} side by side, important features before and after, the data that "
            "moved, the decision and its reasons; mailed once.\n\nGrain: one page per segment and decision. Freshness: "
            "with each training. On failure: the decision stands, its report is missing."
        ),
        shown=[shown, REVIEW_VERSION],
    )
    @retry_if_worthwhile
    def retraining_report(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
        reports: dg.ResourceParam[ReportStore],
        outbox: dg.ResourceParam[Outbox],
    ) -> dg.MaterializeResult:
        slot = ModelSlot(use_case, model, context.partition_key)
        settings = require_settings(segments, use_case, model, slot.segment)
        tags = context.run.tags
        sources = _review_sources(
            slot, settings, column_notes(config, settings.corpus.table), lake, registry, ledger,
            reason=tags.get(names.TAG_REASON, "by hand"), shift=read_shift(lake, slot, tags),
        )  # fmt: skip
        report = review_retraining(sources)
        path = f"retraining/{slot.registered_name}/version-{report.version}.html"
        told = publish_page(reports, path, render_retraining_html(report), render_retraining_markdown(report))
        outbox.enqueue(make_retraining_message(report, settings.recipients), dt.datetime.now(dt.UTC))
        return told

    return retraining_report


def read_shift(lake: Lake, slot: ModelSlot, tags: Mapping[str, str]) -> ShiftNote | None:
    """Return what made a run due, as its tags name it; None if nothing of the kind did."""
    monitor, _, day = tags.get(names.TAG_SHIFT, "").partition("/")
    if not day:
        return None
    detected = dt.date.fromisoformat(day)
    if monitor == PERFORMANCE_MONITOR:
        verdicts = read_performance_verdicts(lake, slot.use_case, slot.segment, VERDICT_WEEKS)
    else:
        verdicts = read_verdicts(lake, monitor, slot.segment, VERDICT_DAYS)
    shift = find_last_shift(monitor, [one for one in verdicts if one.day <= detected])
    what = shift.what if shift else "behaviour shift"
    reasons = next((one.reasons for one in verdicts if one.day == detected), ())
    return ShiftNote(monitor=monitor, detected_day=detected, reasons=reasons, what=what)


def _review_sources(
    slot: ModelSlot,
    settings: UseCase,
    columns: dict[str, tuple[str, str]],
    lake: Lake,
    registry: ModelRegistry,
    ledger: PromotionLedger,
    *,
    reason: str,
    shift: ShiftNote | None,
) -> ReviewSources:
    spec, noted = settings.models[slot.model], read_challenger(lake, slot)
    entry = decision_on(ledger, slot, noted.version, noted.bundle_sha256)
    challenger = load_version(registry, slot, noted.version, noted.bundle_sha256)
    champion_sha256 = entry.evidence["figures"]["champion_sha256"]
    champion = (
        load_version(registry, slot, entry.previous_version, champion_sha256)
        if entry.previous_version and champion_sha256
        else None
    )
    request = CorpusRequest(slot.use_case, slot.model, settings.corpus, spec, slot.segment)
    reading = spec.model_copy(update={"features": list(union_features(challenger, champion))})
    return ReviewSources(
        reason=reason,
        spec=spec,
        entry=entry,
        challenger=challenger,
        champion=champion,
        holdout=load_corpus(request.partition, lake, settings.corpus, reading)["holdout"],
        columns=columns,
        moved=read_moved_data(lake, settings.retraining.monitors, slot.segment, entry.as_of_day),
        shift=shift,
    )
