"""Scripted events: what happens in the simulated world, or goes wrong on the way to the lake, on given days.

Belongs here: the typed event, its kinds with their parameters and defaults, the default script. Does not
belong here: carrying an event out (`world_effects` for the world, `delivery` for files).
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, model_validator

from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.model_base import Record

Scalar = bool | int | float | str
EventKind = Literal[
    "unit_error",
    "missing_file",
    "duplicated_file",
    "truncated_file",
    "late_file",
    "corrected_file",
    "festival",
    "behaviour_shift",
    "new_plan",
    "base_growth",
    "price_change",
    "fleet_growth",
]

# Defaults of every parameter; a parameter that is not here is refused. Shares and factors are plain numbers.
EVENT_PARAMETERS: dict[str, dict[str, Scalar]] = {
    # a feed's volumes are multiplied by `factor` and still labelled as before (1024: KB delivered as MB)
    "unit_error": {"feed": "usage", "factor": 1024.0},
    "missing_file": {"feed": "topups"},
    "duplicated_file": {"feed": "usage"},  # yesterday's content under today's name
    "truncated_file": {"feed": "usage", "keep_share": 0.6},  # share of the bytes that arrive
    "late_file": {"feed": "topups", "delay_days": 2},  # the file arrives with that of `delay_days` later
    # the first delivery lacks `lost_share` of the records, `delay_days` later the whole file replaces it
    "corrected_file": {"feed": "usage", "delay_days": 3, "lost_share": 0.06},
    "festival": {"data_factor": 2.5, "voice_factor": 1.4, "share": 0.85},
    "behaviour_shift": {"data_factor": 1.6, "share": 0.65, "video_factor": 2.0},
    "new_plan": {
        "plan_code": "data_xl",
        "local_code": "NEW-XL",
        "family": "data",
        "price_usd_cents": 1450,
        "margin_usd_cents": 800,
        "validity_days": 30,
        "allowance_mb": 25_600,
        "adoption_share": 0.25,  # of those who prefer a plan of the same family, reached after 28 days
    },
    "base_growth": {"growth_share": 0.25},  # of the base, spread over first_day..last_day
    "price_change": {"plan_code": "all", "factor": 1.15},
    "fleet_growth": {"devices": 20},
}
LASTING_KINDS = frozenset({"behaviour_shift", "new_plan", "price_change", "fleet_growth"})
FILE_KINDS = frozenset(
    {"unit_error", "missing_file", "duplicated_file", "truncated_file", "late_file", "corrected_file"}
)


class ScriptedEvent(Record):
    """Something that happens on the local days first_day..last_day of one geography, or of all.

    Without `last_day`, an event lasts one day, or for ever where that is its nature (behaviour_shift,
    new_plan, price_change, fleet_growth). `parameters` override the defaults in `EVENT_PARAMETERS`.
    """

    kind: EventKind
    geography: str | None = Field(None, description="code, or nothing for all")
    first_day: dt.date
    last_day: dt.date | None = None
    parameters: dict[str, Scalar] = {}

    @model_validator(mode="after")
    def _acceptable(self) -> ScriptedEvent:
        defaults = EVENT_PARAMETERS[self.kind]
        for name, value in self.parameters.items():
            if name not in defaults:
                close = difflib.get_close_matches(name, defaults, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"{self.kind} has no parameter {name!r}; known: {', '.join(defaults)}{hint}")
            if isinstance(value, str) != isinstance(defaults[name], str):
                raise ValueError(f"{self.kind}: {name} must be like {defaults[name]!r}, not {value!r}")
        if "delay_days" in defaults and self.number("delay_days") < 1:
            raise ValueError(f"{self.kind}: delay_days must be at least one whole day")
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError(f"last_day {self.last_day} lies before first_day {self.first_day}")
        return self

    def concerns(self, geography: str, day: dt.date) -> bool:
        """Say whether the event is in force in a geography on a day."""
        if self.geography not in (None, geography) or day < self.first_day:
            return False
        if self.last_day is None:
            return self.kind in LASTING_KINDS or day == self.first_day
        return day <= self.last_day

    def number(self, name: str) -> float:
        """Return a numeric parameter or its default."""
        return float(self.parameters.get(name, EVENT_PARAMETERS[self.kind][name]))

    def text(self, name: str) -> str:
        """Return a text parameter or its default."""
        return str(self.parameters.get(name, EVENT_PARAMETERS[self.kind][name]))


def events_on(
    events: Iterable[ScriptedEvent], geography: str, day: dt.date, kind: str
) -> list[ScriptedEvent]:
    """Return the events of a kind that are in force in a geography on a day."""
    return [event for event in events if event.kind == kind and event.concerns(geography, day)]


def file_events_on(
    events: Iterable[ScriptedEvent], geography: str, day: dt.date, feed: str
) -> dict[str, ScriptedEvent]:
    """Return the events that change how a feed's file of this day is delivered, by kind."""
    return {
        event.kind: event
        for event in events
        if event.kind in FILE_KINDS and event.concerns(geography, day) and event.text("feed") == feed
    }


def default_events(first_day: dt.date) -> list[ScriptedEvent]:
    """Return the script of a demo: eight weeks in which two mild things happen to files, in all geographies.

    Day 18: the top-up file is missing and arrives two days later. Day 32: the usage file lacks 6 % of its
    records and is delivered again, complete, three days later. Nothing else.
    """
    return [
        ScriptedEvent(
            kind="late_file",
            first_day=first_day + dt.timedelta(days=17),
            parameters={"feed": "topups", "delay_days": 2},
        ),
        ScriptedEvent(
            kind="corrected_file",
            first_day=first_day + dt.timedelta(days=31),
            parameters={"feed": "usage", "delay_days": 3, "lost_share": 0.06},
        ),
    ]


def refuse_past_event(event: ScriptedEvent, next_day: dt.date) -> None:
    """Raise ConfigError if the event should have begun on a day that is already delivered."""
    if event.first_day < next_day:
        raise ConfigError(
            f"{event.kind} cannot begin on {event.first_day}: that day is already delivered",
            expected=f"first_day {next_day} or later",
            remedy="choose a later day, or start a new sandbox with the event in its script",
        )
