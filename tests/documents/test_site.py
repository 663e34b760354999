"""The site is built without a warning, links and anchors in it resolve, and nothing in it is fetched from elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs_site.__main__ import render_graph
from docs_site.config_reference import undescribed_keys
from docs_site.hooks import generated_pages
from docs_site.html_links import find_broken_html_links
from tests.conventions.repository import text

_REMOTE = re.compile(
    r"""(?:<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*\b(?:src|data)="""
    r"""|<link\b(?![^>]*rel="?(?:canonical|prev|next))[^>]*\bhref=|\burl\(|@import\s)["']?(?:https?:)?//""",
    re.IGNORECASE,
)


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    assert not find_broken_html_links(site)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".css", ".svg"}]
    assert len(files) > 40
    found = {path.name: _REMOTE.findall(path.read_text(encoding="utf-8")) for path in files}
    assert not {name: hits for name, hits in found.items() if hits}


@pytest.mark.parametrize(
    ("page", "is_remote"),
    [
        ('<script src="https://cdn.example/x.js">', True),
        ('<link href="//fonts.example/css" rel="stylesheet">', True),
        ("body{background:url(https://x.example/a.png)}", True),
        ('<a href="https://dagster.io">', False),
        ('<script src="assets/x.js">', False),
        ("body{background:url(a.png)}", False),
    ],
)
def test_remote_resources_are_recognised(page: str, is_remote: bool) -> None:
    assert bool(_REMOTE.search(page)) is is_remote


def test_search_knows_every_page(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    pages = {str(path.relative_to(site)) for path in site.rglob("*.html")} - {"404.html"}
    assert pages - found <= {""}
    assert any("cooldown_days" in entry["text"] for entry in index["docs"])


def test_every_key_of_the_configuration_is_explained() -> None:
    assert not undescribed_keys(), "say what it means in the docstring of its model"


def test_reference_names_keys_commands_and_statuses() -> None:
    pages = generated_pages()
    use_case = pages["reference/config_use_case.md"]
    assert re.search(
        r"^\| `cooldown_days` \| integer \| `7` \| days; at least 1; at most 90 \| days of",
        use_case,
        re.MULTILINE,
    )
    commands = pages["reference/commands.md"]
    assert "## mlops config plan\n" in commands
    assert re.search(r"^\| `--against` \| .+ \| text; required \|$", commands, re.MULTILINE)
    assert re.search(r"^\*\*Exit status:\*\* 0 nothing changes, ", commands, re.MULTILINE)


def test_picture_of_the_graph_is_fresh() -> None:
    stale = [name for name, content in render_graph().items() if text(Path(name)) != content]
    assert not stale, "run `python -m docs_site`"
