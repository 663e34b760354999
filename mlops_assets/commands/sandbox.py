"""`mlops sandbox`: a simulated operator that drops feed files.

Belongs here: arguments and output. Does not belong here: the simulation (mlops_assets.sandbox).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mlops_assets.commands.completion import complete_geography
from mlops_assets.commands.known_names import require_known
from mlops_assets.commands.output import Output, with_json
from mlops_assets.commands.run import DAY
from mlops_assets.commands.workspace import Workspace, open_workspace
from mlops_assets.domain.errors import ConfigError
from mlops_assets.sandbox.events import EVENT_PARAMETERS, ScriptedEvent, default_events
from mlops_assets.sandbox.geography_world import DayOutcome
from mlops_assets.sandbox.simulation import advance, init_sandbox, list_events, schedule_event
from resources.environments import offers_folder

FIRST_DAY = dt.datetime(2026, 8, 3)  # noqa: DTZ001 - a calendar day; eight weeks from it hold a change of the clocks


@click.group("sandbox")
def sandbox_commands() -> None:
    """Simulate an operator: subscribers, devices and the files of their days."""


def sandbox_arguments(workspace: Workspace) -> dict[str, Any]:
    """Return what every sandbox call needs of a workspace.

    Raises:
        ConfigError: the environment takes its deliveries from a bucket.
    """
    config, storage = workspace.config, workspace.config.environment.storage
    if storage.kind != "local":
        raise ConfigError(
            "the simulated operator delivers into a folder, and this environment reads a bucket",
            where=f"environment {config.environment.name}, {workspace.where(storage.landing)}",
            expected="an environment with `storage.kind: local`",
            remedy="simulate with MLOPS_ENVIRONMENT=local and copy its landing folder into the bucket",
        )
    return {
        "root": workspace.home / storage.sandbox,
        "landing": workspace.home / storage.landing,
        "contracts": config.daily_feeds(),
        "geographies": list(config.geographies.values()),
        "geography_chains": {code: config.geography_chain(code) for code in config.geographies},
        "threads": config.environment.executor.cores,
        "memory_limit": config.environment.engine.memory_limit,
        "offers": offers_folder(config.environment, workspace.home),
    }


def start_sandbox(
    workspace: Workspace,
    *,
    subscribers: int,
    first_day: dt.date,
    days: int,
    seed: int,
    devices: int | None,
    on_day: Callable[[DayOutcome], None] | None,
) -> None:
    """Create the sandbox with the default script; refuses days that the calendar does not know."""
    calendar = workspace.config.environment.calendar
    if first_day < calendar.first_day:
        raise click.BadParameter(
            f"{first_day} is before calendar.first_day {calendar.first_day} of the environment",
            param_hint="--first-day",
        )
    init_sandbox(
        **sandbox_arguments(workspace),
        subscribers=subscribers,
        first_day=first_day,
        days=days,
        seed=seed,
        devices=devices,
        events=_one_geography_each(default_events(first_day), list(workspace.config.geographies)),
        on_day=on_day,
    )


def _one_geography_each(events: list[ScriptedEvent], codes: list[str]) -> list[ScriptedEvent]:
    """Spread a script, so that one geography is seen to go on while another one has trouble."""
    return [event.model_copy(update={"geography": codes[n % len(codes)]}) for n, event in enumerate(events)]


@sandbox_commands.command("init")
@click.option(
    "--subscribers",
    default=20_000,
    show_default=True,
    type=click.IntRange(min=100),
    help="Subscribers of each geography.",
)
@click.option(
    "--days", default=56, show_default=True, type=click.IntRange(min=0), help="Days of files to drop."
)
@click.option("--first-day", type=DAY, default=FIRST_DAY, show_default="2026-08-03", help="First day.")
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    help="Network devices of each geography; default follows the subscribers.",
)
@click.option("--seed", default=20260803, show_default=True, help="The same seed gives the same files.")
@with_json
def init(
    subscribers: int, days: int, first_day: dt.datetime, devices: int | None, seed: int, *, out: Output
) -> None:
    """Create the operator of every configured geography and drop the files of its first days.

    Example: mlops sandbox init --subscribers 2000 --days 28
    """
    workspace, told = open_workspace(), DayTeller(out)
    start_sandbox(
        workspace,
        subscribers=subscribers,
        first_day=first_day.date(),
        days=days,
        seed=seed,
        devices=devices,
        on_day=told,
    )
    landing = sandbox_arguments(workspace)["landing"]
    told.end(landing, f"files are in {landing}; build them with `mlops run`")


@sandbox_commands.command("day")
@click.option("--days", default=1, show_default=True, type=click.IntRange(min=1), help="So many days.")
@with_json
def day(days: int, *, out: Output) -> None:
    """Let the next day pass: its files are dropped in every geography.

    Example: mlops sandbox day --days 2
    """
    told, arguments = DayTeller(out), sandbox_arguments(open_workspace())
    advance(**arguments, days=days, on_day=told)
    told.end(arguments["landing"])


class DayTeller:
    """Tells a person each day as it comes, and a program all of them at the end."""

    def __init__(self, out: Output) -> None:
        self.out = out
        self.days: list[dict[str, Any]] = []

    def __call__(self, outcome: DayOutcome) -> None:
        """Tell a geography's day."""
        names = ("day", "geography", "files", "customers", "prospects")
        self.days.append({name: getattr(outcome, name) for name in names})
        if not self.out.is_json:
            click.echo(
                f"{outcome.day}  {outcome.geography}  {len(outcome.files)} files, {outcome.customers:,} "
                f"customers, {outcome.prospects:,} prospects"
            )

    def end(self, landing: Path, text: str = "") -> None:
        """Tell that it is done."""
        if self.out.is_json or text:
            self.out.tell({"landing": landing, "days": self.days}, text)


