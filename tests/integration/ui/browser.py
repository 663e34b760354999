"""A real browser without a window, and pages that remember what went wrong on them.

Belongs here: how Chromium is started and watched. Does not belong here: what is looked at (the tests).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Debian's; nothing is downloaded. Tests are skipped where it is missing.
CHROMIUM = shutil.which("chromium") or ""
MISSING = "Chromium is not installed (Debian: apt-get install chromium)"
PHONE, DESKTOP = (390, 844), (1280, 900)
Scheme = Literal["light", "dark"]
_PATIENCE_MS = 60_000
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run Chromium."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(
        timeout=_PATIENCE_MS
    )  # five seconds unless it is said; a busy machine is not a broken page
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(
    browser: Browser, size: tuple[int, int], scheme: Scheme = "light", *, has_scripts: bool = True
) -> Iterator[Page]:
    """Open a page of a size in pixels, with nothing kept from pages before.

    The page's own policy is in force except for what a test asks of it through playwright.
    """
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        java_script_enabled=has_scripts,
        reduced_motion="reduce",
        timezone_id="UTC",
        locale="en-GB",
    )
    context.set_default_timeout(_PATIENCE_MS)
    try:
        yield context.new_page()
    finally:
        context.close()


def watch(page: Page) -> list[str]:
    """Return a list that fills with what a person at the page does not see: errors of scripts, failed requests."""
    troubles: list[str] = []
    page.on("console", lambda one: troubles.append(f"console: {one.text}") if one.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(f"script: {error}"))
    page.on(
        "response",
        lambda answer: troubles.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None,
    )
    page.on("requestfailed", lambda request: troubles.extend(_failure(request.url, request.failure)))
    return troubles


def _failure(url: str, failure: str | None) -> Iterator[str]:
    if failure != "net::ERR_ABORTED":  # the page was left before the answer came
        yield f"{failure} {url}"


def settle(page: Page) -> None:
    """Wait until a page of an application has drawn what it asked its server for."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)  # milliseconds; what was answered last is drawn
