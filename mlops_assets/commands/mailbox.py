"""`mlops mailbox`: the mails that were sent, wait or were given up.

Belongs here: arguments and output, and one round of deliveries without a sensor. Does not belong here: retrying
(resources.mail_outbox) or what a mail says (mlops_assets.domain.reporting).
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.domain.mail_ports import (
    DeliveryReport,
    MailEntry,
    MailState,
    MailUnknownError,
    OutgoingMail,
)
from mlops_assets.domain.reporting.mail_preview import read_mail_text
from resources.environments import Platform
from resources.mailbox import LocalMailbox

BUDGET_S = 60.0
SHOWN = 30


def deliver_due_mails(platform: Platform) -> DeliveryReport:
    """Deliver what is due now; what the server does not take waits or is dead, and is in the report.

    Raises:
        StorageError: the outbox is damaged, full or stays locked.
    """
    return platform.outbox.deliver_due(platform.mail, dt.datetime.now(tz=dt.UTC), budget_s=BUDGET_S)


@click.group("mailbox", invoke_without_command=True)
@click.pass_context
def mailbox_commands(context: click.Context) -> None:
    """Look at mails and send them again; alone, it lists them."""
    if context.invoked_subcommand is None:
        context.invoke(show_list)


@mailbox_commands.command("list")
@click.option("--state", type=click.Choice(get_args(MailState)), help="Only mails in this state.")
@click.option("--all", "is_all", is_flag=True, help=f"All mails; default: the newest {SHOWN}.")
@with_json
def show_list(state: str | None = None, *, is_all: bool = False, out: Output) -> None:
    """List mails, newest first, dead ones with their reason.

    Example: mlops mailbox list --state dead
    """
    entries = [e for e in reversed(open_workspace().platform.outbox.entries()) if state in {None, e.state}]
    shown = entries if is_all else entries[:SHOWN]
    text = "\n".join([*map(_line, shown), _total(entries, len(shown))])
    out.tell([_plain(entry) for entry in shown], text)


@mailbox_commands.command("show")
@click.argument("number", type=int)
@with_json
def show(number: int, *, out: Output) -> None:
    """Print a mail: state, headers and plain text.

    Example: mlops mailbox show 3
    """
    outbox = open_workspace().platform.outbox
    entry, text = _entry(outbox.entries(), number), read_mail_text(outbox.content(number))
    out.tell({**_plain(entry), "text": text}, f"{_line(entry)}\n\n{text}")


@mailbox_commands.command("open")
@click.argument("number", type=int)
@with_json
def open_page(number: int, *, out: Output) -> None:
    """Open a mail in the browser, as its recipient sees it; with --json, only say where its page is.

    Example: mlops mailbox open 3
    """
    workspace = open_workspace()
    path = save_page(workspace, number)
    out.tell({"number": number, "path": path}, f"opening {path}")
    if not out.is_json and click.launch(path.as_uri()):
        click.echo("no browser was found; open the file yourself", err=True)


def save_page(workspace: Workspace, number: int) -> Path:
    """Save the page of a mail, wherever the mail went, and return its path.

    The page shows the newest content; a folder of its own keeps it apart from what was sent.
    """
    outbox, settings = workspace.platform.outbox, workspace.config.environment.mail
    entry = _entry(outbox.entries(), number)
    mail = OutgoingMail(number, entry.key, entry.message_id, settings.sender, outbox.content(number))
    return LocalMailbox(workspace.home / settings.mailbox / "opened").save_page(mail)


@mailbox_commands.command("retry")
@click.argument("numbers", type=int, nargs=-1)
@with_json
def retry(numbers: Sequence[int], *, out: Output) -> None:
    """Send mails again now: those with NUMBERS, sent ones too; without any, all that failed or are dead.

    Exit status 1 if a mail is still not sent.

    Example: mlops mailbox retry 3 4
    """
    platform, now = open_workspace().platform, dt.datetime.now(tz=dt.UTC)
    outbox = platform.outbox
    wanted = [outbox.resend(n, now) for n in numbers] if numbers else outbox.retry_undelivered(now)
    report = deliver_due_mails(platform)
    asked_for = {entry.number for entry in wanted}
    after = [entry for entry in outbox.entries() if entry.number in asked_for]
    lines = (report.text(), *report.findings(), *_still_waiting(after))
    out.tell([_plain(entry) for entry in after], "\n".join(lines))
    sys.exit(0 if all(entry.state == "sent" for entry in after) else 1)


def _still_waiting(entries: Sequence[MailEntry]) -> list[str]:
    """Return a line for each mail that this round did not come to."""
    return [
        f"mail {entry.number} waits: the server is down, or a process that delivers it (or was killed while it did) "
        "holds it for some minutes"
        for entry in entries
        if entry.state == "queued"
    ]


def _entry(entries: Sequence[MailEntry], number: int) -> MailEntry:
    for entry in entries:
        if entry.number == number:
            return entry
    raise MailUnknownError(
        f"there is no mail {number}",
        expected="a number that `mlops mailbox list` shows",
        remedy="look it up there",
    )


def _line(entry: MailEntry) -> str:
    """Return a mail in one line, and in a second one what is wrong with it."""
    at = entry.sent_at_utc or entry.queued_at_utc
    line = f"{entry.number:>6}  {entry.state:<6}  {at:%Y-%m-%d %H:%M} UTC  {entry.key.recipient}  {entry.subject}"
    notes = [entry.last_error] if entry.last_error else []
    if entry.state == "failed" and entry.next_attempt_at_utc:
        notes.append(f"next attempt {entry.next_attempt_at_utc:%Y-%m-%d %H:%M} UTC")
    if entry.is_changed_since_sent:
        notes.append(
            f"changed since it was sent; `mlops mailbox retry {entry.number}` sends the newer content"
        )
    return "\n".join([line, *(f"        ! {note}" for note in notes)])


def _total(entries: Sequence[MailEntry], shown: int) -> str:
    if not entries:
        return "no mails"
    counts = {state: sum(entry.state == state for entry in entries) for state in get_args(MailState)}
    more = f" (the newest {shown} are shown; --all shows the rest)" if shown < len(entries) else ""
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) + more


def _plain(entry: MailEntry) -> dict[str, Any]:
    """Return an entry's values, those of its key beside the others."""
    values = {**asdict(entry), **asdict(entry.key)}
    del values["key"]
    return values
