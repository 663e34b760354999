"""What the sandbox remembers between two commands: one JSON file, and where the latent tables are.

Belongs here: the typed state, reading and replacing it. Does not belong here: living a day (simulation).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from pydantic import ValidationError

from mlops_assets.domain.errors import PlatformError
from mlops_assets.domain.model_base import Record
from mlops_assets.sandbox.events import ScriptedEvent

_FILE_NAME = "sandbox.json"
_README = """This folder is the inside of the simulated operator. It is not delivered to anybody.

- `sandbox.json`: seed, sizes, next day to simulate, scripted events.
- `<geography>/population_<day>.parquet`, `fleet_<day>.parquet`: the latent state before that day, traits included.
- `<geography>/truth/churn_<day>.parquet`: who left on the day, and why.
- `<geography>/truth/offers_<day>.parquet`: the true probability with which each contacted person would accept.
- `<geography>/held/`: files that will arrive late.

The platform sees the landing zone only. A model that reads this folder cheats; evaluation code may read it
to compare what was learned with what is true.
"""


class GeographyState(Record):
    """One geography: first delivered day, next day to simulate, sizes at the start, next record's number."""

    first_day: dt.date
    next_day: dt.date
    subscribers: int
    next_n: int
    devices: int
    groups: int


class SandboxState(Record):
    """The whole sandbox. `subscribers` and `devices` are per geography.

    `next_day` is that of the geographies of the last command; one that it left out has an earlier one of its own.
    """

    seed: int
    subscribers: int
    devices: int | None
    first_day: dt.date
    next_day: dt.date
    geographies: dict[str, GeographyState] = {}
    events: list[ScriptedEvent] = []


def population_path(root: Path, geography: str, day: dt.date) -> Path:
    """Return where the latent subscribers before a day are kept."""
    return root / geography / f"population_{day:%Y%m%d}.parquet"


def fleet_path(root: Path, geography: str, day: dt.date) -> Path:
    """Return where the latent devices before a day are kept."""
    return root / geography / f"fleet_{day:%Y%m%d}.parquet"


def truth_path(root: Path, geography: str, table: str, day: dt.date) -> Path:
    """Return where a table of truth (`churn`, `offers`) of a day is kept."""
    return root / geography / "truth" / f"{table}_{day:%Y%m%d}.parquet"


def has_state(root: Path) -> bool:
    """Say whether there is a sandbox under this folder."""
    return (root / _FILE_NAME).exists()


def load_state(root: Path) -> SandboxState:
    """Read the state.

    Raises:
        PlatformError: there is no sandbox here, or its file is damaged; run `mlops sandbox init`.
    """
    path = root / _FILE_NAME
    try:
        return SandboxState.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PlatformError(
            "there is no sandbox", where=str(root), remedy="run `mlops sandbox init`"
        ) from error
    except ValidationError as error:
        raise PlatformError(
            "the sandbox's state cannot be read",
            where=str(path),
            remedy="restore the file, or delete the sandbox's folder and run `mlops sandbox init`",
        ) from error


def save_state(root: Path, state: SandboxState) -> None:
    """Replace the state as a whole."""
    root.mkdir(parents=True, exist_ok=True)
    readme = root / "README.md"
    if not readme.exists():
        readme.write_text(_README, encoding="utf-8")
    part = root / f"{_FILE_NAME}.part"
    part.write_text(state.model_dump_json(indent=2), encoding="utf-8")
    part.replace(root / _FILE_NAME)
