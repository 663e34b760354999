"""A range over time with the actual values, as inline SVG.

Belongs here: drawing one series. Does not belong here: which series are drawn (anomaly_report_page), or
charts of models (charts).

Written as SVG directly: a report has a dozen of these, each is a few kilobytes and takes its colours from
the page. An anomaly is a triangle that points up or down, a removed value is a diamond, so that both can be
told apart without colour. One gigantic value does not flatten the rest: the scale ends at a multiple of the
range, and what lies beyond sits on the edge with its number.
"""

from __future__ import annotations

import datetime as dt
import html
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlops_assets.domain.reporting.anomaly_report import RangePoint
from mlops_assets.domain.reporting.formats import format_number

_WIDTH, _HEIGHT = 360.0, 168.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 10.0, 16.0, 22.0
_SCALE_LIMIT = 1.6  # of the highest end of a range
_LOWEST_TOP_MB = 1e-6  # a scale of less than a byte has no round numbers
_MARK_SIZE = 4.6
_LISTED_DAYS = 8


@dataclass(frozen=True)
class _Frame:
    """From days and MB to the drawing."""

    first: dt.date
    last: dt.date
    bottom_mb: float
    top_mb: float

    def x(self, day: dt.date) -> float:
        span = max((self.last - self.first).days, 1)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (day - self.first).days / span

    def y(self, value_mb: float) -> float:
        share = (self.clip(value_mb) - self.bottom_mb) / (self.top_mb - self.bottom_mb)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    def clip(self, value_mb: float) -> float:
        return min(max(value_mb, self.bottom_mb), self.top_mb)

    def at(self, day: dt.date, value_mb: float) -> str:
        return f"{self.x(day):.1f},{self.y(value_mb):.1f}"


def draw_range(points: Sequence[RangePoint], *, day: dt.date, title: str, name: str) -> str:
    """Return the chart of one series; empty text if there is nothing to draw.

    Args:
        points: days in any order, with value and range where they are known.
        day: the report's day; what follows is drawn as forecast.
        title: what a screen reader says first.
        name: prefix of the ids, unique on the page; letters, digits and hyphens.
    """
    ordered = sorted(points, key=lambda point: point.day)
    if not any(_levels(point) for point in ordered):
        return ""
    frame = _make_frame(ordered)
    parts = [*_draw_axes(frame, day), *_draw_bands(frame, ordered, day)]
    parts += [*_draw_values(frame, ordered), *_draw_marks(frame, ordered)]
    labels = f'role="img" font-size="12" aria-labelledby="{name}-title {name}-desc"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" {labels}>',
            f'<title id="{name}-title">{html.escape(title)}</title>',
            f'<desc id="{name}-desc">{html.escape(describe_range(ordered, day=day))}</desc>',
            *parts,
            "</svg>",
        ]
    )


def describe_range(points: Sequence[RangePoint], *, day: dt.date) -> str:
    """Return in words what the chart shows: span, the day's value and range, days outside."""
    known = [point for point in points if point.value_mb is not None]
    sentences = [f"{len(known)} days with a value, up to {day.isoformat()}"]
    today = next((point for point in points if point.day == day), None)
    if today is not None and today.value_mb is not None:
        sentences.append(f"that day {format_number(today.value_mb)} MB, range {_describe_ends(today)}")
    outside = [point for point in points if point.state in {"outside", "removed"}]
    if outside:
        listed = ", ".join(f"{point.day} ({_side(point)})" for point in outside[-_LISTED_DAYS:])
        more = f" and {len(outside) - _LISTED_DAYS} earlier" if len(outside) > _LISTED_DAYS else ""
        sentences.append(f"outside on {listed}{more}")
    else:
        sentences.append("no day outside")
    return "; ".join(sentences)


def _describe_ends(point: RangePoint) -> str:
    if point.low_mb is None or point.high_mb is None:
        return "unknown"
    return f"{format_number(point.low_mb)} to {format_number(point.high_mb)} MB"


def _side(point: RangePoint) -> str:
    side = "below" if _is_below(point) else "above"
    return f"{side}, removed" if point.state == "removed" else side


def _is_below(point: RangePoint) -> bool:
    return point.value_mb is not None and point.low_mb is not None and point.value_mb < point.low_mb


def _levels(point: RangePoint) -> list[float]:
    return [one for one in (point.value_mb, point.low_mb, point.high_mb) if one is not None]


def _make_frame(points: Sequence[RangePoint]) -> _Frame:
    drawn = [point for point in points if _levels(point)]
    levels = [one for point in drawn for one in _levels(point)]
    highest_end = max((point.high_mb for point in drawn if point.high_mb is not None), default=0.0)
    top = min(max(levels), _SCALE_LIMIT * highest_end) if highest_end > 0 else max(*levels, 0.0)
    top = max(top, _LOWEST_TOP_MB)
    bottom = max(min(*levels, 0.0), -top / 5)  # a negative value shows, but does not take the chart over
    return _Frame(drawn[0].day, drawn[-1].day, bottom, 1.04 * top)


