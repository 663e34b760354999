"""Jobs of people's decisions about models: deciding, and renewing what shows a decision or serves by it.

Belongs here: turning a run's configuration into a verdict. Does not belong here: the rules
(mlops_assets.domain.learning) or what the command line says.
"""

import datetime as dt
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from mlops_assets.config import names
from mlops_assets.config.approval_plan import decide
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.policy_slots import segments_by_agent
from mlops_assets.domain.learning.approval import Verdict
from mlops_assets.domain.ports import CodeProvenance, Lake, ModelRegistry, PromotionLedger

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


_TAGS = {names.TAG_SIZE: "s"}


class Word(Enum):
    """What a person says."""

    APPROVE = "approve"
    REJECT = "reject"


class DecisionConfig(dg.Config):
    """The same that `mlops approvals approve` and `reject` ask for."""

    decision_id: str = Field(description="Id of the pending decision, or its beginning.")
    decision: Word = Field(description="approve or reject.")
    by: str = Field(description="Who decides.")
    note: str = Field(description="Why.")
    evidence_sha256: str = Field("", description="Only if the evidence has this hash.")


def build_decision_job(config: ProjectConfig) -> dg.JobDefinition:
    """Return the job by which a person approves or rejects a pending decision."""
    project = config

    @dg.op(description="Approves or rejects a pending decision and records who did, when and why.")
    def decide_pending_challenger(
        context: dg.OpExecutionContext,
        config: DecisionConfig,
        lake: dg.ResourceParam[Lake],
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
        provenance: dg.ResourceParam[CodeProvenance],
    ) -> None:
        verdict = Verdict(
            decision_id=config.decision_id,
            is_approval=config.decision is Word.APPROVE,
            by=config.by,
            note=config.note,
            at_utc=dt.datetime.now(dt.UTC),
            evidence_sha256=config.evidence_sha256,
        )
        entry = decide(project, verdict, lake=lake, registry=registry, ledger=ledger, provenance=provenance)
        context.log.info("%s version %s: %s", entry.slot.registered_name, entry.version, entry.reasons[0])
        context.add_output_metadata({"outcome": entry.outcome, "decision_id": entry.decision_id})

    @dg.job(
        name=names.DECISION_JOB,
        tags=_TAGS,
        description="Approve or reject what waits for a person (`mlops approvals list`); the launchpad asks for all.",
    )
    def decide_approval() -> None:
        decide_pending_challenger()

    return decide_approval


def build_follow_up_jobs(config: ProjectConfig) -> "Iterator[UnresolvedAssetJobDefinition]":
    """Yield one job per use case that renews what shows a decision, for one segment."""
    for use_case in sorted(config.use_cases):
        models = config.segments_by_model(use_case)
        keys = [dg.AssetKey(key) for model in models for key in names.follow_up_keys(use_case, model)]
        agents = segments_by_agent(config, use_case)
        keys += [dg.AssetKey(names.ladder_report_key(use_case, agent)) for agent in agents]
        yield dg.define_asset_job(
            names.follow_up_job(use_case),
            selection=dg.AssetSelection.assets(*keys),
            tags=_TAGS,
            description=f"Reports and deployments of {use_case} after a person's decision, for one segment.",
        )
