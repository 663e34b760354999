"""The graph as a picture: every asset by stage, and what it is made from.

Belongs here: layout and page. Does not belong here: reading Dagster's definitions (commands.list_pages).
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlops_assets.domain.model_base import Record
from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import make_table

if TYPE_CHECKING:
    from markupsafe import Markup

LINEAGE_PAGE = "lineage.html"
_ROW, _COLUMN, _BOX, _TOP, _LETTER = 22, 250, 200, 46, 30  # pixels, and the letters that fit a box


class LineageNode(Record):
    """An asset: its key with `/`, the first part of it, its group, and the keys that it is made from."""

    key: str
    stage: str
    group: str
    parents: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Return the key without its stage, cut to what fits a box."""
        label = self.key.removeprefix(f"{self.stage}/")
        return label if len(label) <= _LETTER else f"{label[: _LETTER - 1]}…"


def render_lineage_page(nodes: Sequence[LineageNode], stages: Sequence[str], data_day: dt.date | None) -> str:
    """Return the page: the picture, and the same as a table.

    Args:
        nodes: every asset.
        stages: in the order of the data flow, from left to right; stages that no asset has are left out.
        data_day: newest day of the data.
    """
    present = [stage for stage in stages if any(node.stage == stage for node in nodes)]
    ordered = sorted(nodes, key=lambda node: (present.index(node.stage), node.group, node.key))
    rows = [(n.key, n.group, ", ".join(n.parents) or "files of the operator") for n in ordered]
    return render_page(
        "lineage.html.j2",
        title="Lineage",
        data_day=data_day,
        picture=draw_lineage(ordered, present),
        count=len(ordered),
        tables=[make_table("Every asset and what it is made from", ["Asset", "Group", "Made from"], rows)],
    )


def draw_lineage(nodes: Sequence[LineageNode], stages: Sequence[str]) -> Markup:
    """Return the picture as SVG: a column a stage, lines from an asset to what is made from it.

    Args:
        nodes: in the order in which they stand in their columns.
        stages: columns, left to right.
    """
    from markupsafe import Markup

    places = _place(nodes, stages)
    width, height = _COLUMN * len(stages), max((y for _, y in places.values()), default=_TOP) + _ROW
    lines = "".join(
        _line(places[parent], places[node.key])
        for node in nodes
        for parent in node.parents
        if parent in places
    )
    boxes = "".join(_box(node, *places[node.key]) for node in nodes)
    heads = "".join(
        f'<text x="{n * _COLUMN}" y="16" font-weight="600">{html.escape(stage)}</text>'
        for n, stage in enumerate(stages)
    )
    title = f"{len(nodes)} assets in {len(stages)} stages, lines from each to what is made from it"
    return Markup(  # noqa: S704 - every text in it is escaped above
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{title}" '
        f'font-size="11" fill="currentColor">{lines}{boxes}{heads}</svg>'
    )


def _place(nodes: Sequence[LineageNode], stages: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Return left and upper edge of each box."""
    places: dict[str, tuple[int, int]] = {}
    for column, stage in enumerate(stages):
        of_stage = [node for node in nodes if node.stage == stage]
        places |= {node.key: (column * _COLUMN, _TOP - 16 + row * _ROW) for row, node in enumerate(of_stage)}
    return places


def _box(node: LineageNode, x: int, y: int) -> str:
    return (
        f'<g><title>{html.escape(node.key)} ({html.escape(node.group)})</title><rect x="{x}" y="{y}" width="{_BOX}" '
        f'height="18" rx="4" fill="var(--sheet)" stroke="currentColor" stroke-opacity="0.4"/>'
        f'<text x="{x + 6}" y="{y + 13}">{html.escape(node.label)}</text></g>'
    )


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + _BOX, start[1] + 9, end[0], end[1] + 9
    if x2 < x1:  # within a stage: a short arc on the right side of both boxes
        x2, bend = end[0] + _BOX, 22
        curve = f"C{x1 + bend} {y1} {x2 + bend} {y2} {x2} {y2}"
    else:
        middle = (x1 + x2) // 2
        curve = f"C{middle} {y1} {middle} {y2} {x2} {y2}"
    return f'<path d="M{x1} {y1}{curve}" fill="none" stroke="var(--accent)" stroke-opacity="0.35"/>'
