"""The picture of the benchmark `growth`: CPU seconds of a day against what grows.

Belongs here: drawing recorded lines. Does not belong here: measuring (growth).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import PROJECT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IMAGE = PROJECT / "docs" / "images" / "growth.png"
_INK, _ACCENT, _FAINT = "#1b2330", "#1f5fbf", "#d5dbe4"


def draw_growth(lines: Iterable[Mapping[str, Any]], path: Path = IMAGE) -> bool:
    """Draw a panel for each axis that was measured at full size; return whether there was any."""
    grown = [line for line in lines if line["name"] == "growth" and not line.get("quick")]
    if not grown:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(grown), 2.6), layout="constrained")
    for axes, line in zip(figure.subplots(1, len(grown), squeeze=False)[0], grown, strict=True):
        _draw(axes, line)
    figure.savefig(path, dpi=144, metadata={"Software": None})
    return True


def _draw(axes: Axes, line: Mapping[str, Any]) -> None:
    ((name, sizes),) = line["sizes"].items()
    costs = line["facts"]["cpu_s_a_day"]
    axes.plot(sizes, costs, color=_ACCENT, marker="o")
    for size, cost in zip(sizes, costs, strict=True):
        axes.annotate(f"{cost:.1f}", (size, cost), textcoords="offset points", xytext=(0, 6), ha="center")
    axes.set_title("days of history" if name == "days" else name, color=_INK, fontsize=10)
    axes.set_xlim(0, max(sizes) * 1.12)
    axes.set_ylim(0, max(costs) * 1.25)
    axes.set_ylabel("CPU s a day", color=_INK)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(colors=_INK, labelsize=8)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(color=_FAINT)
    axes.spines[["top", "right"]].set_visible(False)
