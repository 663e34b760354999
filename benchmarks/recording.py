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

from benchmarks.measuring import PROJECT

RESULTS = PROJECT / "benchmarks" / "results.json"
PAGE = PROJECT / "docs" / "benchmarks.md"
_HEADINGS = ("benchmark", "part", "value", "peer", "ratio", "goal", "holds", "sizes", "measured")


def record(lines: Iterable[Mapping[str, Any]]) -> None:
    """Replace the recorded lines of the same benchmark, part and kind (quick or not), write both files."""
    stamped = {"date": dt.datetime.now(dt.UTC).date().isoformat(), "machine": describe_machine()}
    known = {_key(line): line for line in _recorded()}
    known |= {_key(line): {**line, **stamped} for line in lines}
    ordered = [known[key] for key in sorted(known)]
    RESULTS.write_text(json.dumps(ordered, indent=1, sort_keys=True) + "\n")
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
    rows = [list(_cells(shown[key])) for key in sorted(shown)]
    table = [_row(_HEADINGS), _row(["---"] * len(_HEADINGS)), *map(_row, rows)]
    return (
        "# Benchmarks\n\nWritten by `make bench`; every figure was measured beside its peer in one run. CPU "
        "seconds are "
        "user and system time of a process and its children.\n\n" + "\n".join(table) + "\n"
    )


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


def _recorded() -> list[dict[str, Any]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def _key(line: Mapping[str, Any]) -> tuple[str, str, bool]:
    return line["name"], line.get("part", ""), bool(line.get("quick"))
