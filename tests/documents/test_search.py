"""Search of the built site in a real browser, from a server of this machine."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or ""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
def test_a_key_of_the_configuration_is_found(address: str) -> None:
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/index.html")
        page.click("input.md-search__input")
        page.locator("input.md-search__input").press_sequentially("cooldown_days")
        page.wait_for_selector(".md-search-result__item a")
        links = [
            link.get_attribute("href") or "" for link in page.query_selector_all(".md-search-result__item a")
        ]
        browser.close()
    assert any("reference/config_use_case.html" in link for link in links)
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))], "the site is alone"
