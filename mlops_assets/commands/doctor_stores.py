"""What `mlops doctor` looks at of the stores: deliveries, lake, ledger, mails, models, what serves.

Belongs here: checks that read a store and change nothing. Does not belong here: the stores (package `resources`), runs
(doctor_runs).
"""

from __future__ import annotations

import datetime as dt
import socket
from collections import Counter
from collections.abc import Iterator

from mlops_assets.commands.deploy import SlotLine, describe_slots
from mlops_assets.commands.findings import Finding, ok, problem, warning
from mlops_assets.commands.workspace import Workspace
from mlops_assets.domain.errors import ModelIntegrityError, RegistryError
from mlops_assets.domain.learning.champions import verify_version
from mlops_assets.domain.mail_ports import MailState
from mlops_assets.domain.ports import LedgerEntry
from mlops_assets.domain.quality.held_deliveries import find_escalations, find_held
from resources.mlflow_registry import MlflowRegistry
from resources.store_inspection import registry_schema, sqlite_versions

_CLOCK_SLACK = dt.timedelta(minutes=5)
_STATES_TO_TELL: tuple[MailState, ...] = ("failed", "dead")


def check_deliveries(workspace: Workspace) -> Iterator[Finding]:
    """List the delivered files and what is held of them."""
    config, platform = workspace.config, workspace.platform
    codes = sorted(config.geographies)
    count = sum(len(platform.landing.list(code)) for code in codes)
    if count:
        yield ok("deliveries", f"{count} files of {len(codes)} geographies")
    else:
        where = workspace.where(config.environment.storage.landing)
        yield ok("deliveries", f"none yet in {where}; `mlops sandbox init` simulates an operator")
    held = find_held(platform.lake, [feed.name for feed in config.daily_feeds()], codes)
    if not held:
        yield ok("held deliveries", "none")
        return
    oldest = held[0]
    late = find_escalations(held, config.feeds)
    overdue = f", {len(late)} of them for too long" if late else ""
    yield warning(
        "held deliveries",
        f"{len(held)}{overdue}; the oldest is {oldest.feed} of {oldest.geography} for {oldest.day}",
        f"mlops feeds show {oldest.feed} {oldest.geography} {oldest.day}",
    )


def check_schemas(workspace: Workspace) -> Iterator[Finding]:
    """Compare the schemas of ledger and outbox with this release's; what is older, `mlops migrate` brings up."""
    environment = workspace.config.environment
    if environment.database.kind != "sqlite":
        return
    for title, place in (
        ("promotion ledger", environment.ledger.database),
        ("mail outbox", environment.mail.outbox),
    ):
        versions = sqlite_versions(title, workspace.home / place)
        if versions is None:
            yield ok(f"schema of the {title}", "there is none yet; it is created when it is first needed")
        elif versions[0] == versions[1]:
            yield ok(f"schema of the {title}", f"version {versions[0]}, this release's")
        elif versions[0] > versions[1]:
            yield problem(
                f"schema of the {title}",
                f"version {versions[0]}, of a newer release; this one knows {versions[1]}",
                "run the release that wrote it, or a newer one",
            )
        else:
            yield warning(
                f"schema of the {title}",
                f"version {versions[0]}; `mlops migrate` would bring it to {versions[1]}",
                "mlops migrate",
            )


def check_ledger(workspace: Workspace) -> Iterator[Finding]:
    """Follow the chain of decisions, and compare the clock with the newest one."""
    ledger = workspace.platform.ledger
    slots = ledger.slots()
    yield ok("ledger", f"{ledger.verify()} decisions about {len(slots)} slots, in an unbroken chain")
    newest = max((entry.decided_at_utc for slot in slots for entry in ledger.history(slot)), default=None)
    now = dt.datetime.now(dt.UTC)
    if newest is not None and newest > now + _CLOCK_SLACK:
        yield problem(
            "clock",
            f"it says {now:%Y-%m-%d %H:%M} UTC, and a decision was recorded at {newest:%Y-%m-%d %H:%M} UTC",
            "timedatectl set-ntp true",
        )
    else:
        yield ok("clock", f"{now:%Y-%m-%d %H:%M} UTC, after every recorded decision")


