"""Sensor: time runs out for what nobody decided, and what people decided is followed up.

Belongs here: turning the ledger's newest decisions into run requests. Does not belong here: when something expires
or which alias is wrong (mlops_assets.domain.learning).
"""

import datetime as dt
from collections.abc import Iterator

import dagster as dg

from mlops_assets.config import names
from mlops_assets.config.models import ProjectConfig
from mlops_assets.config.policy_slots import follow_up_keys
from mlops_assets.config.run_plan import all_slots
from mlops_assets.domain.hashing import stable_hash
from mlops_assets.domain.learning.aliases import repair_aliases, wanted_aliases
from mlops_assets.domain.learning.approval import GATE
from mlops_assets.domain.learning.decisions import expire_overdue
from mlops_assets.domain.ports import LedgerEntry, ModelRegistry, ModelSlot, PromotionLedger


def build_approval_sensors(config: ProjectConfig) -> list[dg.SensorDefinition]:
    """Return one sensor per use case, since each has its follow-up job."""
    return [_build_sensor(config, use_case) for use_case in sorted(config.use_cases)]


def _build_sensor(config: ProjectConfig, use_case: str) -> dg.SensorDefinition:
    own = [slot for slot in all_slots(config) if slot.use_case == use_case]

    @dg.sensor(
        name=f"{names.APPROVALS_SENSOR}_{use_case}",
        job_name=names.follow_up_job(use_case),
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Records what expired in {use_case}, repairs aliases, moves deployments and renews cards.",
    )
    def approvals(
        context: dg.SensorEvaluationContext,
        registry: dg.ResourceParam[ModelRegistry],
        ledger: dg.ResourceParam[PromotionLedger],
    ) -> dg.SensorResult | dg.SkipReason:
        watched = [*own, *_group_slots(ledger, own)] if config.fleets(use_case) else own
        expired = expire_overdue(ledger, dt.datetime.now(dt.UTC), watched)
        said = [f"{one.slot.registered_name} version {one.version} expired" for one in expired]
        # The registry is asked only after the ledger moved: opening it is dear, and commands repair as well.
        state = stable_hash([wanted_aliases(ledger, slot) for slot in watched])
        if state != context.cursor:
            said += [repair.text for repair in repair_aliases(registry, ledger, watched)]
            context.update_cursor(state)
        for text in said:
            context.log.info(text)
        requests = list(_requests(config, ledger, own))
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason("; ".join(said) or "no person has decided anything")

    return approvals


def _group_slots(ledger: PromotionLedger, own: list[ModelSlot]) -> list[ModelSlot]:
    """Return the slots of the groups of a fleet: they have no card or deployment, but approvals and aliases."""
    models = dict.fromkeys((slot.use_case, slot.model) for slot in own)
    histories = [
        history for use_case, model in models for history in ledger.histories(use_case, model).values()
    ]
    return [history[-1].slot for history in histories if history[-1].slot not in own]


def _requests(
    config: ProjectConfig, ledger: PromotionLedger, own: list[ModelSlot]
) -> Iterator[dg.RunRequest]:
    for slot in own:
        history = ledger.history(slot)
        # A later decision of the gate comes with a card of its own.
        if history and history[-1].decided_by != GATE:
            for key in follow_up_keys(config, slot):
                yield _request(history[-1], key)


def _request(entry: LedgerEntry, key: list[str]) -> dg.RunRequest:
    slot = entry.slot
    return dg.RunRequest(
        run_key=f"decision/{slot.registered_name}/{entry.decision_id}/{key[0]}",
        partition_key=slot.segment,
        asset_selection=[dg.AssetKey(key)],
        tags={names.TAG_REASON: f"version {entry.version} {entry.outcome} by {entry.decided_by}"},
    )
