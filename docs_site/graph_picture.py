"""The groups of the graph and what passes between them, as a picture and as tables.

Belongs here: counting and drawing. Does not belong here: reading Dagster's definitions (commands.list_pages), single
assets (domain.reporting.lineage_page).
"""

from __future__ import annotations

import html
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.config import names
from mlops_assets.domain.reporting.lineage_page import LineageNode

# Boxes, pixels: width, between two, around all, height of a line; and the letters that fit a line.
_WIDTH, _GAP, _EDGE, _LINE, _LETTERS = 430, 30, 20, 17, 62
# Arrows, pixels: between two, their rounded corners, from the boxes to the first.
_LANE, _BEND, _FIRST_LANE = 38, 8, 30
# On a sheet of its own, so that it reads on a light and on a dark page; dark where the reader's screen is.
_STYLE = """
.sheet{fill:#ffffff}.box{fill:#eef6f5;stroke:#0f766e}.line{stroke:#0f766e}.text{fill:#1f2933}.count{fill:#0b5952}
.halo{stroke:#ffffff}
@media (prefers-color-scheme:dark){.sheet{fill:#16202a}.box{fill:#20303b;stroke:#5eb8ae}.line{stroke:#5eb8ae}
.text{fill:#e6edf3}.count{fill:#9be0d8}.halo{stroke:#16202a}}
"""


@dataclass(frozen=True)
class Groups:
    """Groups of assets.

    Attributes:
        stages: group to the number of its assets by stage, in the order of the data flow.
        passes: (from, to) to the number of dependencies between assets of two groups.
    """

    stages: dict[str, dict[str, int]]
    passes: dict[tuple[str, str], int]

    def in_order(self) -> list[str]:
        """Return the groups so that each comes after all that it is made from, as far as that is possible."""
        depth = dict.fromkeys(self.stages, 0)
        for _ in self.stages:  # a longest path has no more steps than groups
            for start, end in self.passes:
                if (end, start) not in self.passes or start < end:
                    depth[end] = max(depth[end], min(depth[start] + 1, len(self.stages)))
        return sorted(depth, key=lambda group: (depth[group], group))


def count_groups(nodes: Sequence[LineageNode]) -> Groups:
    """Count assets by group and stage, and dependencies between groups."""
    groups = {node.key: node.group for node in nodes}
    counted = Counter((node.group, node.stage) for node in nodes)
    stages = {
        group: {stage: counted[group, stage] for stage in names.STAGES if counted[group, stage]}
        for group in sorted(set(groups.values()))
    }
    passes = Counter(
        (groups[parent], node.group)
        for node in nodes
        for parent in node.parents
        if parent in groups and groups[parent] != node.group
    )
    return Groups(stages, dict(sorted(passes.items())))


def describe_groups(groups: Groups) -> str:
    """Return the same as the picture in words, as two Markdown tables."""
    lines = ["| group | assets | by stage |", "| --- | ---: | --- |"]
    for group in groups.in_order():
        stages = groups.stages[group]
        lines.append(f"| `{group}` | {sum(stages.values())} | {_stages_in_words(stages)} |")
    lines += ["", "| from | to | dependencies |", "| --- | --- | ---: |"]
    lines += [f"| `{start}` | `{end}` | {count} |" for (start, end), count in groups.passes.items()]
    return "\n".join(lines) + "\n"


def draw_groups(groups: Groups) -> str:
    """Return the picture as SVG: a box a group with its stages, an arrow to each that rests on it with their number."""
    boxes = _place(groups)
    arrows = _lay_arrows(groups, boxes)
    width = _EDGE * 2 + _WIDTH + _FIRST_LANE + _LANE * len(arrows)
    height = max(box.bottom for box in boxes.values()) + _EDGE
    title = (
        f"{len(groups.stages)} groups of assets and {sum(groups.passes.values())} dependencies between them"
    )
    drawn = "".join(map(_draw_arrow, arrows)) + "".join(_draw_box(group, box) for group, box in boxes.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12"><title>{html.escape(title)}</title>'
        f"<desc>{html.escape(_passes_in_words(groups))}</desc><style>{_STYLE}</style>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path class="count" d="M0 0L8 4L0 8z"/></marker></defs><rect class="sheet" width="{width}" '
        f'height="{height}" rx="8"/>{drawn}</svg>\n'
    )


