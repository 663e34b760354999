"""Stage `reports`: documents that people read.

Belongs here: rendering and saving reports as assets. Does not belong here: their content
(mlops_assets.domain).
"""

import dagster as dg

from mlops_assets.assets.decision_report import decision_report, publish_page
from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.segments import Segments, require_settings
from mlops_assets.config import names
from mlops_assets.config.deployment_plan import model_card_path
from mlops_assets.config.models import ProjectConfig, UseCase
from mlops_assets.config.run_plan import column_notes
from mlops_assets.domain.learning.card import CARD_VERSION, CardSources, assemble_model_card
from mlops_assets.domain.learning.champions import decision_on, load_version
from mlops_assets.domain.learning.corpus import CorpusRequest
from mlops_assets.domain.learning.corpus_reader import load_corpus
from mlops_assets.domain.learning.training import read_challenger, require_corpus
from mlops_assets.domain.ports import Lake, ModelRegistry, ModelSlot, PromotionLedger
from mlops_assets.domain.reporting.model_card_page import render_model_card_html, render_model_card_markdown
from mlops_assets.domain.reporting.report_ports import ReportStore


def build_report_assets(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return the model card of every model."""
    return [
        _build_model_card(config, use_case, model, segments)
        for use_case in sorted(config.use_cases)
        for model, segments in config.segments_by_model(use_case).items()
    ]


def _build_model_card(
    config: ProjectConfig, use_case: str, model: str, segments: Segments
) -> dg.AssetsDefinition:
    shown = {
        segment: [settings.description, settings.owner, settings.corpus, settings.models[model]]
        for segment, settings in segments.items()
    }

    @decision_report(
        config,
        use_case,
        model,
        segments,
        key=names.model_card_key(use_case, model),
        description=(
            f"Model card of the newest decision on {model}: what it is for, how good it is, what it "
            f"rests on.\n\nGrain: one "
            "page per segment and version. Freshness: with each training. On failure: the decision "
            "stands, its page is missing."
        ),
        shown=[shown, CARD_VERSION],
    )
    @retry_if_worthwhile
    def model_card(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
        reports: dg.ResourceParam[ReportStore],
    ) -> dg.MaterializeResult:
        slot = ModelSlot(use_case, model, context.partition_key)
        settings = require_settings(segments, use_case, model, slot.segment)
        columns = column_notes(config, settings.corpus.table)
        sources = _card_sources(slot, settings, columns, lake, registry, ledger)
        card = assemble_model_card(sources)
        reports.save(model_card_path(slot, card.version, "json"), card.model_dump_json(indent=1))
        path, page = model_card_path(slot, card.version, "html"), render_model_card_html(card)
        return publish_page(reports, path, page, render_model_card_markdown(card))

    return model_card


def _card_sources(
    slot: ModelSlot,
    settings: UseCase,
    columns: dict[str, tuple[str, str]],
    lake: Lake,
    registry: ModelRegistry,
    ledger: PromotionLedger,
) -> CardSources:
    spec, challenger = settings.models[slot.model], read_challenger(lake, slot)
    scorer = load_version(registry, slot, challenger.version, challenger.bundle_sha256)
    champion = ledger.champion(slot)
    entry = decision_on(ledger, slot, challenger.version, challenger.bundle_sha256)
    request = CorpusRequest(slot.use_case, slot.model, settings.corpus, spec, slot.segment)
    reading = spec.model_copy(update={"features": list(scorer.features)})
    return CardSources(
        description=settings.description,
        owner=settings.owner,
        spec=spec,
        challenger=challenger,
        entry=entry,
        is_champion=champion is not None and champion.bundle_sha256 == challenger.bundle_sha256,
        corpus=require_corpus(lake, request),
        corpus_table=settings.corpus.table,
        scorer=scorer,
        holdout=load_corpus(request.partition, lake, settings.corpus, reading)["holdout"],
        columns=columns,
    )
