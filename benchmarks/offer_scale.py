"""offer_scale: a million prospects and a catalogue of six offers, divided under a budget and two channel capacities.

Two figures each of CPU and memory: of the division alone, and (`day_`) of a whole day of proposals from lake to lake
(offer_scale_day.py). The scores of the first are synthetic: drawn from a gamma distribution, a fifth of the actions not
eligible; what is measured is the allocation, not how a model comes to its scores. It is refused as failed unless every
limit holds and the gap to the dual bound, which the linear programme cannot exceed, is at most a tenth of a percent.

Belongs here: made-up scores of the right size, and their figures. Does not belong here: how close small instances come
to a linear programme (the tests say that).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.measuring import GB, BenchmarkFailedError, Goal, Line, Measured, Usage, run_fresh

NAME = "offer_scale"
CPU_S, PEAK_GB, GAP = 60.0, 4.0, 1e-3
_OFFERS, _SEED = 6, 1


def run(*, quick: bool) -> Iterator[Line]:
    """Yield CPU seconds and peak memory of a fresh process that holds the scores and divides the budget."""
    prospects, started = (100_000 if quick else 1_000_000), Usage.taken()
    done = run_fresh(f"{__name__}:allocate", {"prospects": prospects})
    _require_sound(done)
    sizes = {"prospects": prospects, "actions": _OFFERS + 1, "limits": len(done.result["filled"])}
    seconds = Usage.taken().since(started).wall_s
    facts = {
        "scores": "synthetic",
        "cpu_s_of_allocation": done.result["cpu_s"],
        "gap_to_dual_bound": done.result["gap"],
        "contacted_share": done.result["contacted_share"],
        **{f"filled_{name}": share for name, share in done.result["filled"].items()},
    }
    figures = (
        ("cpu", done.cpu_s, "CPU s", CPU_S),
        ("memory", done.peak_bytes / GB, "GB", PEAK_GB),
    )
    for part, value, unit, limit in figures:
        goal = Goal("value", limit)
        yield Line(NAME, value, unit, goal, sizes, seconds, part=part, is_quick=quick, facts=facts)
    yield from _whole_day(prospects, quick=quick)


def _whole_day(prospects: int, *, quick: bool) -> Iterator[Line]:
    """Yield what a day of proposals costs from lake to lake; the process also makes the lake."""
    started = Usage.taken()
    done = run_fresh("benchmarks.offer_scale_day:propose", {"prospects": prospects})
    if done.result["faults"] or max(done.result["filled"].values()) > 1 + 1e-9:
        raise BenchmarkFailedError(f"the proposals are not sound: {done.result}")
    sizes = {"prospects": prospects, "actions": 22, "limits": len(done.result["filled"])}
    seconds = Usage.taken().since(started).wall_s
    for part, value, unit, limit in (
        ("day_cpu", done.result["cpu_s"], "CPU s", CPU_S),
        ("day_memory", done.peak_bytes / GB, "GB", PEAK_GB),
    ):
        goal = Goal("value", limit)
        yield Line(NAME, value, unit, goal, sizes, seconds, part=part, is_quick=quick, facts=done.result)


def _require_sound(done: Measured) -> None:
    if done.result["gap"] > GAP or max(done.result["filled"].values()) > 1 + 1e-9:
        raise BenchmarkFailedError(f"the allocation is not sound: {done.result}")


# ---------------------------------------------------------------- run in a fresh process


def allocate(prospects: int) -> dict[str, Any]:
    """Make scores, divide the budget, return cost, gap and how far each limit is used."""
    import numpy as np

    from mlops_assets.domain.offers.budget import Capacity, allocate_budget

    chance = np.random.default_rng(_SEED)
    scores = chance.standard_gamma(1.5, (prospects, _OFFERS + 1), dtype=np.float32)
    scores = scores * np.float32(0.6) - np.float32(0.4)
    scores[chance.random(scores.shape, dtype=np.float32) < 0.2] = -np.inf
    scores[:, 0] = 0.0
    discount_usd = np.array([0.0, 0.2, 0.5, 1.0, 0.8, 0.3, 0.1])
    by_sms = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    capacities = [
        Capacity("discount_usd", 0.08 * prospects, discount_usd),
        Capacity("contacts_sms", 0.12 * prospects, by_sms),
        Capacity("contacts_push", 0.1 * prospects, (1.0 - by_sms) * (discount_usd > 0)),
    ]
    start = Usage.taken()
    found = allocate_budget(scores, capacities)
    return {
        "cpu_s": Usage.taken().since(start).cpu_s,
        "gap": found.gap,
        "contacted_share": float((found.actions > 0).mean()),
        "filled": {one.name: found.used[one.name] / one.limit for one in capacities},
    }