def check_mails(workspace: Workspace) -> Iterator[Finding]:
    """Count mails that wait for another try or were given up."""
    entries = workspace.platform.outbox.entries()
    counts = Counter(entry.state for entry in entries)
    if not any(counts[state] for state in _STATES_TO_TELL):
        yield ok(
            "mails",
            f"{len(entries)}, none failed" + (f", {counts['queued']} wait" if counts["queued"] else ""),
        )
        return
    told = ", ".join(f"{counts[state]} {state}" for state in _STATES_TO_TELL if counts[state])
    last = next(entry for entry in reversed(entries) if entry.state in _STATES_TO_TELL)
    make = problem if counts["dead"] else warning
    yield make("mails", f"{told}: {last.last_error or 'no reason is known'}", "mlops mailbox retry")


def check_mail_server(workspace: Workspace) -> Iterator[Finding]:
    """See whether the mail server takes connections; nothing is said to it."""
    mail = workspace.config.environment.mail
    if mail.kind != "smtp":
        return
    try:
        socket.create_connection((mail.host, mail.port), timeout=min(mail.timeout_s, 5.0)).close()
    except OSError as error:
        yield problem(
            "mail server",
            f"{mail.host}:{mail.port} takes no connection ({error})",
            "start it, or correct `mail.host` and `mail.port` of the environment (`mlops config check`)",
        )
    else:
        yield ok("mail server", f"{mail.host}:{mail.port} takes connections")


def check_models(workspace: Workspace) -> Iterator[Finding]:
    """Compare MLflow's schema, then read every file of every champion and compare it with the ledger's hash."""
    registry = workspace.platform.registry
    if isinstance(registry, MlflowRegistry):
        schema = registry_schema(registry.tracking_uri)
        if schema is None:
            yield ok("model registry", "there is none yet; the first training creates it")
        elif schema[0] != schema[1]:
            yield warning(
                "model registry",
                f"its schema is {schema[0]}; `mlops migrate` would bring it to {schema[1]}, keeping a copy",
                "mlops migrate",
            )
            return  # looking further would migrate it
        else:
            yield ok("model registry", f"schema {schema[0]}, that of this MLflow")
    ledger = workspace.platform.ledger
    champions = [entry for slot in ledger.slots() if (entry := ledger.champion(slot))]
    if champions and isinstance(registry, MlflowRegistry) and schema is None:
        names = ", ".join(entry.slot.registered_name for entry in champions)
        yield problem(
            "champions", f"there is no registry, so no model of {names}", "restore mlflow/ from a copy"
        )
        return
    damaged = [finding for entry in champions for finding in _check_champion(workspace, entry)]
    yield from damaged or [
        ok("champions", f"all files of {len(champions)} champions are as they were promoted")
    ]


def _check_champion(workspace: Workspace, entry: LedgerEntry) -> Iterator[Finding]:
    slot = entry.slot
    try:
        verify_version(workspace.platform.registry, slot, entry.version, entry.bundle_sha256)
    except (RegistryError, ModelIntegrityError) as error:
        yield problem(
            "champions",
            f"{slot.registered_name} version {entry.version}: {error.what}",
            "restore mlflow/ from a copy, or go back: "
            f'mlops rollback {slot.use_case} {slot.model} --segment {slot.segment} --note "damaged"',
        )


def check_deployment(workspace: Workspace) -> Iterator[Finding]:
    """Compare what serves with the ledger."""
    lines = describe_slots(workspace)
    wrong = [line for line in lines if line.state == "damaged" or _is_behind(line)]
    if not wrong:
        serving = sum(bool(line.version) for line in lines)
        yield ok("deployment", f"{serving} slots serve what the ledger says")
        return
    first = wrong[0]
    make = problem if any(line.state == "damaged" for line in wrong) else warning
    found = f"{len(wrong)} slots do not serve the champion, such as {first.slot}: {first.note}"
    yield make("deployment", found, "mlops deploy update")


def _is_behind(line: SlotLine) -> bool:
    return "behind the ledger" in line.note
