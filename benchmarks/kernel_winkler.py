"""kernel_winkler: the interval score of the kernel's ranges beside default Prophet's for the same values.

Belongs here: default Prophet given the same 60 days, and given the previous month. Does not belong here: making
the ranges (kernel_rounds). Cells by the hour are shown as a fact without a goal: at night their traffic is a
two-hundredth of its own peaks, which lets a handful of hours decide the mean score.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.kernel_rounds import MONTH_DAYS, WINDOW_DAYS, Ranges, roll_peer
from benchmarks.measuring import Goal, Line, Usage

NAME = "kernel_winkler"
_PANELS = ("sandbox", "lte_daily")
_GOALS = {WINDOW_DAYS: 0.75, MONTH_DAYS: 0.45}
_QUICK_GOALS = {WINDOW_DAYS: 0.95, MONTH_DAYS: 0.65}
_HOURLY = "lte_hourly"


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the ratio for each panel and history of the peer."""
    for history, limit in (_QUICK_GOALS if quick else _GOALS).items():
        hourly = {} if quick else {"lte_hourly_ratio": _ratio(*roll_peer(_HOURLY, history, quick=quick))}
        for name in _PANELS:
            started = Usage.taken()
            peer, ours = roll_peer(name, history, quick=quick)
            yield Line(
                NAME, ours.winkler, "series medians", Goal("ratio", limit), ours.sizes(),
                Usage.taken().since(started).wall_s, part=f"{name}: {history} days",
                peer=f"default Prophet, {history} days", peer_value=peer.winkler, is_quick=quick,
                facts={"peer_coverage": peer.coverage, "coverage": ours.coverage, **hourly},
            )  # fmt: skip


def _ratio(peer: Ranges, ours: Ranges) -> float:
    return ours.winkler / peer.winkler
