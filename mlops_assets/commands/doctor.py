"""`mlops doctor`: what is wrong with this installation, and how to mend it.

Belongs here: the order in which things are looked at, output and exit status. Does not belong here: any check
(doctor_machine, doctor_servers, doctor_stores, doctor_runs). Nothing is created, changed or migrated.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from mlops_assets.commands import doctor_machine as machine
from mlops_assets.commands.doctor_servers import check_servers
from mlops_assets.commands.findings import Finding, look, ok, problem
from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.config.loader import config_roots, load_project_with_sources
from mlops_assets.domain.errors import PlatformError
from resources.environments import data_root

Check = Callable[[Workspace], Iterator[Finding]]


@click.command()
@with_json
def doctor(*, out: Output) -> None:
    """Look at everything that the platform stands on, and say what is wrong and how to mend it.

    One line a finding: ok, warning or problem, what was looked at, what was found, the remedy. Nothing is changed: it
    may be run at any time, beside everything else. Exit status: 0 no problem (there may be warnings), 1 at least one.

    Example: mlops doctor --json
    """
    findings = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries that are only looked with
        for finding in examine():
            if not out.is_json:  # each as it is found: some stores take a while to answer
                click.echo(finding.line)
            findings.append(finding)
    counts = {level: sum(one.level == level for one in findings) for level in ("ok", "warning", "problem")}
    if out.is_json:
        out.tell({"findings": findings, "counts": counts}, "")
    else:
        click.echo(f"{counts['problem']} problems, {counts['warning']} warnings, {counts['ok']} ok")
    sys.exit(1 if counts["problem"] else 0)


def examine() -> Iterator[Finding]:
    """Yield every finding: of the machine, of the configuration, and of the stores that the configuration names."""
    home = data_root()
    yield from look("python", machine.check_python)
    yield from look("packages", machine.check_packages)
    yield from look("disk", lambda: machine.check_disk(home))
    try:
        workspace = open_workspace()
    except PlatformError as error:
        told = str(error).replace("\n", " ")
        yield problem("configuration", told, error.remedy or "mlops config check")
        return
    yield from look("configuration", _count_configuration)
    environment = workspace.config.environment
    yield from look("secrets", lambda: machine.check_variables(environment, workspace.dagster_home))
    servers = list(look("servers", lambda: check_servers(environment)))
    yield from servers
    if any(one.level == "problem" for one in servers):
        return  # each check of a store would wait for the same server, and say the same
    for part, check in _checks().items():
        yield from look(part, lambda check=check: check(workspace))  # type: ignore[misc]


def _checks() -> dict[str, Check]:
    """Return the checks of stores by what they look at; their modules load libraries."""
    from mlops_assets.commands import doctor_runs as runs
    from mlops_assets.commands import doctor_stores as stores

    return {
        "engine": lambda ws: machine.check_engine_ready(ws.config.environment),
        "interrupted writes": lambda ws: machine.check_leftovers(_folders(ws)),
        "deliveries": stores.check_deliveries,
        "schemas": stores.check_schemas,
        "ledger": stores.check_ledger,
        "mails": stores.check_mails,
        "mail server": stores.check_mail_server,
        "models": stores.check_models,
        "deployment": stores.check_deployment,
        "Dagster": runs.check_history,
    }


def _count_configuration() -> Iterator[Finding]:
    loaded = load_project_with_sources()
    config = loaded.config
    added = f", with {len(config_roots()) - 1} added folders" if len(config_roots()) > 1 else ""
    yield ok(
        "configuration",
        f"{len(config.feeds)} feeds, {len(config.geographies)} geographies, {len(config.use_cases)} use cases, "
        f"environment {config.environment.name}{added}",
    )


def _folders(workspace: Workspace) -> list[Path]:
    """Return the folders below MLOPS_HOME in which files are put in place."""
    storage, environment = workspace.config.environment.storage, workspace.config.environment
    names = [storage.reports, storage.deployment, storage.cache]
    if storage.kind == "local":
        names += [storage.lake, storage.landing]
    files = [environment.ledger.database, environment.mail.outbox, environment.registry.database]
    parents = {workspace.home / Path(name).parent for name in files}
    return sorted({*(workspace.home / name for name in names), *parents})
