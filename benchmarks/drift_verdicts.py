"""drift_verdicts: what the drift verdict says of seeded operators in which something is wrong, odd or new.

Belongs here: the stories, and the lines with their goals. Does not belong here: living and judging the worlds
(drift_worlds).

Every seed lives `_PAST_DAYS` without event; each story continues that past. All file faults of a seed follow
each other in one story, in an order that differs from seed to seed, since the world behind the files is the
same. A verdict counts wherever it falls in its story, weeks without event included.
"""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import shutil
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from benchmarks.drift_ranges import RangeHistory
from benchmarks.drift_worlds import SPEC, Operator, World
from benchmarks.measuring import Goal, Line, Usage
from benchmarks.operator_data import work_folder
from mlops_assets.sandbox.events import ScriptedEvent

NAME = "drift_verdicts"
_SUBSCRIBERS = 2_000
_PAST_DAYS, _QUICK_PAST_DAYS = 63, 56
_DAY = dt.timedelta(days=1)
_PROCESSES = 2
_NEVER_DAYS = 999
_LITERAL = "literal rule, 1 of 1"
_WITHOUT_GOAL = ("base_growth", "price_change", "new_plan")

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Story:
    """What happens after the past: events that begin `wait` days after its end, and the days lived on."""

    days: int
    events: Callable[[int, dt.date], list[Event]]


def _event(kind: str, first_day: dt.date, days: int | None, **parameters: Any) -> Event:
    last_day = None if days is None else first_day + (days - 1) * _DAY
    return {"kind": kind, "first_day": first_day, "last_day": last_day, "parameters": parameters}


# Kind, days, calm days after it (a late file arrives among them), parameters.
_FAULTS: tuple[tuple[str, int, int, Mapping[str, Any]], ...] = (
    ("unit_error", 1, 2, {"factor": 1024.0}),
    ("missing_file", 2, 2, {"feed": "usage"}),
    ("unit_error", 6, 3, {"factor": 1024.0}),
    ("duplicated_file", 1, 3, {"feed": "usage"}),
    ("truncated_file", 2, 2, {"feed": "usage"}),
    ("unit_error", 3, 3, {"factor": 1.0 / 1024}),
    ("late_file", 1, 4, {"feed": "usage", "delay_days": 2}),
    ("corrected_file", 1, 4, {"feed": "usage", "delay_days": 3, "lost_share": 0.06}),
)
_FAULT_DAYS = sum(days + calm for _, days, calm, _ in _FAULTS)


def _faults(seed: int, first_day: dt.date) -> list[Event]:
    turn, day, events = seed % len(_FAULTS), first_day, []
    for kind, days, calm, parameters in _FAULTS[turn:] + _FAULTS[:turn]:
        events.append(_event(kind, day, days, **parameters))
        day += (days + calm) * _DAY
    return events


def _one(kind: str, days: int | None, **parameters: Any) -> Callable[[int, dt.date], list[Event]]:
    return lambda _seed, first_day: [_event(kind, first_day, days, **parameters)]


STORIES: dict[str, Story] = {
    "clean": Story(16, lambda _seed, _first_day: []),
    "faults": Story(_FAULT_DAYS, _faults),
    "festival_1d": Story(7, _one("festival", 1)),
    "festival_2d": Story(8, _one("festival", 2)),
    "behaviour_shift": Story(14, _one("behaviour_shift", None)),
    "base_growth": Story(14, _one("base_growth", 7)),
    "price_change": Story(14, _one("price_change", None)),
    "new_plan": Story(16, _one("new_plan", None)),
}
_QUICK_STORIES = ("clean", "faults", "festival_2d", "behaviour_shift")


def run(*, quick: bool) -> Iterator[Line]:
    """Yield one line a goal; what has no goal is among the facts of the last."""
    seeds, names = (4, _QUICK_STORIES) if quick else (40, tuple(STORIES))
    past_days, started = (_QUICK_PAST_DAYS if quick else _PAST_DAYS), Usage.taken()
    told = tell_all(range(seeds), names, past_days)
    shared = {
        "sizes": {"seeds": seeds, "subscribers": _SUBSCRIBERS, "past_days": past_days, "stories": len(names)},
        "seconds": Usage.taken().since(started).wall_s,
        "is_quick": quick,
    }
    yield from _lines(told, shared)


def tell_all(seeds: Sequence[int], names: Sequence[str], past_days: int) -> list[dict[str, Any]]:
    """Return the days of all stories, told by two processes of one thread each."""
    with ProcessPoolExecutor(_PROCESSES, mp_context=multiprocessing.get_context("fork")) as pool:
        found = pool.map(tell_seed, seeds, repeat(tuple(names)), repeat(past_days))
        return [story for of_seed in found for story in of_seed]


def tell_seed(seed: int, names: Sequence[str], past_days: int) -> list[dict[str, Any]]:
    """Live the past of a seed once, then each story from there; return a record a story."""
    work_folder().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"drift_{seed}_{os.getpid()}_", dir=work_folder()))
    try:
        operator = Operator.of_seed(seed, _SUBSCRIBERS)
        past = World(operator, folder / "past", RangeHistory(operator.monitor))
        past.start(past_days)
        return [_tell(past, folder, seed, name, past_days) for name in names]
    finally:
        shutil.rmtree(folder)


