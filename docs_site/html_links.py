"""Links, anchors and images of a tree of HTML pages.

Belongs here: finding those that lead nowhere. Does not belong here: Markdown (page_links), addresses of the web:
nothing is asked over a network.
"""

from __future__ import annotations

from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from typing_extensions import override

_LINKS = {
    "a": "href",
    "link": "href",
    "area": "href",
    "img": "src",
    "script": "src",
    "source": "src",
    "iframe": "src",
}

_WEB = ("http", "https", "mailto", "data", "javascript")
# A server answers with it at any place, so its paths are those of the server; all others open from a folder.
_SERVED = "404.html"


class _Page(HTMLParser):
    """The targets and the anchors of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.path = path
        self.targets: list[str] = []
        self.anchors: set[str] = set()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if target := values.get(_LINKS.get(tag, "")):
            self.targets.append(target)
        self.anchors.update(value for name in ("id", "name") if (value := values.get(name)))


class _Tree:
    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @cached_property
    def pages(self) -> dict[Path, _Page]:
        return {path: _read(path) for path in sorted(self.root.rglob("*.html"))}

    def problem(self, page: _Page, target: str) -> str:
        """Return what is wrong with a link; empty if it leads somewhere."""
        address = urlsplit(target)
        if address.scheme in _WEB:
            return "" if address.netloc or address.path else f"not an address: {target}"
        if address.scheme or address.netloc:
            return f"neither a file nor an address of the web: {target}"
        path = self.file(page, unquote(address.path))
        if not path.is_file():
            return f"nothing at {target}"
        anchor = unquote(address.fragment)
        if not anchor or path.suffix != ".html":
            return ""
        found = self.pages.get(path) or _read(path)
        return "" if anchor in found.anchors else f"no anchor for {target}"

    def file(self, page: _Page, name: str) -> Path:
        """Return the file that a path names; that of a folder is its index.html."""
        folder = page.path.parent
        if name.startswith("/") and page.path.name == _SERVED:
            folder, name = self.root, name.lstrip("/")
        path = (folder / name).resolve() if name else page.path
        return path / "index.html" if path.is_dir() else path


def find_broken_html_links(root: Path) -> list[str]:
    """Return what is wrong with the links of all pages below a folder, one sentence each.

    Files may lie outside the folder (a report may name a mail beside it), but have to exist.
    """
    tree = _Tree(root)
    return [
        f"{path.relative_to(tree.root)}: {problem}"
        for path, page in tree.pages.items()
        for target in dict.fromkeys(page.targets)
        if (problem := tree.problem(page, target))
    ]


def find_unreachable_pages(start: Path) -> list[str]:
    """Return the pages beside and below a start page that no chain of links from it reaches."""
    tree = _Tree(start.parent)
    waiting, reached = [start.resolve()], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in reached or path not in tree.pages:
            continue
        reached.add(path)
        page = tree.pages[path]
        addresses = [urlsplit(target) for target in page.targets]
        waiting += [
            tree.file(page, unquote(one.path)) for one in addresses if not one.scheme and not one.netloc
        ]
    return [str(path.relative_to(tree.root)) for path in tree.pages if path not in reached]


def _read(path: Path) -> _Page:
    page = _Page(path)
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page
