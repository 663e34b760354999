"""`mlops approvals`: see what waits for a person, and decide.

Belongs here: arguments, output and exit status. Does not belong here: the rules (mlops_assets.domain.learning).
"""

from __future__ import annotations

from typing import Any

import click

from mlops_assets.commands.models import PARTLY_STATUS, follow_up, now_utc, put_models_in_order, who_decides
from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.approval_plan import approval_rules, decide, last_author
from mlops_assets.domain.learning.approval import PendingDecision, Verdict
from mlops_assets.domain.learning.decisions import find_pending, list_pending
from mlops_assets.domain.learning.slot_overview import entry_record, main_figure
from mlops_assets.domain.reporting.formats import shorten_hash


@click.group("approvals")
def approvals_commands() -> None:
    """See which challengers wait for a person, and approve or reject them.

    A use case with `approval: {mode: manual}` leaves what passes the gate pending. DECISION is the id that `list`
    shows, or its beginning.
    """


@approvals_commands.command("list")
@click.option("--all", "is_all", is_flag=True, help="Also what was decided, expired or superseded.")
@with_json
def list_command(*, is_all: bool, out: Output) -> None:
    """List what waits. Exit status: 0 nothing can be approved now, 3 something can, 1 an error.

    What nobody decided in its time is recorded as expired first.

    Example: mlops approvals list --all
    """
    workspace = open_workspace()
    put_models_in_order(workspace)
    known = list_pending(workspace.platform.ledger, now_utc())
    shown = [one for one in known if is_all or one.is_undecided]
    lines = [pending_line(pending) for pending in shown] or ["nothing waits for approval"]
    out.tell([pending_record(pending) for pending in shown], "\n".join(lines))
    if any(one.state == "waiting" for one in known):
        raise SystemExit(PARTLY_STATUS)


@approvals_commands.command("show")
@click.argument("decision")
@with_json
def show(decision: str, *, out: Output) -> None:
    """Show on what a decision rests and who may not approve it. Exit status: 0 shown, 1 unknown.

    Example: mlops approvals show 3f2a9c01d4e5
    """
    workspace = open_workspace()
    pending = find_pending(workspace.platform.ledger, decision, now_utc())
    lines = [pending_line(pending), *_details(pending), _second_person(workspace, pending)]
    out.tell({**pending_record(pending), "evidence": pending.entry.evidence}, "\n".join(lines))


_BY = click.option("--by", default="", help="Who decides; default: git's user, else $USER.")
_NOTE = click.option("--note", required=True, help="Why.")
_EVIDENCE = click.option(
    "--evidence", "evidence_sha256", default="", help="Only if the evidence has this hash (`show`)."
)


@approvals_commands.command("approve")
@click.argument("decision")
@_BY
@_NOTE
@_EVIDENCE
@with_json
def approve(decision: str, by: str, note: str, evidence_sha256: str, *, out: Output) -> None:
    """Make the challenger the champion: this version, on this evidence, in place of the champion it was compared with.

    Exit status: 0 it is champion (now, or by the same word before), 1 refused and why, 3 it is champion, but its
    deployment or model card did not follow.

    Example: mlops approvals approve 3f2a9c01d4e5 --note "figures and report are sound"
    """
    workspace = open_workspace()
    verdict = Verdict(decision, True, who_decides(workspace, by), note, now_utc(), evidence_sha256)
    _decide(workspace, verdict, out)


@approvals_commands.command("reject")
@click.argument("decision")
@_BY
@_NOTE
@_EVIDENCE
@with_json
def reject(decision: str, by: str, note: str, evidence_sha256: str, *, out: Output) -> None:
    """Leave the champion as it is. Exit status: as `approve`.

    Example: mlops approvals reject 3f2a9c01d4e5 --note "prices change next week"
    """
    workspace = open_workspace()
    verdict = Verdict(decision, False, who_decides(workspace, by), note, now_utc(), evidence_sha256)
    _decide(workspace, verdict, out)


def _decide(workspace: Workspace, verdict: Verdict, out: Output) -> None:
    platform = workspace.platform
    entry = decide(
        workspace.config,
        verdict,
        lake=platform.lake,
        registry=platform.registry,
        ledger=platform.ledger,
        provenance=platform.provenance,
    )
    became = "is the champion" if verdict.is_approval else "stays out of use"
    text = f"{entry.slot.registered_name} version {entry.version} {became}: {'; '.join(entry.reasons)}"
    out.tell(entry_record(entry), text)
    follow_up(workspace, entry)


def pending_record(pending: PendingDecision) -> dict[str, Any]:
    """Return a pending decision as JSON values, without its evidence."""
    resolution = pending.resolution
    return {
        **entry_record(pending.entry),
        "state": pending.state,
        "detail": pending.detail,
        "expires_at_utc": pending.expires_at_utc.isoformat(),
        "needs_second_person": pending.needs_second_person,
        "resolution": entry_record(resolution) if resolution else None,
    }


def pending_line(pending: PendingDecision) -> str:
    """Return the line of one pending decision."""
    entry = pending.entry
    metric, value = main_figure(entry)
    figure = f"{metric} {value:.4g}" if value is not None else ""
    name = f"{entry.slot.registered_name} version {entry.version}"
    return f"{shorten_hash(entry.decision_id)}  {pending.state:<10} {name}  {figure}  ({pending.detail})"


def _details(pending: PendingDecision) -> list[str]:
    entry = pending.entry
    against = f"version {entry.previous_version}" if entry.previous_version else "no champion"
    checks = [
        f"  {'passed' if check['is_passed'] else 'FAILED'}  {check['name']}: {check['detail']}"
        for check in entry.evidence["checks"]
    ]
    judged = f"judged at {entry.decided_at_utc:%Y-%m-%d %H:%M} UTC on data until {entry.as_of_day or 'its snapshot'}"
    return [
        f"  algorithm {entry.evidence['algorithm']}, compared with {against}, {judged}",
        *(f"  {reason}" for reason in entry.reasons),
        *checks,
        f"  decision {entry.decision_id}",
        f"  evidence {entry.evidence_sha256}",
        f"  bundle   {entry.bundle_sha256}",
    ]


def _second_person(workspace: Workspace, pending: PendingDecision) -> str:
    slot = pending.entry.slot
    rules = approval_rules(workspace.config, slot)
    if not (pending.needs_second_person or rules.needs_second_person):
        return "  anybody may approve"
    author = last_author(workspace.config, slot.use_case, workspace.platform.provenance)
    if author is None:
        rule = "waived" if rules.unknown_author == "waive" else "so nobody may approve"
        return f"  a second person has to approve; git does not know who changed the configuration: {rule}"
    return f"  a second person has to approve: not {author}, who last changed the configuration"