def _draw_axes(frame: _Frame, day: dt.date) -> Iterator[str]:
    """Yield grid lines with round numbers, and the first, the report's and the last day."""
    for tick in _round_ticks(frame.top_mb):
        y = frame.y(tick)
        yield f'<path d="M{_LEFT:g} {y:.1f}H{_WIDTH - _RIGHT:g}" stroke="var(--line)" fill="none"/>'
        yield _write(_LEFT - 5, y + 4, _shorten(tick), "end")
    base = _HEIGHT - 6
    yield _write(_LEFT, base, _short_day(frame.first), "start")
    if frame.last > day:
        x = frame.x(day)
        yield (
            f'<path d="M{x:.1f} {_TOP - 6:g}V{_HEIGHT - _BOTTOM:g}" stroke="var(--soft)" '
            'stroke-dasharray="2 3" fill="none"/>'
        )
        if x - _LEFT > 60 and frame.x(frame.last) - x > 60:
            yield _write(x, base, _short_day(day), "middle")
    if frame.last > frame.first:
        yield _write(_WIDTH - _RIGHT, base, _short_day(frame.last), "end")


def _draw_bands(frame: _Frame, points: Sequence[RangePoint], day: dt.date) -> Iterator[str]:
    """Yield the ranges: filled where they were used, outlined with dashes where they lie ahead."""
    past = [point for point in points if point.day <= day]
    ahead = [point for point in points if point.day >= day]
    for run in _runs(past):
        yield (
            f'<polygon points="{_outline(frame, run)}" fill="var(--accent)" fill-opacity="0.2" '
            'stroke="var(--accent)" stroke-opacity="0.55" stroke-width="0.8"/>'
        )
    for run in _runs(ahead):
        if run[-1].day > day:
            yield (
                f'<polygon points="{_outline(frame, run)}" fill="var(--accent)" fill-opacity="0.06" '
                'stroke="var(--accent)" stroke-opacity="0.7" stroke-width="0.8" stroke-dasharray="3 2"/>'
            )


def _runs(points: Sequence[RangePoint]) -> Iterator[list[RangePoint]]:
    """Yield the points with a range in runs of days without a gap."""
    run: list[RangePoint] = []
    for point in points:
        has_range = point.low_mb is not None and point.high_mb is not None
        if run and (not has_range or (point.day - run[-1].day).days > 1):
            yield run
            run = []
        if has_range:
            run.append(point)
    if run:
        yield run


def _outline(frame: _Frame, run: Sequence[RangePoint]) -> str:
    """Return the corners of a run; a single day gets some width."""
    lows = [frame.at(point.day, point.low_mb or 0.0) for point in run]
    highs = [frame.at(point.day, point.high_mb or 0.0) for point in reversed(run)]
    if len(run) > 1:
        return " ".join([*lows, *highs])
    x, low, high = frame.x(run[0].day), frame.y(run[0].low_mb or 0.0), frame.y(run[0].high_mb or 0.0)
    sides = (x - 2, x + 2)
    corners = [(sides[0], low), (sides[1], low), (sides[1], high), (sides[0], high)]
    return " ".join(f"{one:.1f},{two:.1f}" for one, two in corners)


def _draw_values(frame: _Frame, points: Sequence[RangePoint]) -> Iterator[str]:
    """Yield the line of the values, broken where a day is missing."""
    path, previous = "", None
    for point in points:
        if point.value_mb is None:
            continue
        is_next = previous is not None and (point.day - previous).days == 1
        path += f"{'L' if is_next else 'M'}{frame.at(point.day, point.value_mb)}"
        path += "" if is_next else "h0"  # with round caps, a day by itself is a dot
        previous = point.day
    if path:
        yield (
            f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.4" '
            'stroke-linejoin="round" stroke-linecap="round"/>'
        )


def _draw_marks(frame: _Frame, points: Iterable[RangePoint]) -> Iterator[str]:
    """Yield anomalies, and the number of what lies beyond the scale."""
    for point in points:
        if point.value_mb is None:
            continue
        x, y = frame.x(point.day), frame.y(point.value_mb)
        if point.state in {"outside", "removed"}:
            yield (
                f'<path d="{_shape(point, x, y)}" fill="var(--bad)" stroke="var(--sheet)" stroke-width="0.8"/>'
            )
        if not math.isclose(frame.clip(point.value_mb), point.value_mb):
            is_right = x > (_LEFT + _WIDTH) / 2
            text = f"{_shorten(point.value_mb)} MB"
            yield _write(
                x - 8 if is_right else x + 8, y + 4, text, "end" if is_right else "start", "currentColor"
            )


def _shape(point: RangePoint, x: float, y: float) -> str:
    size = _MARK_SIZE
    if point.state == "removed":
        size *= 1.25
        return (
            f"M{x:.1f} {y - size:.1f}l{size:.1f} {size:.1f}l{-size:.1f} {size:.1f}l{-size:.1f} {-size:.1f}z"
        )
    up = 1 if _is_below(point) else -1  # y grows downwards
    return f"M{x:.1f} {y + up * size:.1f}l{size:.1f} {-2 * up * size:.1f}h{-2 * size:.1f}z"


def _write(x: float, y: float, text: str, anchor: str, colour: str = "var(--soft)") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{html.escape(text)}</text>'


def _round_ticks(top_mb: float) -> list[float]:
    """Return zero and the two to four multiples of 1, 2 or 5 times a power of ten below the top."""
    raw = top_mb / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return [step * number for number in range(math.floor(top_mb / step * (1 + 1e-9)) + 1)]


def _shorten(value_mb: float) -> str:
    """Return a number that fits beside an axis: 0.25, 380, 12.5k, 3M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value_mb) >= size:
            return f"{value_mb / size:.4g}{suffix}".replace("-", "\N{MINUS SIGN}")
    return f"{value_mb:.4g}".replace("-", "\N{MINUS SIGN}")


def _short_day(day: dt.date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
