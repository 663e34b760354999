"""What `--record` writes: benchmarks/results.json and docs/benchmarks.md.

Belongs here: merging new lines with recorded ones and rendering them. Does not belong here: measuring.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from benchmarks.growth_plot import draw_growth
from benchmarks.measuring import PROJECT

RESULTS = PROJECT / "benchmarks" / "results.json"
PAGE = PROJECT / "docs" / "benchmarks.md"
_HEADINGS = ("benchmark", "part", "value", "peer", "ratio", "goal", "holds", "sizes", "measured")
_INTRODUCTION = """\
Every figure was measured beside its peer in one run, where there is one. CPU seconds are user and system time of a
process and its children. A goal is a limit on the value or on the ratio to the peer; whether it holds is computed."""
_GROWTH = """\
What a day of the daily graph costs with more subscribers, devices and segments, and after more days of history: CPU
seconds, without the simulation of the operator.

![CPU seconds of a day against subscribers, devices, segments and days of history](images/growth.png)"""
SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "First contact": ("first_ten_minutes", "demo_time", "demo_memory", "dev_server_start", "load_ratio"),
    "Data work": (
        "graph_overhead", "growth", "etl_ratio", "etl_memory", "etl_increment", "subscriber_validation_speed",
    ),
    "Data quality": (
        "kernel_coverage", "kernel_clean_days", "kernel_winkler", "kernel_speed", "anomaly_removal", "drift_verdicts",
    ),
    "Learning, retraining, promotion": ("churn_ibm_auc", "retrain_cost", "loop_replay", "promotion_race"),
    "Offers": (
        "offer_ladder", "simulator_support", "offer_scale", "ope_coverage", "ope_digits", "ope_obd",
    ),
    "Fleets": (
        "fleet_scale", "fleet_gain", "fleet_false_promotions", "fleet_growth_accuracy", "lte_fleet_auc",
    ),
    "Serving": ("serving_latency", "hot_swap"),
    "Faults, environments, security": (
        "fault_table", "environment_equality", "engine_equality", "hypothesis_inputs",
    ),
}  # fmt: skip


def record(lines: Iterable[Mapping[str, Any]]) -> None:
    """Replace the recorded lines of the same benchmark, part and kind (quick or not), write both files."""
    stamped = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "machine": describe_machine()}
    known = {_key(line): line for line in recorded_lines()}
    known |= {_key(line): {**line, **stamped} for line in lines}
    ordered = [known[key] for key in sorted(known)]
    RESULTS.write_text(json.dumps(ordered, indent=1, sort_keys=True) + "\n")
    draw_growth(ordered)
    PAGE.write_text(render(ordered))


def describe_machine() -> str:
    """Return cores, memory, processor and Python of this machine."""
    memory_gb = psutil.virtual_memory().total / 1024**3
    return f"{os.cpu_count()} cores {_processor()}, {memory_gb:.0f} GB, Python {platform.python_version()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.machine()


def render(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the page: one row a line, with its peer, ratio, goal and whether it holds.

    A quick line is shown only where there is none of full size.
    """
    shown: dict[tuple[str, str], Mapping[str, Any]] = {}
    for line in sorted(lines, key=_key, reverse=True):  # full size after quick
        shown[_key(line)[:2]] = line
    held = sum(bool(line["holds"]) for line in shown.values())
    text = (
        f"{_INTRODUCTION}\n\n{len(shown)} figures, {held} of them reach their goal. `make bench` writes this page, "
        "and says which figures are worse than those recorded before by more than 15 %.\n"
    )
    if any(name == "growth" for name, _ in shown):
        text += f"\n## Growth\n\n{_GROWTH}\n"
    return "# Benchmarks\n\n" + text + "".join(_sections(shown))


def _sections(shown: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterable[str]:
    """Yield a heading and a table for each subject."""
    subject_of = {name: subject for subject, names in SUBJECTS.items() for name in names}
    for subject in (*SUBJECTS, "Other"):
        rows = [
            list(_cells(shown[key])) for key in sorted(shown) if subject_of.get(key[0], "Other") == subject
        ]
        if rows:
            table = [_row(_HEADINGS), _row(["---"] * len(_HEADINGS)), *map(_row, rows)]
            yield f"\n## {subject}\n\n" + "\n".join(table) + "\n"


def _cells(line: Mapping[str, Any]) -> Iterable[str]:
    peer = (
        f"{line['peer']}: {line['peer_value']}"
        if line.get("peer_value") is not None
        else line.get("peer", "")
    )
    sizes = ", ".join(f"{name} {value}" for name, value in line.get("sizes", {}).items())
    yield from (line["name"], line.get("part", ""), f"{line['value']} {line['unit']}", peer)
    yield from (str(line.get("ratio", "")), line["goal"], "yes" if line["holds"] else "**no**")
    yield from (sizes + (", quick" if line.get("quick") else ""), f"{line['date']}, {line['machine']}")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def recorded_lines() -> list[dict[str, Any]]:
    """Return the lines of results.json; none where there is no such file."""
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def _key(line: Mapping[str, Any]) -> tuple[str, str, bool]:
    return line["name"], line.get("part", ""), bool(line.get("quick"))
