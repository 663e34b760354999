"""etl_memory: peak memory of the same tables, and of a day at one million subscribers.

Belongs here: the figures of memory. Time is etl_ratio's.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.etl_increment import increment_of
from benchmarks.etl_ratio import history_of
from benchmarks.measuring import GB, Goal, Line

NAME = "etl_memory"


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the peak against pandas, and the peak of a day's increment."""
    rounds = history_of(quick=quick)
    ours = min(m.peak_bytes for m in rounds.platform) / GB
    theirs = min(m.peak_bytes for m in rounds.pandas) / GB
    # At small sizes imports dominate both sides.
    goal = Goal("ratio", 1.0 if quick else 0.10)
    yield Line(
        NAME,
        ours,
        "GB",
        goal,
        rounds.sizes,
        rounds.seconds,
        part="history",
        peer="pandas",
        peer_value=theirs,
        is_quick=quick,
    )
    day = increment_of(20_000 if quick else 1_000_000)
    yield Line(
        NAME, day.peak_gb, "GB", Goal("value", 2.0), day.sizes, day.seconds, part="one day", is_quick=quick
    )
