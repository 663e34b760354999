"""Every page of a report and every mail is readable: on a phone and a desktop, light and dark, by eye, ear and keys."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.ui.accessibility import find_barriers, find_tiny_texts, measure_overflow
from tests.integration.ui.browser import DESKTOP, PHONE, Scheme, open_page, watch
from tests.integration.ui.page_kinds import MAILS, REPORTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PAGES = {**REPORTS, **MAILS}
# How far a colour is from white, 0 to 255.
_GROUND = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    for name, render in PAGES.items():
        (folder / f"{name}.html").write_text(render(), encoding="utf-8")
    return folder


def _open(page: Page, path: Path) -> list[str]:
    troubles = watch(page)
    page.goto(path.as_uri())
    return troubles


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("kind", sorted(PAGES))
def test_everybody_can_read_it(
    browser: Browser, pages: Path, kind: str, size: tuple[int, int], scheme: Scheme
) -> None:
    with open_page(browser, size, scheme) as page:
        troubles = _open(page, pages / f"{kind}.html")
        assert find_barriers(page) == []
        assert find_tiny_texts(page) == []
        assert measure_overflow(page) == 0, "wide tables scroll in a box of their own"
        assert troubles == []


@pytest.mark.parametrize("kind", sorted(REPORTS))
def test_it_reads_whole_without_its_script(browser: Browser, pages: Path, kind: str) -> None:
    with open_page(browser, PHONE) as page:
        _open(page, pages / f"{kind}.html")
        rows = page.locator("tbody tr").count()
        words = set(page.inner_text("main").split())
    with open_page(browser, PHONE, has_scripts=False) as page:
        _open(page, pages / f"{kind}.html")
        assert page.locator("tbody tr").count() == rows
        assert page.locator("th button").count() == 0, "nothing to press that does nothing"
        assert measure_overflow(page) == 0
        assert len(set(page.inner_text("main").split()) & words) > 0.7 * len(words)


@pytest.mark.parametrize("kind", sorted(REPORTS))
def test_a_dark_screen_has_a_dark_page_and_paper_a_light_one(
    browser: Browser, pages: Path, kind: str
) -> None:
    with open_page(browser, DESKTOP, "dark") as page:
        _open(page, pages / f"{kind}.html")
        assert max(page.evaluate(_GROUND)) < 64
        page.emulate_media(media="print")
        ink = page.evaluate("() => getComputedStyle(document.querySelector('h1')).color.match(/\\d+/g)")
        assert max(map(int, ink[:3])) < 64, "dark letters on white paper"
        assert not page.locator(".tools").first.is_visible() or not page.locator(".tools").count()


@pytest.mark.parametrize("kind", ["anomalies", "model_card", "retraining", "ladder", "fleet", "offers"])
def test_charts_take_the_colours_of_a_dark_page(browser: Browser, pages: Path, kind: str) -> None:
    with open_page(browser, DESKTOP, "dark") as page:
        _open(page, pages / f"{kind}.html")
        inks = page.evaluate(
            "() => [...document.querySelectorAll('figure svg text')].map(one => getComputedStyle(one).fill)"
        )
    assert inks
    assert all(min(int(part) for part in ink[4:-1].split(",")[:3]) > 128 for ink in inks), set(inks)


@pytest.mark.parametrize("kind", sorted(PAGES))
def test_headings_are_in_order_and_everything_drawn_has_words(
    browser: Browser, pages: Path, kind: str
) -> None:
    with open_page(browser, DESKTOP) as page:
        _open(page, pages / f"{kind}.html")
        levels = page.evaluate(
            "() => [...document.querySelectorAll('h1, h2, h3')].map(one => +one.tagName[1])"
        )
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
        assert page.title()
        assert page.locator("main").count() == 1
        for picture in page.get_by_role("img").all():
            assert (picture.get_attribute("aria-labelledby") or picture.get_attribute("aria-label")) != ""
        assert page.locator("svg:not([role=img]), img:not([alt])").count() == 0


@pytest.mark.parametrize("kind", sorted(REPORTS))
def test_what_scrolls_is_reached_by_keys_and_shows_it(browser: Browser, pages: Path, kind: str) -> None:
    with open_page(browser, PHONE) as page:
        _open(page, pages / f"{kind}.html")
        for box in page.locator(".scroll").all()[:3]:
            box.focus()
            page.keyboard.press("Shift+Tab")
            page.keyboard.press("Tab")  # by keys, not by a script: only then a browser shows the focus
            outline = box.evaluate(
                "one => getComputedStyle(one).outlineStyle + document.activeElement.className"
            )
            assert outline.startswith("solid")
