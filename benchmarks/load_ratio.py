"""load_ratio: loading the code location beside importing Dagster.

Belongs here: CPU seconds of two fresh processes in turns.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.measuring import Goal, Line, Usage, run_command

NAME = "load_ratio"


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the ratio over the best of some rounds."""
    rounds, started = (2 if quick else 5), Usage.taken()
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(run_command([sys.executable, "-c", "import mlops_assets.definitions"]).cpu_s)
        theirs.append(run_command([sys.executable, "-c", "import dagster"]).cpu_s)
    seconds = Usage.taken().since(started).wall_s
    yield Line(
        NAME, min(ours), "CPU s", Goal("ratio", 2.5), {"rounds": rounds}, seconds, peer="import dagster",
        peer_value=min(theirs), is_quick=quick,
    )  # fmt: skip
