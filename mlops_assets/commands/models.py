"""What commands about models share: who asks, which slot, aliases that follow, the page that follows.

Belongs here: arguments and steps that several of these commands have. Does not belong here: any command.
"""

from __future__ import annotations

import datetime as dt
import os
import sys

import click

from mlops_assets.commands.known_names import require_known
from mlops_assets.commands.replay import open_replay
from mlops_assets.commands.workspace import Workspace
from mlops_assets.config.run_plan import all_slots
from mlops_assets.domain.errors import ApprovalError, RegistryError
from mlops_assets.domain.learning.aliases import repair_aliases
from mlops_assets.domain.learning.decisions import expire_overdue
from mlops_assets.domain.learning.slots import pooled_segment
from mlops_assets.domain.ports import LedgerEntry, ModelSlot

PARTLY_STATUS = 3


def now_utc() -> dt.datetime:
    """Return the time of a person's decision."""
    return dt.datetime.now(dt.UTC)


def who_decides(workspace: Workspace, given: str) -> str:
    """Return the name that was given, else git's user, else the one of the shell.

    Raises:
        ApprovalError: none of them is known.
    """
    person = workspace.platform.provenance.user()
    name = given or (str(person) if person else "") or os.environ.get("USER", "")
    if not name:
        raise ApprovalError("nobody knows who decides", remedy="say it: --by NAME")
    return name


def choose_slots(workspace: Workspace, use_case: str, model: str, segment: str | None) -> list[ModelSlot]:
    """Return the slots of a model that are configured or have a history, one if a segment is given."""
    known = {*all_slots(workspace.config), *workspace.platform.ledger.slots()}
    require_known(use_case, {slot.use_case for slot in known}, "USE_CASE")
    of_use_case = [slot for slot in known if slot.use_case == use_case]
    require_known(model, {slot.model for slot in of_use_case}, "MODEL")
    found = {slot.segment: slot for slot in of_use_case if slot.model == model}
    if segment is not None:
        require_known(segment, found, "--segment")
        return [found[segment]]
    return [found[name] for name in sorted(found)]


def put_models_in_order(workspace: Workspace) -> None:
    """Record what expired and make aliases follow the ledger, and say what had to be done on standard error.

    A registry that cannot be reached is said too; the ledger alone is what counts.
    """
    platform = workspace.platform
    for expired in expire_overdue(platform.ledger, now_utc()):
        click.echo(f"expired: {expired.slot.registered_name} version {expired.version}", err=True)
    try:
        for repair in repair_aliases(platform.registry, platform.ledger):
            click.echo(f"repaired: {repair.text}", err=True)
    except RegistryError as error:
        click.echo(f"aliases were not compared with the ledger: {error}", err=True)


def follow_up(workspace: Workspace, entry: LedgerEntry) -> None:
    """Renew what shows a decision; if that fails, say so and end with PARTLY_STATUS, for the decision stands."""
    if pooled_segment(entry.slot.segment) != entry.slot.segment:
        click.echo(f"{entry.slot.registered_name}: the next scores are made by it", err=True)
        return
    if entry.slot not in set(all_slots(workspace.config)):
        click.echo(f"{entry.slot.registered_name} is not configured any more: no report follows", err=True)
        return
    with open_replay(workspace) as replay:
        failures = replay.follow_up(entry)
    for failure in failures:
        click.echo(f"the decision stands, but was not followed everywhere: {failure}", err=True)
    if failures:
        sys.exit(PARTLY_STATUS)
