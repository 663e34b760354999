"""What the deployment of a slot takes from the configuration and the reports.

Belongs here: the slice of the configuration and the model cards that go into a package. Does not belong here: the
deployment itself (domain.deployment).
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.deployment.activation import SlotUpdate
from mlops_assets.domain.ports import ModelSlot
from mlops_assets.domain.reporting.report_ports import ReportStore


def model_card_path(slot: ModelSlot, version: str, suffix: str) -> str:
    """Return where a version's model card is among the reports; suffix `html` or `json`."""
    return f"model_cards/{slot.registered_name}/version-{version}.{suffix}"


def config_slice(config: ProjectConfig, slot: ModelSlot) -> dict[str, Any]:
    """Return what the configuration says about a slot, as JSON values."""
    settings = config.use_cases[slot.use_case][slot.segment]
    return {
        "use_case": slot.use_case,
        "model": slot.model,
        "segment": slot.segment,
        "description": settings.description,
        "owner": settings.owner,
        "corpus": settings.corpus.model_dump(mode="json"),
        "spec": settings.models[slot.model].model_dump(mode="json"),
    }


def plan_slot_update(config: ProjectConfig, slot: ModelSlot, reports: ReportStore) -> SlotUpdate:
    """Return what is needed to bring a configured slot up to date."""
    return SlotUpdate(
        slot=slot,
        config=config_slice(config, slot),
        recipients=tuple(config.use_cases[slot.use_case][slot.segment].recipients),
        find_card=partial(read_model_card, slot, reports=reports),
    )


def read_model_card(slot: ModelSlot, version: str, reports: ReportStore) -> dict[str, Any] | None:
    """Return a version's model card as JSON values, None if none was written."""
    path = model_card_path(slot, version, "json")
    if path not in reports.list():
        return None
    card: dict[str, Any] = json.loads(reports.read(path))
    return card
