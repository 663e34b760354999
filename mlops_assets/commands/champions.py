"""`mlops champions`, `mlops history` and `mlops rollback`: who is champion, how that came, and the way back.

Belongs here: arguments, output and exit status. Does not belong here: ledger and rules.
"""

from __future__ import annotations

import click

from mlops_assets.commands.completion import complete_model, complete_segment, complete_use_case
from mlops_assets.commands.models import choose_slots, follow_up, now_utc, put_models_in_order, who_decides
from mlops_assets.commands.output import Output, align_rows, with_json
from mlops_assets.commands.workspace import open_workspace
from mlops_assets.config.run_plan import all_slots
from mlops_assets.domain.learning.decisions import roll_back
from mlops_assets.domain.learning.slot_overview import SlotOverview, describe_slots, entry_record, main_figure
from mlops_assets.domain.ports import LedgerEntry
from mlops_assets.domain.reporting.formats import shorten_hash

_HEADINGS = ("slot", "version", "algorithm", "since (UTC)", "decided by", "metric", "pending")


@click.command()
@with_json
def champions(*, out: Output) -> None:
    """Show every slot: champion, algorithm, since when, by whom, metric on its holdout, what waits for approval.

    Aliases of the registry that do not say what the ledger says (a process died between the two) are repaired; which,
    is told on standard error. Exit status: 0 shown, 1 an error.

    Example: mlops champions --json
    """
    workspace = open_workspace()
    put_models_in_order(workspace)
    overviews = describe_slots(workspace.platform.ledger, all_slots(workspace.config), now_utc())
    out.tell([overview.to_record() for overview in overviews], align_rows([_HEADINGS, *map(_row, overviews)]))


def _row(overview: SlotOverview) -> tuple[str, ...]:
    name, champion = overview.slot.registered_name, overview.champion
    waits = ", ".join(f"version {p.entry.version} {p.state}" for p in overview.pending) or "-"
    if champion is None:
        return name, "none", "-", "-", "-", "-", waits
    metric, value = main_figure(champion)
    return (
        name,
        champion.version,
        str(champion.evidence.get("algorithm", "-")),
        f"{champion.decided_at_utc:%Y-%m-%d %H:%M}",
        champion.decided_by + (" (rollback)" if champion.outcome == "rolled_back" else ""),
        f"{metric} {value:.4f}" if value is not None else "-",
        waits,
    )


@click.command()
@click.argument("use_case", shell_complete=complete_use_case)
@click.argument("model", shell_complete=complete_model)
@click.option("--segment", shell_complete=complete_segment, help="Only this segment; default: all.")
@with_json
def history(use_case: str, model: str, segment: str | None, *, out: Output) -> None:
    """Show every decision about a model, oldest first, with its reasons. Exit status: 0 shown, 1 an error.

    Example: mlops history churn churn_risk --segment cl
    """
    workspace = open_workspace()
    ledger = workspace.platform.ledger
    records, lines = [], []
    for slot in choose_slots(workspace, use_case, model, segment):
        entries = ledger.history(slot)
        records += [entry_record(entry) for entry in entries]
        lines += [_entry_text(entry) for entry in entries] or [
            f"{slot.registered_name}: nothing has been decided yet"
        ]
    out.tell(records, "\n".join(lines))


def _entry_text(entry: LedgerEntry) -> str:
    after = f" after version {entry.previous_version}" if entry.previous_version else ""
    head = (
        f"{entry.decided_at_utc:%Y-%m-%d %H:%M} UTC  {entry.slot.registered_name} version {entry.version} "
        f"{entry.outcome} by {entry.decided_by}{after}  ({shorten_hash(entry.decision_id)})"
    )
    return "\n".join([head, *(f"    {reason}" for reason in entry.reasons)])


@click.command()
@click.argument("use_case", shell_complete=complete_use_case)
@click.argument("model", shell_complete=complete_model)
@click.option("--segment", shell_complete=complete_segment, required=True, help="Whose champion.")
@click.option("--by", default="", help="Who decides; default: git's user, else $USER.")
@click.option("--note", required=True, help="Why.")
@click.option("--from", "expected_version", default="", help="Only if this version is the champion.")
@with_json
def rollback(
    use_case: str, model: str, segment: str, by: str, note: str, expected_version: str, *, out: Output
) -> None:
    """Make the champion before the present one the champion again; the next `mlops run` scores its days anew.

    Exit status: 0 done, 1 refused and why (no earlier champion, another champion than --from, a damaged bundle),
    3 done, but the deployment or the model card did not follow.

    Example: mlops rollback churn churn_risk --segment cl --note "complaints"
    """
    workspace = open_workspace()
    (slot,) = choose_slots(workspace, use_case, model, segment)
    entry = roll_back(
        slot,
        by=who_decides(workspace, by),
        note=note,
        at_utc=now_utc(),
        registry=workspace.platform.registry,
        ledger=workspace.platform.ledger,
        expected_version=expected_version,
    )
    text = f"{slot.registered_name}: version {entry.version} is the champion again; {entry.reasons[0]}"
    out.tell(entry_record(entry), text)
    follow_up(workspace, entry)
