"""Which rules hold for whom decides: a project's configuration put into the domain's decisions about models.

Belongs here: the rules of a slot, the file that they are in, its last author. Does not belong here: the decisions
(mlops_assets.domain.learning) or how a person is asked.
"""

from __future__ import annotations

from pathlib import Path

from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.learning.approval import ApprovalSpec, Verdict
from mlops_assets.domain.learning.decisions import decide_pending, find_pending
from mlops_assets.domain.learning.slots import pooled_segment
from mlops_assets.domain.ports import (
    CodeProvenance,
    Lake,
    LedgerEntry,
    ModelRegistry,
    ModelSlot,
    Person,
    PromotionLedger,
)


def approval_rules(config: ProjectConfig, slot: ModelSlot) -> ApprovalSpec:
    """Return the rules of a slot, of a fleet's group those of its segment; if not configured any more, the defaults."""
    settings = config.use_cases.get(slot.use_case, {}).get(pooled_segment(slot.segment))
    return settings.approval if settings else ApprovalSpec()


def use_case_file(config: ProjectConfig, use_case: str) -> Path | None:
    """Return the file of a use case; None if there is none any more."""
    files = (root / "use_cases" / f"{use_case}.yaml" for root in config.roots)
    return next((file for file in files if file.exists()), None)


def last_author(config: ProjectConfig, use_case: str, provenance: CodeProvenance) -> Person | None:
    """Return who last changed a use case's file, as far as the repository knows."""
    file = use_case_file(config, use_case)
    return provenance.last_author(file) if file else None


def decide(
    config: ProjectConfig,
    verdict: Verdict,
    *,
    lake: Lake,
    registry: ModelRegistry,
    ledger: PromotionLedger,
    provenance: CodeProvenance,
) -> LedgerEntry:
    """Approve or reject a pending decision by the rules of its use case.

    Raises:
        PlatformError: as `decide_pending`.
    """
    slot = find_pending(ledger, verdict.decision_id, verdict.at_utc).entry.slot
    author = last_author(config, slot.use_case, provenance)
    rules = approval_rules(config, slot)
    return decide_pending(verdict, rules, author, lake=lake, registry=registry, ledger=ledger)