@dataclass(frozen=True)
class _Box:
    top: int
    lines: list[str]

    @property
    def bottom(self) -> int:
        return self.top + 34 + _LINE * len(self.lines)


@dataclass(frozen=True)
class _Arrow:
    count: int
    start_y: int
    end_y: int
    lane: int


def _passes_in_words(groups: Groups) -> str:
    return "; ".join(f"{start} to {end}: {count}" for (start, end), count in groups.passes.items())


def _stages_in_words(stages: dict[str, int]) -> str:
    return ", ".join(f"{stage}\u00a0{count}" for stage, count in stages.items())


def _place(groups: Groups) -> dict[str, _Box]:
    """Return the boxes, one below the other."""
    boxes: dict[str, _Box] = {}
    top = _EDGE
    for group in groups.in_order():
        boxes[group] = _Box(top, textwrap.wrap(_stages_in_words(groups.stages[group]), _LETTERS))
        top = boxes[group].bottom + _GAP
    return boxes


def _lay_arrows(groups: Groups, boxes: dict[str, _Box]) -> list[_Arrow]:
    """Return the arrows, each in a lane of its own beside the boxes, short ones nearest."""
    order = list(boxes)
    passes = sorted(groups.passes, key=lambda one: (abs(order.index(one[1]) - order.index(one[0])), one))
    places: dict[tuple[str, str], dict[str, int]] = {one: {} for one in passes}
    for group, box in boxes.items():
        # What comes from above ends in the upper part of a box, what goes on leaves below it.
        touching = [one for one in passes if one[1] == group] + [one for one in passes if one[0] == group]
        for number, one in enumerate(touching, start=1):
            places[one][group] = box.top + number * (box.bottom - box.top) // (len(touching) + 1)
    return [
        _Arrow(groups.passes[one], places[one][one[0]], places[one][one[1]], lane)
        for lane, one in enumerate(passes)
    ]


def _draw_box(group: str, box: _Box) -> str:
    rows = "".join(
        f'<text class="text" x="{_EDGE + 12}" y="{box.top + 41 + _LINE * number}">{html.escape(line)}</text>'
        for number, line in enumerate(box.lines)
    )
    return (
        f'<rect class="box" x="{_EDGE}" y="{box.top}" width="{_WIDTH}" height="{box.bottom - box.top}" rx="6"/>'
        f'<text class="text" x="{_EDGE + 12}" y="{box.top + 21}" font-size="14" font-weight="700">'
        f"{html.escape(group)}</text>{rows}"
    )


def _draw_arrow(arrow: _Arrow) -> str:
    """Return an arrow out of a box, along its lane, and into another one, with its number in the lane."""
    left, right = _EDGE + _WIDTH, _EDGE + _WIDTH + _FIRST_LANE + _LANE * arrow.lane
    way = 1 if arrow.end_y > arrow.start_y else -1
    first, second = arrow.start_y + way * _BEND, arrow.end_y - way * _BEND
    return (
        f'<path class="line" d="M{left} {arrow.start_y}H{right - _BEND}Q{right} {arrow.start_y} {right} {first}'
        f'V{second}Q{right} {arrow.end_y} {right - _BEND} {arrow.end_y}H{left + 2}" fill="none" stroke-width="1.5" '
        f'marker-end="url(#tip)"/><text class="count halo" x="{right}" y="{(arrow.start_y + arrow.end_y) // 2 + 4}" '
        f'text-anchor="middle" font-weight="700" stroke-width="5" paint-order="stroke">{arrow.count}</text>'
    )
