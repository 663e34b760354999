"""etl_ratio: the same tables, by the platform's per-day loop and by straightforward pandas.

Belongs here: the figures of time. What each side computes is said in etl_runs; memory is etl_memory's.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.etl_runs import HistoryRounds, history_rounds
from benchmarks.measuring import Goal, Line, least_cpu_s

NAME = "etl_ratio"
LABELS_PER_CPU_S = 80_000


def history_of(*, quick: bool) -> HistoryRounds:
    """Return the measured rounds that all ETL benchmarks share."""
    return history_rounds(100_000, 45, 1) if quick else history_rounds(300_000, 60, 2)


def run(*, quick: bool) -> Iterator[Line]:
    """Yield CPU against pandas, wall against a scan, homologation against a scan of the usage files."""
    rounds = history_of(quick=quick)
    shared = {"sizes": rounds.sizes, "seconds": rounds.seconds, "is_quick": quick}
    ours = least_cpu_s(rounds.platform)
    yield Line(
        NAME,
        ours,
        "CPU s",
        Goal("ratio", 0.42),
        part="cpu",
        peer="pandas",
        peer_value=least_cpu_s(rounds.pandas),
        **shared,
    )
    yield Line(
        NAME,
        min(m.wall_s for m in rounds.platform),
        "s",
        Goal("ratio", 18.0),
        part="wall against one scan",
        peer="scan of the Parquet feeds",
        peer_value=min(m.wall_s for m in rounds.scan),
        **shared,
    )
    yield Line(
        NAME,
        min(m.result["cpu_s"]["feeds/usage"] for m in rounds.platform),
        "CPU s",
        Goal("ratio", 8.0),
        part="homologation with daily partials",
        peer="scan of the usage files",
        peer_value=least_cpu_s(rounds.usage_scan),
        **shared,
    )
