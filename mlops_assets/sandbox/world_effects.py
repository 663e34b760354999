"""What scripted events do to the simulated world.

Belongs here: festivals, lasting shifts, new plans, growth, as SQL factors and numbers for a day. Does not
belong here: events that only touch files (delivery) and prices (catalogue).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from mlops_assets.sandbox.catalogue import Plan
from mlops_assets.sandbox.events import ScriptedEvent, events_on
from mlops_assets.sandbox.sql_engine import SqlText, literal

_ADOPTION_DAYS = 28


def world_values(
    events: Sequence[ScriptedEvent], geography: str, day: dt.date, plans: Sequence[Plan]
) -> dict[str, object]:
    """Return the factors of the day's events as SQL over the columns of the day's statement."""
    festivals = events_on(events, geography, day, "festival")
    shifts = events_on(events, geography, day, "behaviour_shift")
    return {
        "event_data": _product(
            [
                _for_share("d", f"festival {e.first_day}", e.number("share"), e.number("data_factor"))
                for e in festivals
            ]
            + [
                _for_share("h", f"shift {e.first_day}", e.number("share"), e.number("data_factor"))
                for e in shifts
            ]
        ),
        "event_voice": _product(
            [
                _for_share("d", f"festival {e.first_day}", e.number("share"), e.number("voice_factor"))
                for e in festivals
            ]
        ),
        "shift_video": _product(
            [
                _for_share("h", f"shift {e.first_day}", e.number("share"), e.number("video_factor"))
                for e in shifts
            ]
        ),
        "wanted_plan": SqlText(_wanted_plan(events_on(events, geography, day, "new_plan"), day, plans)),
    }


def _for_share(key: str, purpose: str, share: float, factor: float) -> str:
    return (
        f"CASE WHEN uniform({key}, {literal(purpose)}) < {literal(share)} THEN {literal(factor)} ELSE 1e0 END"
    )


def _product(factors: list[str]) -> SqlText:
    return SqlText(" * ".join(f"({factor})" for factor in factors) or "1e0")


def _wanted_plan(new_plans: list[ScriptedEvent], day: dt.date, plans: Sequence[Plan]) -> str:
    """Return SQL for the plan a person wants today: the preferred, or an adopted new one of its family."""
    cases = []
    for event in new_plans:
        ramp = min(1.0, ((day - event.first_day).days + 1) / _ADOPTION_DAYS)
        adopted = literal(event.number("adoption_share") * ramp)
        code = literal(event.text("plan_code"))
        family = ", ".join(literal(plan.plan_code) for plan in plans if plan.family == event.text("family"))
        cases.append(
            f"WHEN uniform(h, 'adopts ' || {code}) < {adopted} AND p.preferred_plan IN ({family}) THEN {code}"
        )
    return f"(CASE {' '.join(cases)} ELSE p.preferred_plan END)" if cases else "p.preferred_plan"


def growth_factor(events: Sequence[ScriptedEvent], geography: str, day: dt.date) -> float:
    """Return the size of the base relative to a world without growth events, at the end of a day."""
    factor = 1.0
    for event in events:
        if event.kind != "base_growth" or event.geography not in (None, geography) or day < event.first_day:
            continue
        last_day = event.last_day or event.first_day + dt.timedelta(days=6)
        done = min(1.0, ((day - event.first_day).days + 1) / ((last_day - event.first_day).days + 1))
        factor *= 1.0 + event.number("growth_share") * done
    return factor


def devices_added(events: Sequence[ScriptedEvent], geography: str, day: dt.date) -> int:
    """Return how many devices scripted growth has added by a day."""
    return sum(int(e.number("devices")) for e in events_on(events, geography, day, "fleet_growth"))