@sandbox_commands.group("events")
def events() -> None:
    """What is scripted to happen, or to go wrong."""


@events.command("list")
@with_json
def list_command(*, out: Output) -> None:
    """List the scripted events.

    Example: mlops sandbox events list
    """
    scripted = list_events(sandbox_arguments(open_workspace())["root"])
    lines = [_event_line(event) for event in scripted] or ["no events"]
    out.tell([event.model_dump(mode="json") for event in scripted], "\n".join(lines))


def _event_line(event: ScriptedEvent) -> str:
    settings = " ".join(f"{name}={value}" for name, value in event.parameters.items())
    return (
        f"{event.first_day} .. {event.last_day or ''}  {event.geography or 'all':<4} {event.kind} {settings}"
    )


@events.command("add")
@click.argument("kind", type=click.Choice(sorted(EVENT_PARAMETERS)))
@click.option("--geography", shell_complete=complete_geography, help="Only there; default: everywhere.")
@click.option("--from", "first", type=DAY, required=True, help="Its first day.")
@click.option("--to", "last", type=DAY, help="Its last day; default: it does not end.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Parameter of the event; repeatable."
)
@with_json
def add(
    kind: str,
    geography: str | None,
    first: dt.datetime,
    last: dt.datetime | None,
    settings: tuple[str, ...],
    *,
    out: Output,
) -> None:
    """Script an event for days that have not been simulated yet.

    Example: mlops sandbox events add festival --geography cl --from 2026-10-01 --to 2026-10-01
    """
    workspace = open_workspace()
    if geography is not None:
        require_known(geography, workspace.config.geographies, "--geography")
    event = {
        "kind": kind,
        "geography": geography,
        "first_day": first.date(),
        "last_day": last.date() if last else None,
        "parameters": dict(_setting(kind, text) for text in settings),
    }
    try:
        scripted = ScriptedEvent.model_validate(event)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--set") from error
    schedule_event(sandbox_arguments(workspace)["root"], scripted)
    out.tell(scripted.model_dump(mode="json"), f"scripted {kind} from {scripted.first_day}")


def _setting(kind: str, text: str) -> tuple[str, str | float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(
            f"{text!r} is not NAME=VALUE; parameters of {kind}: {', '.join(EVENT_PARAMETERS[kind])}",
            param_hint="--set",
        )
    try:
        return name, float(value)
    except ValueError:
        return name, value
