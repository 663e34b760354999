"""Can everybody read a page? axe-core, and what it does not measure.

Belongs here: findings about one open page. Does not belong here: which pages are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

_GRAVE = {"serious", "critical"}
_SMALLEST_TEXT_PX, _SMALLEST_CHART_TEXT_PX = 12.0, 9.0
# Every element that has text of its own, and how high its letters are on the screen.
_TEXT_SIZES = """() => [...document.querySelectorAll('body *')]
  .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
  .filter(one => one.getClientRects().length && !one.closest('title, desc, script, style'))
  .map(one => {
    const drawing = one.closest('svg'), matrix = drawing && one.getScreenCTM();
    const scale = matrix ? Math.hypot(matrix.a, matrix.b) : 1;
    return [parseFloat(getComputedStyle(one).fontSize) * scale, drawing !== null, one.textContent.slice(0, 40)];
  })"""
_OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def find_barriers(page: Page) -> list[str]:
    """Return the findings of axe-core of impact serious and above, each with an element that has it."""
    from axe_playwright_python.sync_playwright import Axe

    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}) x {len(one['nodes'])}: {one['nodes'][0]['html'][:200]}"
        for one in violations
        if one["impact"] in _GRAVE
    ]


def find_tiny_texts(page: Page) -> list[str]:
    """Return texts that are too small to read, with their height in pixels; those in drawings may be smaller."""
    return [
        f"{size:.1f} px: {text}"
        for size, is_drawn, text in page.evaluate(_TEXT_SIZES)
        if size < (_SMALLEST_CHART_TEXT_PX if is_drawn else _SMALLEST_TEXT_PX) - 0.05
    ]


def measure_overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than the screen."""
    overflow: int = page.evaluate(_OVERFLOW)
    return overflow
