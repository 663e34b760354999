"""kernel_coverage: the share of values inside the 95 % range, on rolling monthly origins and 30 days ahead.

Belongs here: coverage pooled, and of the worst tenth of series, beside default Prophet. Does not belong here:
making the ranges (kernel_rounds).
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.kernel_rounds import MONTH_DAYS, WINDOW_DAYS, find_rounds, roll_peer
from benchmarks.measuring import Goal, Line, Usage

NAME = "kernel_coverage"
_PANELS = ("sandbox", "lte_daily", "lte_hourly")
# Few days of few series vary more by chance.
_LEAST = {"sandbox": 0.93, "lte_daily": 0.91, "lte_hourly": 0.91}
_MOST, _WORST_TENTH = 0.97, 0.88
_QUICK_SLACK, _QUICK_WORST_SLACK = 0.02, 0.08


def run(*, quick: bool) -> Iterator[Line]:
    """Yield lower bound, upper bound on the sandbox panel, and the worst tenth, for each panel."""
    for name in _PANELS:
        yield from _run_panel(name, quick=quick)


def _run_panel(name: str, *, quick: bool) -> Iterator[Line]:
    started = Usage.taken()
    ranges = find_rounds(name, quick=quick).kernel
    peer, ours = roll_peer(name, WINDOW_DAYS, quick=quick)
    month, _ = roll_peer(name, MONTH_DAYS, quick=quick)
    facts = {
        "peer_previous_month": month.coverage, "peer_worst_tenth": peer.worst_tenth,
        "kernel_on_the_peers_series": ours.coverage,
    }  # fmt: skip
    sizes = {**ranges.sizes(), "peer_series": peer.sizes()["series"]}
    slack, worst_slack = (_QUICK_SLACK, _QUICK_WORST_SLACK) if quick else (0.0, 0.0)
    seconds = Usage.taken().since(started).wall_s
    figures = [
        ("pooled", ranges.coverage, peer.coverage, Goal("value", _LEAST[name] - slack, is_at_most=False)),
        ("worst tenth", ranges.worst_tenth, peer.worst_tenth,
         Goal("value", _WORST_TENTH - worst_slack, is_at_most=False)),
    ]  # fmt: skip
    if name == "sandbox":
        upper = Goal("value", _MOST + slack)
        figures.append(("pooled, not too wide", ranges.coverage, peer.coverage, upper))
    for part, value, peer_value, goal in figures:
        yield Line(
            NAME, value, "share", goal, sizes, seconds, part=f"{name}: {part}",
            peer="default Prophet, 60 days", peer_value=peer_value, is_quick=quick, facts=facts,
        )  # fmt: skip
