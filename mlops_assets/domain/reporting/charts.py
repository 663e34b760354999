"""Charts as inline SVG, and as PNG for places that show pictures only.

Belongs here: drawing. Does not belong here: computing what is drawn.

An SVG takes its colours from the page (light or dark) through `currentColor` and `--accent`, keeps its
text as text, says in words what it shows (title and description), and comes out the same byte for byte
for the same data.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_IN = 4.8  # a phone's width: text stays readable there, and grows on a desktop


class _Palette(NamedTuple):
    """Colours by role: text, data, axes, reference lines, ground."""

    ink: str
    accent: str
    faint: str
    soft: str
    ground: str


# The page's own colours replace these in an SVG.
_OF_PAGE = _Palette("#010203", "#040506", "#070809", "#0a0b0c", "none")
_ON_WHITE = _Palette("#1b2330", "#1f5fbf", "#d5dbe4", "#5a6577", "#ffffff")


def draw_importances(shares: Sequence[tuple[str, float]], *, title: str) -> str:
    """Return a bar chart of the most important features as inline SVG, the largest on top.

    Args:
        shares: feature and its share of the total importance (0 to 1), in any order.
        title: what a screen reader says first.
    """
    ordered = _largest_first(shares)
    described = "; ".join(f"{name} {100 * share:.1f} %" for name, share in ordered)
    with _styled(_OF_PAGE):
        return _to_svg(_draw_bars(_as_percents(ordered), _OF_PAGE), "importances", title, described)


def draw_importance_change(moves: Sequence[tuple[str, float, float]], *, title: str) -> str:
    """Return a bar chart of importances before (outlined) and after (filled) as inline SVG.

    Args:
        moves: feature, its share before and after (0 to 1), in the order of the bars from the top.
        title: what a screen reader says first.
    """
    described = "; ".join(
        f"{name} from {100 * before:.1f} to {100 * after:.1f} %" for name, before, after in moves
    )
    with _styled(_OF_PAGE):
        return _to_svg(_draw_changes(moves, _OF_PAGE), "importance-change", title, described)


def draw_importances_png(shares: Sequence[tuple[str, float]], *, title: str) -> bytes:
    """Return the same bar chart as a PNG on white, 2 pixels per point, with `title` above the bars."""
    with _styled(_ON_WHITE):
        figure = _draw_bars(_as_percents(_largest_first(shares)), _ON_WHITE)
        figure.suptitle(title, fontsize=10.0)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=144, metadata={"Software": None})
        return stream.getvalue()


def draw_reliability(points: Sequence[tuple[float, float, int]], *, title: str) -> str:
    """Return predicted against observed probability; on the dashed line they agree.

    Args:
        points: per bin, mean predicted probability, observed share of positives, rows; ascending.
        title: what a screen reader says first.
    """
    described = "; ".join(
        f"predicted {100 * predicted:.1f} %, observed {100 * observed:.1f} % of {rows:,} rows"
        for predicted, observed, rows in points
    )
    with _styled(_OF_PAGE):
        return _to_svg(_draw_diagonal(points, _OF_PAGE), "reliability", title, described)


def draw_amounts(amounts: Sequence[tuple[str, float]], *, unit: str, title: str, name: str) -> str:
    """Return a bar chart of amounts as inline SVG, in their order from the top.

    Args:
        amounts: what it is, and how much; not negative.
        unit: of all amounts.
        title: what a screen reader says first.
        name: of the drawing; no two of a page may have the same.
    """
    described = "; ".join(f"{label} {amount:,.1f} {unit}" for label, amount in amounts)
    with _styled(_OF_PAGE):
        return _to_svg(_draw_bars(amounts, _OF_PAGE, f"{{:,.1f}} {unit}"), name, title, described)


def draw_shares_by_day(
    shares: Sequence[tuple[str, float | None]], *, title: str, name: str = "shares-by-day"
) -> str:
    """Return one column a day as inline SVG; a day without a share is a gap.

    Args:
        shares: ISO day and share (0 to 1) or None, in order.
        title: what a screen reader says first.
        name: of the drawing; no two of a page may have the same.
    """
    described = "; ".join(
        f"{day} not known" if share is None else f"{day} {100 * share:.2f} %" for day, share in shares
    )
    with _styled(_OF_PAGE):
        return _to_svg(_draw_columns(shares, _OF_PAGE), name, title, described)


def draw_intervals(
    figures: Sequence[tuple[str, float, float | None, float | None]], *, title: str, unit: str
) -> str:
    """Return points with their intervals as inline SVG, in the given order from the top.

    Args:
        figures: name, value, lower and upper end; None where there is no interval.
        title: what a screen reader says first.
        unit: of all values.
    """
    described = "; ".join(f"{name} {value:.4g} {unit}" for name, value, *_ in figures)
    with _styled(_OF_PAGE):
        return _to_svg(_draw_points(figures, unit, _OF_PAGE), "intervals", title, described)


def _draw_points(
    figures: Sequence[tuple[str, float, float | None, float | None]], unit: str, palette: _Palette
) -> Figure:
    figure, axes = _make_axes(0.6 + 0.3 * len(figures))
    axes.axvline(0.0, color=palette.faint, linewidth=1.0)
    for place, (_, value, low, high) in enumerate(figures):
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color=palette.soft, linewidth=2.0)
        axes.scatter([value], [place], color=palette.accent, zorder=3)
    axes.set_yticks(range(len(figures)), [name for name, *_ in figures])
    axes.invert_yaxis()
    axes.tick_params(axis="y", left=False)
    axes.set_xlabel(unit)
    return figure


def _largest_first(shares: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(shares, key=lambda pair: (-pair[1], pair[0]))


def _as_percents(shares: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    return [(name, 100 * share) for name, share in shares]


def _draw_bars(amounts: Sequence[tuple[str, float]], palette: _Palette, label: str = "{:.1f} %") -> Figure:
    figure, axes = _make_axes(0.3 + 0.24 * len(amounts))
    widths = [amount for _, amount in amounts]
    bars = axes.barh([name for name, _ in amounts], widths, color=palette.accent, height=0.66)
    axes.bar_label(bars, labels=[label.format(width) for width in widths], padding=3, color=palette.ink)
    axes.invert_yaxis()
    room = 1.07 + 0.02 * max((len(label.format(width)) for width in widths), default=0)
    axes.set_xlim(0, room * max(widths, default=1.0) or 1.0)
    axes.spines["bottom"].set_visible(False)  # each bar carries its number
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.tick_params(axis="y", left=False)
    axes.margins(y=0.02)
    return figure


def _draw_changes(moves: Sequence[tuple[str, float, float]], palette: _Palette) -> Figure:
    figure, axes = _make_axes(0.3 + 0.3 * len(moves))
    names = [name for name, *_ in moves]
    before = [100 * share for _, share, _ in moves]
    after = [100 * share for *_, share in moves]
    axes.barh(names, before, color="none", edgecolor=palette.soft, linewidth=1.0, height=0.78)
    axes.barh(names, after, color=palette.accent, height=0.42)
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        label = f"{old:.1f} \N{RIGHTWARDS ARROW} {new:.1f} %"
        axes.annotate(
            label, (max(old, new), place), xytext=(4, 0), textcoords="offset points", va="center",
            color=palette.ink,
        )  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlim(0, 1.35 * max([*before, *after], default=1.0) or 1.0)
    axes.spines["bottom"].set_visible(False)  # each bar carries its numbers
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.tick_params(axis="y", left=False)
    axes.margins(y=0.02)
    return figure


def _draw_columns(shares: Sequence[tuple[str, float | None]], palette: _Palette) -> Figure:
    figure, axes = _make_axes(2.2)
    places = range(len(shares))
    percents = [0.0 if share is None else 100 * share for _, share in shares]
    columns = axes.bar(places, percents, color=palette.accent, width=0.6)
    labels = ["" if share is None else f"{100 * share:.2f}" for _, share in shares]
    axes.bar_label(columns, labels=labels, padding=2, color=palette.ink)
    axes.set_xticks(places, [day[5:] for day, _ in shares])
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0, 1.2 * max(percents, default=1.0) or 1.0)
    axes.set_ylabel("%")
    return figure


def _draw_diagonal(points: Sequence[tuple[float, float, int]], palette: _Palette) -> Figure:
    figure, axes = _make_axes(3.3)
    end = 1.08 * max((max(predicted, observed) for predicted, observed, _ in points), default=1.0) or 1.0
    most_rows = max((rows for *_, rows in points), default=1) or 1
    axes.plot([0, 100 * end], [0, 100 * end], linestyle=(0, (4, 3)), color=palette.soft, linewidth=1.0)
    x, y = [100 * point[0] for point in points], [100 * point[1] for point in points]
    axes.plot(x, y, color=palette.accent, linewidth=1.4)
    sizes = [14 + 90 * rows / most_rows for *_, rows in points]
    axes.scatter(x, y, s=sizes, color=palette.accent, zorder=3, clip_on=False)
    axes.set(xlim=(0, 100 * end), ylim=(0, 100 * end))
    axes.set_xlabel("predicted probability, %")
    axes.set_ylabel("observed share, %")
    return figure


@contextmanager
def _styled(palette: _Palette) -> Iterator[None]:
    import matplotlib as mpl

    style: dict[Any, Any] = {
        "text.parse_math": False,  # a feature name is not a formula
        "svg.fonttype": "none",
        "svg.hashsalt": "mlops-assets",
        "font.size": 10.5,
        "axes.edgecolor": palette.faint,
        "axes.labelcolor": palette.ink,
        "axes.facecolor": palette.ground,
        "figure.facecolor": palette.ground,
        "savefig.facecolor": palette.ground,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": palette.ink,
        "xtick.color": palette.ink,
        "ytick.color": palette.ink,
        "path.simplify": False,
    }
    with mpl.rc_context(style):
        yield


def _make_axes(height_in: float) -> tuple[Figure, Axes]:
    """Return a figure of its own; pyplot's global state is not used."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _to_svg(figure: Figure, name: str, title: str, description: str) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return _make_inline(stream.getvalue(), name, title, description)


def _make_inline(svg: str, name: str, title: str, description: str) -> str:
    """Return the bare element: page colours, own ids, a title and a description for screen readers."""
    element = svg[svg.index("<svg") :].strip()
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    colours = ("currentColor", "var(--accent)", "var(--line)", "var(--soft)")
    for sentinel, colour in zip(_OF_PAGE, colours, strict=False):
        element = element.replace(sentinel, colour)
    element = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", element)
    # Sizes come from the page; only the view box and its proportions stay.
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    labels = f'role="img" aria-labelledby="{name}-title {name}-desc"'
    head, rest = element.split(">", 1)
    return (
        f'{head} {labels}>\n<title id="{name}-title">{html.escape(title)}</title>\n'
        f'<desc id="{name}-desc">{html.escape(description)}</desc>{rest}'
    )
