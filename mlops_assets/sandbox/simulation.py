"""The sandbox operator's commands: start it, let days pass, schedule events.

Belongs here: the public functions, the order of days and geographies, and when the state is recorded. Does
not belong here: what happens in a day (geography_world).

A day is: in every geography, simulate and drop the files. Every week and at the end of a command, the latent
tables are written, then the state that names them is recorded, then what is superfluous is deleted. Killed
anywhere, days are repeated from the recorded state with identical files, since all randomness is a function
of seed, geography, person and day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.feeds.contract import FeedContract, Geography
from mlops_assets.sandbox.events import ScriptedEvent, default_events, refuse_past_event
from mlops_assets.sandbox.fleet import devices_wanted
from mlops_assets.sandbox.geography_world import DayOutcome, GeographyWorld, first_geography_state
from mlops_assets.sandbox.parameters import BehaviourParameters
from mlops_assets.sandbox.sandbox_state import GeographyState, SandboxState, has_state, load_state, save_state
from mlops_assets.sandbox.sql_engine import open_engines

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "DayOutcome",
    "SandboxState",
    "ScriptedEvent",
    "advance",
    "default_events",
    "has_state",
    "init_sandbox",
    "list_events",
    "load_state",
    "schedule_event",
]

OnDay = Callable[[DayOutcome], None]
_DAY = dt.timedelta(days=1)
_DAYS_BETWEEN_RECORDS = 7  # writing the latent tables every day would cost a tenth of the time


@dataclass(frozen=True)
class _Operator:
    """What every command is told about the operator and the machine."""

    root: Path
    landing: Path
    contracts: Sequence[FeedContract]
    geographies: Sequence[Geography]
    chains: Mapping[str, list[str]]
    behaviour: BehaviourParameters
    threads: int
    memory_limit: str
    offers: Path | None


def init_sandbox(  # noqa: PLR0913 - the public face; everything after `*` has a name
    root: Path,
    landing: Path,
    contracts: list[FeedContract],
    geographies: list[Geography],
    geography_chains: Mapping[str, list[str]],
    *,
    first_day: dt.date,
    days: int,
    subscribers: int = 20_000,
    seed: int = 1,
    devices: int | None = None,
    events: list[ScriptedEvent] | None = None,
    threads: int = 1,
    memory_limit: str = "2GB",
    behaviour: BehaviourParameters | None = None,
    offers: Path | None = None,
    on_day: OnDay | None = None,
) -> SandboxState:
    """Start a sandbox and deliver its first days. Repeating the same command continues a killed one.

    Args:
        root: folder of the sandbox's own state.
        landing: folder with one sub-folder of files per geography.
        contracts: feed contracts before geography overrides.
        geographies: where the operator works, plan codes resolved.
        geography_chains: per geography the codes whose overrides apply, nearest first.
        first_day: first delivered local business day.
        days: number of days to deliver.
        subscribers: records (customers and prospects) per geography.
        seed: of everything random.
        devices: network devices per geography; by default max(40, subscribers / 250).
        events: script; None stands for `default_events(first_day)`.
        threads: worker threads of the engine.
        memory_limit: of the engine, all geographies together, such as `2GB`.
        behaviour: constants of the behavioural model.
        offers: folder of the platform's deliveries, one sub-folder per geography; read day by day where there are any.
        on_day: called with the outcome of every delivered geography-day.

    Raises:
        PlatformError: another sandbox is there already; delete its folder or use `advance`.
    """
    behaviour = behaviour or BehaviourParameters()
    fresh = SandboxState(
        seed=seed,
        subscribers=subscribers,
        devices=devices,
        first_day=first_day,
        next_day=first_day,
        events=default_events(first_day) if events is None else events,
    )
    if has_state(root):
        _refuse_other_sandbox(root, fresh)
    else:
        save_state(root, fresh)
    operator = _Operator(
        root, landing, contracts, geographies, geography_chains, behaviour, threads, memory_limit, offers
    )
    return _advance_until(operator, first_day + days * _DAY, on_day)


def advance(  # noqa: PLR0913 - as above
    root: Path,
    landing: Path,
    contracts: list[FeedContract],
    geographies: list[Geography],
    geography_chains: Mapping[str, list[str]],
    *,
    days: int = 1,
    threads: int = 1,
    memory_limit: str = "2GB",
    behaviour: BehaviourParameters | None = None,
    offers: Path | None = None,
    on_day: OnDay | None = None,
) -> SandboxState:
    """Let the next days pass in every geography; one that is new starts on the first of them.

    A geography that earlier commands left out lives the days that it missed, too.

    Raises:
        PlatformError: there is no sandbox under `root`; run `mlops sandbox init`.
    """
    behaviour = behaviour or BehaviourParameters()
    operator = _Operator(
        root, landing, contracts, geographies, geography_chains, behaviour, threads, memory_limit, offers
    )
    return _advance_until(operator, load_state(root).next_day + days * _DAY, on_day)


def schedule_event(root: Path, event: ScriptedEvent) -> SandboxState:
    """Add an event to the script. ConfigError if it should have begun on a delivered day."""
    state = load_state(root)
    refuse_past_event(event, state.next_day)
    state = state.model_copy(update={"events": [*state.events, event]})
    save_state(root, state)
    return state


def list_events(root: Path) -> list[ScriptedEvent]:
    """Return the script in the order of its days."""
    return sorted(load_state(root).events, key=lambda event: (event.first_day, event.kind))


def _refuse_other_sandbox(root: Path, fresh: SandboxState) -> None:
    there = load_state(root)
    fields = ("seed", "subscribers", "devices", "first_day")
    different = [name for name in fields if getattr(there, name) != getattr(fresh, name)]
    if different:
        raise PlatformError(
            f"another sandbox is here already: {', '.join(different)} differ",
            where=str(root),
            expected=", ".join(f"{name}={getattr(there, name)}" for name in different),
            remedy="delete the folder to start anew, or let days pass in it with `mlops sandbox day`",
        )


def _advance_until(operator: _Operator, end: dt.date, on_day: OnDay | None) -> SandboxState:
    state = load_state(operator.root)
    if end <= state.next_day:
        return state  # a world that nobody looks at need not be begun
    with _worlds(operator, state) as worlds:
        for world in worlds:
            if world.geography.code in state.geographies:
                world.load()
            else:
                world.start(state.events)
        day = state.next_day
        while day < end:
            for world in worlds:
                # More than one day where earlier commands left a geography out.
                while world.state.next_day <= day:
                    outcome = world.deliver_day(state.events)
                    if on_day:
                        on_day(outcome)
            day += _DAY
            if day == end or (day - state.first_day).days % _DAYS_BETWEEN_RECORDS == 0:
                state = _record(operator, worlds, state, day)
    return state


def _record(
    operator: _Operator, worlds: Sequence[GeographyWorld], state: SandboxState, day: dt.date
) -> SandboxState:
    """Make `day` the day from which a killed or later command goes on."""
    for world in worlds:
        world.save()
    geographies = {**state.geographies, **{world.geography.code: world.state for world in worlds}}
    recorded = state.model_copy(update={"geographies": geographies, "next_day": day})
    save_state(operator.root, recorded)
    for world in worlds:
        known = state.geographies.get(world.geography.code)
        world.tidy(known.next_day if known else world.state.first_day, day, state.events)
    return recorded


@contextmanager
def _worlds(operator: _Operator, state: SandboxState) -> Iterator[list[GeographyWorld]]:
    operator.root.mkdir(parents=True, exist_ok=True)
    operator.landing.mkdir(parents=True, exist_ok=True)
    # Offers may come while days pass, their folder with the first of them.
    offers = [operator.offers] if operator.offers is not None else []
    with TemporaryDirectory(prefix="spill_", dir=operator.root) as spill:
        engines = open_engines(
            [geography.code for geography in operator.geographies],
            [operator.root, operator.landing, *offers],
            threads=operator.threads,
            memory_limit=operator.memory_limit,
            spill=Path(spill),
        )
        worlds = [_world(operator, g, state, engines[g.code]) for g in operator.geographies]
        try:
            yield worlds
        finally:
            for world in worlds:
                world.connection.close()


def _world(
    operator: _Operator, geography: Geography, state: SandboxState, connection: duckdb.DuckDBPyConnection
) -> GeographyWorld:
    known: GeographyState | None = state.geographies.get(geography.code)
    devices = devices_wanted(operator.behaviour, state.subscribers, state.devices)
    chain = list(operator.chains.get(geography.code, [geography.code]))
    return GeographyWorld(
        connection=connection,
        root=operator.root,
        landing=operator.landing,
        geography=geography,
        contracts=[contract.for_geography(chain) for contract in operator.contracts],
        behaviour=operator.behaviour,
        seed=state.seed,
        offers=operator.offers,
        state=known
        or first_geography_state(
            operator.behaviour, first_day=state.next_day, subscribers=state.subscribers, devices=devices
        ),
    )
