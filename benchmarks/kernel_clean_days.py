"""kernel_clean_days: ordinary days on which more than 20 % of the series are outside, that is false alarms.

Belongs here: panels of fifty series or more, beside default Prophet on a sample. Does not belong here: making the
ranges (kernel_rounds). The LTE cells are five: one of them is 20 %, so they are counted by cell and hour.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.kernel_rounds import MONTH_DAYS, WINDOW_DAYS, find_rounds, roll_peer
from benchmarks.measuring import Goal, Line, Usage

NAME = "kernel_clean_days"
_PANELS = ("sandbox", "lte_hourly")
_MOST, _QUICK_MOST = 0.05, 0.1


def run(*, quick: bool) -> Iterator[Line]:
    """Yield the share of alarm days of each panel."""
    for name in _PANELS:
        started = Usage.taken()
        ranges = find_rounds(name, quick=quick).kernel
        peer, ours = roll_peer(name, WINDOW_DAYS, quick=quick)
        month, _ = roll_peer(name, MONTH_DAYS, quick=quick)
        days = ranges.value_mb.shape[0] * ranges.value_mb.shape[1]
        yield Line(
            NAME, ranges.alarm_days, "share of days", Goal("value", _QUICK_MOST if quick else _MOST),
            {**ranges.sizes(), "days": days, "peer_series": peer.sizes()["series"]},
            Usage.taken().since(started).wall_s, part=name, peer="default Prophet, 60 days",
            peer_value=peer.alarm_days, is_quick=quick,
            facts={"peer_previous_month": month.alarm_days, "kernel_on_the_peers_series": ours.alarm_days},
        )  # fmt: skip
