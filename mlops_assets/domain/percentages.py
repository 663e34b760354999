"""Shares of one as percentages in sentences.

Belongs here: how many decimals a percentage needs so that a small one is not shown as zero. Does not belong here:
tables and pages (reporting.formats).
"""

from __future__ import annotations

_SMALLEST = 0.001


def show_percent(share: float, *, is_signed: bool = False, decimals: int | None = None) -> str:
    """Return 0.2 as `20%`, 0.031 as `3.1%` and 0.0005 as `< 0.1%`; only zero is `0%`.

    Args:
        share: share of one, or a relative change.
        is_signed: show `+` as well; a change that is too small has no sign.
        decimals: always so many, for percentages that stand beside each other; by default as the size allows.
    """
    if 0 < abs(share) < _SMALLEST:
        return "< 0.1%"
    sign = "+" if is_signed else ""
    if decimals is not None:
        return f"{100 * share:{sign},.{decimals}f}%"
    text = f"{100 * share:{sign},.{1 if abs(share) < 0.0995 else 0}f}"
    return f"{text.removesuffix('.0')}%"
