"""What holds for every page: well-formed, self-contained, accessible."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from mlops_assets.domain.reporting.pages import read_page_script

_VOID = {"meta", "br", "hr", "img", "input", "link"}


class _Outline(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.headings: list[int] = []
        self.text: list[str] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in {"src", "href", "xlink:href", "action"} and value:
                self.references.append(value)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self.open[-1:] == ["script"] else self.text).append(data)


def check_page(page: str) -> _Outline:
    """Assert the general properties of a page and return its outline."""
    outline = _Outline()
    outline.feed(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids)), "an id occurs twice"
    assert [one for one in outline.references if "//" in one or one.startswith("data:text")] == []
    check_script(page, outline.scripts)
    assert "@import" not in page
    assert re.search(r"url\((?!#)", page) is None
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(
        later - earlier <= 1 for earlier, later in zip(outline.headings, outline.headings[1:], strict=False)
    )
    for needed in ("prefers-color-scheme: dark", 'name="viewport"', 'lang="en"', "Content-Security-Policy"):
        assert needed in page
    return outline


def check_script(page: str, scripts: list[str]) -> None:
    """Assert that the page's one script is ours, and that the page's policy allows it by its hash and no other."""
    assert scripts == [read_page_script().text]
    assert page.count("<script") == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'\"" in page
