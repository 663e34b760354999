"""Where links lead: in the repository, and in the built site.

Belongs here: resolving a link of a page and rewriting it for the site. Does not belong here: reading Markdown
(markdown_text), HTML (html_links).

Pages are written for readers of the repository: their links are relative to their own place there. The site holds
docs/ and some files beside it (ROOT_PAGES); a link to any other file of the repository becomes its path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from docs_site.markdown_text import TextLink, find_anchors, find_links, rewrite_links

ROOT = Path(__file__).resolve().parents[1]
DOCS = PurePosixPath("docs")
# Files of the repository that are pages of the site.
ROOT_PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
_START_PAGE = {"README.md": "index.md"}
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_WEB = re.compile(r"^(https?://[A-Za-z0-9.-]+(:\d+)?(/[^\s]*)?|mailto:[^@\s]+@[^@\s]+)$")


def site_place(path: PurePosixPath) -> str:
    """Return where a file of the repository is in the site's sources; empty if it is not there."""
    if path.is_relative_to(DOCS):
        return str(path.relative_to(DOCS))
    return (ROOT_PAGES | _START_PAGE).get(str(path), "")


def resolve(source: PurePosixPath, target: str) -> tuple[PurePosixPath, str]:
    """Return the file that a relative link of a page names, from the root of the repository, and the anchor."""
    name, _, anchor = target.partition("#")
    path = PurePosixPath(os.path.normpath(source.parent / name)) if name else source
    return path, anchor


def adapt_links(text: str, source: PurePosixPath) -> str:
    """Return a page of the repository with its links as the site needs them."""
    folder = PurePosixPath(site_place(source)).parent

    def change(link: TextLink) -> str:
        mark = "!" if link.is_image else ""
        if _SCHEME.match(link.target):
            return f"{mark}[{link.label}]({link.target})"
        path, anchor = resolve(source, link.target)
        place = site_place(path)
        if not place:
            return link.label if link.label.strip("`") == str(path) else f"{link.label} (`{path}`)"
        target = os.path.relpath(place, folder) + (f"#{anchor}" if anchor else "")
        return f"{mark}[{link.label}]({target})"

    return rewrite_links(text, change)


def find_broken_links(source: PurePosixPath, text: str, generated: Collection[str] = ()) -> list[str]:
    """Return what is wrong with the links of a page, one sentence each.

    Args:
        source: the page, from the root of the repository.
        text: its Markdown.
        generated: pages that exist in the site alone, by their place below docs/.
    """
    problems = []
    for link in find_links(text):
        if _SCHEME.match(link.target):
            if not _WEB.match(link.target):
                problems.append(f"{source}: not an address: {link.target}")
            continue
        path, anchor = resolve(source, link.target)
        if site_place(path) in generated and path.is_relative_to(DOCS):
            continue
        if path.is_absolute() or ".." in path.parts or not (ROOT / path).exists():
            problems.append(f"{source}: nothing at {link.target}")
        elif anchor and anchor not in find_anchors((ROOT / path).read_text(encoding="utf-8")):
            problems.append(f"{source}: no heading for {link.target}")
    return problems
