"""Stage `deployment`: what serves is what the ledger promoted.

Belongs here: turning the outcome of an update into materialisation and metadata. Does not belong here: packing,
verifying and moving pointers (mlops_assets.domain.deployment).
"""

import datetime as dt

import dagster as dg

from mlops_assets.assets.execution import retry_if_worthwhile
from mlops_assets.assets.partitions import segment_partitions
from mlops_assets.assets.segments import Segments, owners_of, require_settings
from mlops_assets.config import names
from mlops_assets.config.deployment_plan import plan_slot_update
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.deployment.activation import (
    ACTIVATION_VERSION,
    DeploymentSite,
    SlotOutcome,
    update_slot,
)
from mlops_assets.domain.deployment_ports import DeploymentStore
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.mail_ports import Outbox
from mlops_assets.domain.ports import ModelRegistry, ModelSlot, PromotionLedger
from mlops_assets.domain.reporting.report_ports import ReportStore


def build_deployment_assets(config: ProjectConfig) -> list[dg.AssetsDefinition]:
    """Return the deployment of every model."""
    return [
        _build_deployment(config, use_case, model, segments)
        for use_case in sorted(config.use_cases)
        for model, segments in config.segments_by_model(use_case).items()
    ]


def _build_deployment(
    config: ProjectConfig, use_case: str, model: str, segments: Segments
) -> dg.AssetsDefinition:
    @dg.asset(
        key=names.deployment_key(use_case, model),
        description=(
            f"Deployment of {model}: the champion that the ledger names, packed, verified and tested, and the pointer "
            "that servers follow. A rejected challenger changes nothing.\n\nGrain: one pointer per segment. Freshness: "
            "with each training. On failure: the champion before goes on serving, and the recipients get a mail."
        ),
        group_name=use_case,
        owners=owners_of(segments),
        partitions_def=segment_partitions(config, use_case),
        code_version=stable_hash([ACTIVATION_VERSION])[:12],
        deps=[
            dg.AssetKey(names.champion_key(use_case, model)),
            dg.AssetKey(names.model_card_key(use_case, model)),
        ],
    )
    @retry_if_worthwhile
    def deployment_asset(
        context: dg.AssetExecutionContext,
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
        reports: dg.ResourceParam[ReportStore],
        deployments: dg.ResourceParam[DeploymentStore],
        outbox: dg.ResourceParam[Outbox],
    ) -> dg.MaterializeResult:
        slot = ModelSlot(use_case, model, context.partition_key)
        require_settings(segments, use_case, model, slot.segment)
        site = DeploymentSite(ledger, registry, deployments, outbox)
        outcome = update_slot(plan_slot_update(config, slot, reports), site, dt.datetime.now(dt.UTC))
        if outcome.error is not None:
            raise outcome.error
        return _report(outcome)

    return deployment_asset


def _report(outcome: SlotOutcome) -> dg.MaterializeResult:
    serving = outcome.serving
    metadata = {"status": outcome.status, "version": serving.version if serving else "none"}
    if serving is not None:
        metadata |= {"bundle_sha256": serving.bundle_sha256, "decision_id": serving.decision_id}
    return dg.MaterializeResult(
        metadata={name: dg.MetadataValue.text(text) for name, text in metadata.items()},
        data_version=dg.DataVersion(serving.decision_id[:32] if serving else "none"),
    )
