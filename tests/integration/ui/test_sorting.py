"""Tables sort: numbers as numbers, days as days, by click and by keys, and nothing unknown is ever first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlops_assets.domain.reporting.pages import render_page
from mlops_assets.domain.reporting.tables import Mark, make_table
from tests.integration.ui.browser import DESKTOP, PHONE, open_page, watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PERCENT = "\N{NO-BREAK SPACE}%"
PERCENT = "\N{NO-BREAK SPACE}%"
DONE, WAITS, FAILED = Mark("built", "good"), Mark("waits", "neutral"), Mark("failed", "bad")
HEADINGS = ["Name", "#Rows", "Share", "Size", "Day", "At", "State"]
ROWS = [
    ("version 10", "9", f"9.50{PERCENT}", "2 GB", "2026-09-02", "2026-09-02 08:05 UTC", WAITS),
    ("version 9", "1,200", "\N{EN DASH}", "900 MB", "2025-12-31", "2026-09-02 07:55 UTC", DONE),
    ("Version 11", "\N{EN DASH}", f"< 0.01{PERCENT}", "10 KB", "2026-10-01", "\N{EN DASH}", FAILED),
    ("apart", "\N{MINUS SIGN}30.5", f"12.00{PERCENT}", "", "2026-09-10", "2025-09-02 09:00 UTC", DONE),
    ("all", "1,199", "33", "44", "", "", ""),
]  # fmt: skip
RISING = {
    "Name": ["apart", "version 9", "version 10", "Version 11"],
    "Rows": ["\N{MINUS SIGN}30.5", "9", "1,200", "\N{EN DASH}"],
    "Share": [f"< 0.01{PERCENT}", f"9.50{PERCENT}", f"12.00{PERCENT}", "\N{EN DASH}"],
    "Size": ["10 KB", "900 MB", "2 GB", ""],
    "Day": ["2025-12-31", "2026-09-02", "2026-09-10", "2026-10-01"],
    "At": ["2025-09-02 09:00 UTC", "2026-09-02 07:55 UTC", "2026-09-02 08:05 UTC", "\N{EN DASH}"],
    "State": ["✔ built", "✔ built", "✖ failed", "○ waits"],
}  # fmt: skip
UNKNOWN = {"", "\N{EN DASH}"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with one table, as a report writes it."""
    table = make_table("Deliveries", HEADINGS, ROWS, has_total=True)
    path = tmp_path_factory.mktemp("sorting") / "page.html"
    content = render_page(
        "list_page.html.j2", title="Sorting", data_day=None, lead="One table.", tables=[table]
    )
    path.write_text(content, encoding="utf-8")
    return path


def _column(page: Page, name: str) -> list[str]:
    return [text.strip() for text in page.locator(f'tbody td[data-label="{name}"]').all_text_contents()]


def _falling(rising: list[str]) -> list[str]:
    """Return the other order: what is not known stays last."""
    return [
        *reversed([one for one in rising if one not in UNKNOWN]),
        *(one for one in rising if one in UNKNOWN),
    ]


@pytest.mark.parametrize("name", sorted(RISING))
def test_a_click_sorts_and_a_second_one_turns_it_around(browser: Browser, file: Path, name: str) -> None:
    with open_page(browser, DESKTOP) as page:
        troubles = watch(page)
        page.goto(file.as_uri())
        heading = page.get_by_role("columnheader", name=name, exact=True)
        heading.get_by_role("button").click()
        assert _column(page, name) == RISING[name]
        assert heading.get_attribute("aria-sort") == "ascending"
        heading.get_by_role("button").click()
        assert _column(page, name) == _falling(RISING[name])
        assert heading.get_attribute("aria-sort") == "descending"
        assert page.locator("[aria-sort]").count() == 1
        assert page.locator("tfoot td").first.text_content() == "all", "a total stays below"
        assert troubles == []


def test_rows_stay_whole(browser: Browser, file: Path) -> None:
    with open_page(browser, DESKTOP) as page:
        page.goto(file.as_uri())
        page.get_by_role("button", name="Rows").click()
        first = [text.strip() for text in page.locator("tbody tr").first.locator("td").all_text_contents()]
    assert first == [str(cell) for cell in ROWS[3]]


def test_keys_sort_as_a_click_does(browser: Browser, file: Path) -> None:
    with open_page(browser, DESKTOP) as page:
        page.goto(file.as_uri())
        page.locator(".scroll").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")  # the second heading
        page.keyboard.press("Enter")
        assert _column(page, "Rows") == RISING["Rows"]
        page.keyboard.press("Space")
        assert _column(page, "Rows") == _falling(RISING["Rows"])
        button = page.get_by_role("button", name="Rows")
        assert button.evaluate("one => one === document.activeElement"), "the focus stays where it was"
        assert button.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"


def test_a_phone_has_something_to_press(browser: Browser, file: Path) -> None:
    with open_page(browser, PHONE) as page:
        page.goto(file.as_uri())
        button = page.get_by_role("button", name="Share")
        box = button.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 24, "wide and high enough for a finger (WCAG 2.5.8)"
        button.click()
        assert _column(page, "Share") == RISING["Share"]


def test_two_rows_have_nothing_to_sort(browser: Browser, tmp_path: Path) -> None:
    table = make_table("Two", ["Name", "#Rows"], [("a", "2"), ("b", "1")])
    path = tmp_path / "page.html"
    path.write_text(
        render_page("list_page.html.j2", title="Two", data_day=None, lead="", tables=[table]),
        encoding="utf-8",
    )
    with open_page(browser, DESKTOP) as page:
        page.goto(path.as_uri())
        assert page.get_by_role("columnheader").count() == 2
        assert page.locator("th button").count() == 0


def test_a_fleet_sorts_filters_and_turns_pages(browser: Browser, tmp_path: Path) -> None:
    from mlops_assets.domain.reporting.fleet_report_page import render_fleet_html
    from tests.unit.domain.reporting.test_fleet_report import group, report

    fleet = report(*(group(f"g{number}", devices=number) for number in range(120)))
    path = tmp_path / "fleet.html"
    path.write_text(render_fleet_html(fleet), encoding="utf-8")
    with open_page(browser, DESKTOP) as page:
        page.goto(path.as_uri())
        groups = page.locator("#groups + p + .paged")
        assert "1 to 50 of 120" in groups.inner_text()
        groups.get_by_role("button", name="Devices").click()
        assert _column(page, "Group")[:3] == ["g0", "g1", "g2"]
        groups.get_by_role("button", name="Next").click()
        assert _column(page, "Group")[0] == "g50"
        groups.get_by_role("searchbox").fill("g11")
        assert set(_column(page, "Group")) == {"g11", *(f"g11{digit}" for digit in range(10))}
        groups.get_by_role("searchbox").fill("nobody is called so")
        assert "nothing fits" in groups.inner_text()
