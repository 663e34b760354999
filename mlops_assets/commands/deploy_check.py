"""`mlops deploy check`: whether everything that the platform stands on answers, and what it keeps is whole.

Belongs here: which questions are asked, a line for each answer. Does not belong here: the stores (package `resources`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.run_plan import slots
from mlops_assets.domain.errors import PlatformError

_POLL_S = 5.0


@dataclass(frozen=True)
class Answer:
    """What a part of the platform answered."""

    part: str
    text: str
    is_fine: bool

    @property
    def line(self) -> str:
        """The answer as a person reads it."""
        return f"{'ok' if self.is_fine else 'FAILED'}  {self.part}: {self.text}"


@click.command("check")
@click.option(
    "--daemon-within",
    "patience_s",
    type=click.FloatRange(0),
    help="Wait so many seconds for a living daemon; without it, the daemon is not looked at.",
)
@with_json
def check(patience_s: float | None, *, out: Output) -> None:
    """Ask every store and read what it keeps; nothing is changed. Exit status 1 if one does not answer as it should.

    Example: mlops deploy check --daemon-within 60
    """
    workspace = open_workspace()
    answers = []
    for answer in ask_parts(workspace, patience_s):
        if not out.is_json:  # a person sees each as it comes: the daemon may be waited for
            click.echo(answer.line)
        answers.append(answer)
    if out.is_json:
        out.tell(answers, "")
    sys.exit(0 if all(answer.is_fine for answer in answers) else 1)


def ask_parts(workspace: Workspace, patience_s: float | None = None) -> Iterator[Answer]:
    """Yield the answer of each part in turn; one that fails does not keep the others from being asked."""
    parts: dict[str, Callable[[Workspace], str]] = {
        "ledger": _ask_ledger,
        "outbox": _ask_outbox,
        "deliveries": _ask_landing,
        "reports": _ask_reports,
        "registry": _ask_registry,
        "deployments": _ask_deployments,
    }
    for part, ask in parts.items():
        try:
            yield Answer(part, ask(workspace), is_fine=True)
        except PlatformError as error:
            yield Answer(part, str(error), is_fine=False)
    if patience_s is not None:
        yield _ask_daemon(workspace, patience_s)


def _ask_ledger(workspace: Workspace) -> str:
    ledger = workspace.platform.ledger
    return f"{ledger.verify()} decisions about {len(ledger.slots())} slots, in an unbroken chain"


def _ask_outbox(workspace: Workspace) -> str:
    return f"{len(workspace.platform.outbox.entries())} mails"


def _ask_landing(workspace: Workspace) -> str:
    counts = [len(workspace.platform.landing.list(code)) for code in sorted(workspace.config.geographies)]
    return f"{sum(counts)} files of {len(counts)} geographies"


def _ask_reports(workspace: Workspace) -> str:
    return f"{len(workspace.platform.reports.list())} documents"


def _ask_registry(workspace: Workspace) -> str:
    """Look every champion up."""
    platform, found = workspace.platform, 0
    for slot in slots(workspace.config):
        if champion := platform.ledger.champion(slot):
            platform.registry.version(slot.registered_name, champion.version)
            found += 1
    return f"{found} champions are registered"


def _ask_deployments(workspace: Workspace) -> str:
    store = workspace.platform.deployments
    pointers = [store.pointer(slot) for slot in slots(workspace.config)]
    return f"{sum(pointer is not None and pointer.serving is not None for pointer in pointers)} slots serve"


def _ask_daemon(workspace: Workspace, patience_s: float) -> Answer:
    """Wait until every part of Dagster's daemon has told that it lives."""
    from dagster._daemon.controller import all_daemons_live

    deadline_s = time.monotonic() + patience_s
    with workspace.open_instance() as instance:
        while not (is_alive := all_daemons_live(instance)) and time.monotonic() < deadline_s:
            time.sleep(min(_POLL_S, patience_s))
    text = "is alive" if is_alive else f"gave no sign of life within {patience_s:.0f} s"
    return Answer("daemon", text, is_fine=is_alive)
