"""The updater: every configured slot is brought to the champion that the ledger names.

Belongs here: which slots there are and what their packages take from configuration and reports. Does not belong
here: the steps of an activation (domain.deployment.activation). It is a plain function, to be run by a person
(`mlops deploy update`) or by a scheduled job.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from mlops_assets.config.deployment_plan import plan_slot_update
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.deployment.activation import DeploymentSite, SlotOutcome, update_slot
from mlops_assets.domain.ports import ModelSlot
from mlops_assets.domain.reporting.report_ports import ReportStore


def configured_slots(config: ProjectConfig) -> Iterator[ModelSlot]:
    """Yield every slot that the configuration has, in order."""
    for use_case in sorted(config.use_cases):
        for model, segments in config.segments_by_model(use_case).items():
            yield from (ModelSlot(use_case, model, segment) for segment in segments)


def update_agents(
    config: ProjectConfig, site: DeploymentSite, reports: ReportStore, now_utc: dt.datetime
) -> list[SlotOutcome]:
    """Update all slots and return what became of each; one that fails does not keep the others.

    Running it again changes nothing. The pointer of a slot that the configuration no longer has stays as it is.

    Args:
        config: slots, recipients and the slices that packages keep.
        site: ledger, registry, deployment store and outbox.
        reports: holds the model cards.
        now_utc: time of the update, aware.

    Raises:
        StorageError: the ledger is damaged, or a failure could not even be recorded.
    """
    return [
        update_slot(plan_slot_update(config, slot, reports), site, now_utc)
        for slot in configured_slots(config)
    ]
