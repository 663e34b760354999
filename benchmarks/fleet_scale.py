"""fleet_scale: what 10, 100 and 1,000 groups cost to train, with every fit tracked, judged and recorded.

Belongs here: the runs in fresh processes and the three goals: linear, within fifteen CPU minutes, memory flat.
Groups are those of the sandbox operator, through feeds, tables and corpus; four algorithms and the constant each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.device_fleets import (
    FleetSize,
    build_tables,
    open_stores,
    request_of,
    train_groups,
    train_pooled,
)
from benchmarks.measuring import Goal, Line, Usage, peak_bytes, run_fresh
from benchmarks.operator_data import day_number

NAME = "fleet_scale"
DEVICES_PER_GROUP = 30
GROUPS, QUICK_GROUPS = (10, 100, 1000), (10, 40)
DAYS = 45
LINEAR_WITHIN, CPU_MINUTES, MEMORY_WITHIN = 1.25, 15.0, 1.25


def prepare(groups: int) -> dict[str, Any]:
    """Deliver files and build tables, so that a measured process only trains."""
    size = FleetSize(groups * DEVICES_PER_GROUP, groups, DAYS)
    build_tables(size).engine.close()
    return {}


def train(groups: int) -> dict[str, Any]:
    """Train pooled model and fleet; return CPU seconds, peaks after each, outcomes and fits."""
    size = FleetSize(groups * DEVICES_PER_GROUP, groups, DAYS)
    site = build_tables(size, threads=1)
    with tempfile.TemporaryDirectory() as folder:
        stores, request = open_stores(site, Path(folder)), request_of(site)
        pooled = Usage.taken()
        train_pooled(request, site, stores, day_number(DAYS))
        fleet, peak = Usage.taken(), peak_bytes()
        training = train_groups(request, stores)
        spent = Usage.taken().since(fleet)
    return {
        "pooled_cpu_s": fleet.since(pooled).cpu_s,
        "fleet_cpu_s": spent.cpu_s,
        "pooled_peak_bytes": peak,
        "peak_bytes": peak_bytes(),
        "outcomes": training.manifest.facts["outcomes"],
        "groups": len(training.decisions),
        "fits": sum(len(decision.result.entries) for decision in training.decisions),
    }


def run(*, quick: bool) -> Iterator[Line]:
    """Yield a line per goal."""
    started, sizes = Usage.taken(), QUICK_GROUPS if quick else GROUPS
    found = {}
    for groups in sizes:
        run_fresh("benchmarks.fleet_scale:prepare", {"groups": groups})
        found[groups] = run_fresh("benchmarks.fleet_scale:train", {"groups": groups}).result
    wall_s = Usage.taken().since(started).wall_s
    small, large = found[sizes[-2]], found[sizes[-1]]
    per_group = [one["fleet_cpu_s"] / one["groups"] for one in (small, large)]
    facts = {f"groups_{groups}": one for groups, one in found.items()}
    measured = {"groups": list(sizes), "devices_per_group": DEVICES_PER_GROUP, "days": DAYS, "algorithms": 4}
    yield Line(
        NAME,
        per_group[1],
        "CPU s per group",
        Goal("ratio", 1.5 if quick else LINEAR_WITHIN),
        measured,
        wall_s,
        part="linear",
        peer=f"{sizes[-2]} groups",
        peer_value=per_group[0],
        is_quick=quick,
        facts=facts,
    )
    minutes = (large["fleet_cpu_s"] + large["pooled_cpu_s"]) / 60
    yield Line(
        NAME,
        minutes,
        "CPU minutes",
        Goal("value", CPU_MINUTES),
        measured,
        wall_s,
        part="cost",
        is_quick=quick,
    )
    yield Line(
        NAME,
        large["peak_bytes"] / 1e9,
        "GB peak",
        Goal("ratio", MEMORY_WITHIN),
        measured,
        wall_s,
        part="memory",
        peer="pooled model alone",
        peer_value=large["pooled_peak_bytes"] / 1e9,
        is_quick=quick,
    )
