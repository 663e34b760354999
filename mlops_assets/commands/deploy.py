"""`mlops deploy`: bring what serves to what the ledger promoted, and show it.

Belongs here: arguments, the table of slots, exit status. Does not belong here: the update itself
(mlops_assets.serving.updater).
"""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import asdict, dataclass

import click

from mlops_assets.commands.deploy_check import check
from mlops_assets.commands.mailbox import deliver_due_mails
from mlops_assets.commands.output import Output, align_rows, with_json
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.run_plan import slots
from mlops_assets.domain.deployment.activation import DeploymentSite, SlotOutcome
from mlops_assets.domain.errors import StorageError
from mlops_assets.domain.ports import ModelSlot
from mlops_assets.serving.updater import update_agents
from resources.json_logs import configure_logs

_COLUMNS = ("slot", "version", "state", "since", "champion", "note")


@dataclass(frozen=True)
class SlotLine:
    """A slot as `mlops deploy show` shows it.

    `state`: none (nothing was ever deployed), active, activating, withdrawn, or damaged (the pointer cannot be
    read). `version` serves, `champion` is what the ledger names; empty for none.
    """

    slot: str
    version: str
    state: str
    since: str
    champion: str
    note: str = ""


@click.group("deploy")
def deploy_commands() -> None:
    """Look at what serves, and bring it to what the promotion ledger says."""


deploy_commands.add_command(check)


@deploy_commands.command("update")
@with_json
def update(*, out: Output) -> None:
    """Pack, verify and activate the champion of every slot; exit status 1 if one could not be activated.

    Example: mlops deploy update
    """
    workspace = open_workspace()
    configure_logs(workspace.config.environment.logs)  # a job of its own: alarms watch its lines
    platform = workspace.platform
    site = DeploymentSite(platform.ledger, platform.registry, platform.deployments, platform.outbox)
    outcomes = update_agents(workspace.config, site, platform.reports, dt.datetime.now(dt.UTC))
    out.tell([_plain(outcome) for outcome in outcomes], "\n".join(map(outcome_line, outcomes)))
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        for finding in deliver_due_mails(platform).findings():
            click.echo(finding, err=True)
    sys.exit(1 if failed else 0)


@deploy_commands.command("show")
@with_json
def show(*, out: Output) -> None:
    """Show each slot: what serves, since when, and whether it is the ledger's champion.

    Example: mlops deploy show
    """
    lines = describe_slots(open_workspace())
    out.tell(lines, align_rows([_COLUMNS, *(tuple(asdict(line).values()) for line in lines)]))


def describe_slots(workspace: Workspace) -> list[SlotLine]:
    """Return a line for every slot that is configured or has a pointer."""
    configured = set(slots(workspace.config))
    known = configured | set(workspace.platform.deployments.marks())
    ordered = sorted(known, key=lambda slot: slot.registered_name)
    return [_describe(workspace, slot, is_configured=slot in configured) for slot in ordered]


def _describe(workspace: Workspace, slot: ModelSlot, *, is_configured: bool) -> SlotLine:
    platform = workspace.platform
    champion = platform.ledger.champion(slot)
    promoted = champion.version if champion else ""
    try:
        pointer = platform.deployments.pointer(slot)
        attempt = platform.deployments.activation(slot, champion.decision_id) if champion else None
    except StorageError as error:
        return SlotLine(slot.registered_name, "", "damaged", "", promoted, str(error))
    notes = [] if is_configured else ["not in the configuration"]
    if champion and not (pointer and pointer.serving and pointer.serving.decision_id == champion.decision_id):
        notes.append("behind the ledger")
    if attempt and attempt.outcome == "failed":
        notes.append(f"activation failed {attempt.at_utc:%Y-%m-%d %H:%M} UTC: {attempt.error}")
    if pointer is None:
        return SlotLine(slot.registered_name, "", "none", "", promoted, "; ".join(notes))
    version = pointer.serving.version if pointer.serving else ""
    since = f"{pointer.changed_at_utc:%Y-%m-%d %H:%M} UTC"
    return SlotLine(slot.registered_name, version, pointer.state, since, promoted, "; ".join(notes))


def outcome_line(outcome: SlotOutcome) -> str:
    """Return what became of a slot, in one line."""
    line = f"{outcome.slot.registered_name}: {outcome.status}"
    if outcome.serving:
        line += f", version {outcome.serving.version} serves"
    if outcome.error:
        line += f"; version {outcome.champion_version} could not be activated: {outcome.error}"
    return line


def _plain(outcome: SlotOutcome) -> dict[str, str | None]:
    return {
        "slot": outcome.slot.registered_name,
        "status": outcome.status,
        "champion": outcome.champion_version,
        "serving": outcome.serving.version if outcome.serving else None,
        "error": str(outcome.error) if outcome.error else None,
    }