def _tell(past: World, folder: Path, seed: int, name: str, past_days: int) -> dict[str, Any]:
    story, first_day = STORIES[name], past.operator.first_day + past_days * _DAY
    # Stories begin on different weekdays.
    wait = 0 if name == "clean" else 1 + seed % 3
    events = story.events(seed, first_day + wait * _DAY)
    world = past.copy(folder / name)
    world.live(story.days + wait, [ScriptedEvent.model_validate(event) for event in events])
    shutil.rmtree(world.folder)
    days = [
        _day_record(world, day, events)
        for day in sorted(world.verdicts)
        if name == "clean" or day >= first_day
    ]
    return {
        "seed": seed,
        "story": name,
        "first_day": events[0]["first_day"] if events else None,
        "days": days,
    }


def _day_record(world: World, day: dt.date, events: Sequence[Event]) -> dict[str, Any]:
    """Return what was said of a day, beside what happened on it."""
    verdict = world.verdicts[day]
    happening = [e["kind"] for e in events if e["first_day"] <= day <= (e["last_day"] or dt.date.max)]
    return {
        "day": day,
        "kind": verdict.kind,
        "happening": happening,
        "broken": [feed.feed for feed in world.evidence[day].feeds if feed.status == "broken"],
        "findings": [text for feed in world.evidence[day].feeds for text in feed.findings],
        "figures": verdict.figures,
    }


# ---------------------------------------------------------------- lines


def _lines(told: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> Iterator[Line]:
    by_story = {name: [story for story in told if story["story"] == name] for name in STORIES}
    festivals = [*by_story["festival_1d"], *by_story["festival_2d"]]
    yield _count_line("retrain on feed faults", by_story["faults"], _kept_out(by_story["faults"]), shared)
    yield _count_line("retrain on one- and two-day events", festivals, _outcomes(festivals), shared)
    yield from _shift_lines(by_story["behaviour_shift"], shared)
    sound = [story for name in ("behaviour_shift", *_WITHOUT_GOAL) for story in by_story[name]]
    yield Line(
        NAME, sum(bool(day["broken"]) for story in sound for day in story["days"]), "days", Goal("value", 0),
        part="growth and shifts called broken feeds", facts=_other_outcomes(by_story), **shared,
    )  # fmt: skip
    yield _clean_line([day for story in by_story["clean"] for day in story["days"]], shared)


def _count_line(
    part: str, stories: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], shared: Mapping[str, Any]
) -> Line:
    days = [day for story in stories for day in story["days"]]
    return Line(
        NAME, _shifts(days), "verdicts", Goal("value", 0), part=part, peer=_LITERAL, peer_value=_marked(days),
        facts={"segment_days": len(days), **facts}, **shared,
    )  # fmt: skip


def _shift_lines(stories: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> Iterator[Line]:
    delays = [_delay_days(story) for story in stories]
    found = sum(delay is not None for delay in delays) / max(len(delays), 1)
    days = [_NEVER_DAYS if delay is None else delay for delay in delays] or [_NEVER_DAYS]
    retrainings = sum(_shifts(story["days"]) for story in stories) / max(len(stories), 1)
    yield Line(
        NAME, found, "share", Goal("value", 1.0, is_at_most=False), part="lasting shifts found",
        facts={"retrainings_per_shift": retrainings}, **shared,
    )  # fmt: skip
    yield Line(
        NAME, float(statistics.median(days)), "days", Goal("value", 6), part="median delay of a lasting shift",
        facts={"worst_days": max(days)}, **shared,
    )  # fmt: skip


def _clean_line(days: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> Line:
    judged = [day for day in days if day["figures"].series]
    per_100 = 100.0 / max(len(judged), 1)
    rule_alone = sum(len(day["figures"].marked_days) >= SPEC.drift.days for day in judged)
    return Line(
        NAME, per_100 * _shifts(judged), "per 100 segment-days", Goal("value", 0.1),
        part="false retrainings in clean worlds", peer=_LITERAL, peer_value=per_100 * _marked(judged),
        facts={"segment_days": len(judged), "rule_3_of_4_alone": per_100 * rule_alone}, **shared,
    )  # fmt: skip


def _shifts(days: Sequence[Mapping[str, Any]]) -> int:
    return sum(day["kind"] == "behaviour_shift" for day in days)


def _marked(days: Sequence[Mapping[str, Any]]) -> int:
    """Count the days on which the literal rule alone would have retrained."""
    return sum(day["day"] in day["figures"].marked_days for day in days)


def _kept_out(stories: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return by kind of fault the share of its days that were kept from being evidence."""
    days, kept = Counter[str](), Counter[str]()
    for day in (day for story in stories for day in story["days"]):
        days.update(day["happening"])
        if day["kind"] in ("broken_feed", "no_evidence"):
            kept.update(day["happening"])
    return {f"{kind}_kept_out": kept[kind] / days[kind] for kind in sorted(days)}


def _outcomes(stories: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the verdicts on the days on which something happened."""
    kinds = Counter(day["kind"] for story in stories for day in story["days"] if day["happening"])
    return dict(sorted(kinds.items()))


def _delay_days(story: Mapping[str, Any]) -> int | None:
    """Return how many days of the shift had been delivered when it was called one."""
    due = (day["day"] for day in story["days"] if day["kind"] == "behaviour_shift")
    first = min((day for day in due if day >= story["first_day"]), default=None)
    return None if first is None else (first - story["first_day"]).days + 1


def _other_outcomes(by_story: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, float]:
    """Return for stories without a goal of their own how many led to a retraining, and after how many days."""
    facts: dict[str, float] = {}
    for name in _WITHOUT_GOAL:
        stories = by_story[name]
        found = [delay for story in stories if (delay := _delay_days(story)) is not None]
        if stories:
            facts[f"{name}_retrained"] = len(found) / len(stories)
        if found:
            facts[f"{name}_median_delay_days"] = float(statistics.median(found))
    return facts
