"""The updater: every configured slot is brought to the champion that the ledger names.

Belongs here: one round over all slots. Does not belong here: what a slot's package takes from configuration and reports
(config.deployment_plan), or the steps of an activation (domain.deployment.activation). It is a plain function, to be
run by a person (`mlops deploy update`) or by a scheduled job.
"""

from __future__ import annotations

import datetime as dt

from mlops_assets.config.deployment_plan import plan_slot_update
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.run_plan import slots
from mlops_assets.domain.deployment.activation import DeploymentSite, SlotOutcome, update_slot
from mlops_assets.domain.reporting.report_ports import ReportStore


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
    return [update_slot(plan_slot_update(config, slot, reports), site, now_utc) for slot in slots(config)]
