"""Every link of a document leads somewhere, to a heading too; addresses of the web are looked at, not asked."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from docs_site.hooks import generated_pages
from docs_site.page_links import adapt_links, find_broken_links
from tests.conventions.repository import text
from tests.documents.documents import DOCUMENTS


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    assert not find_broken_links(PurePosixPath(document.as_posix()), text(document), generated_pages())


@pytest.mark.parametrize(
    ("target", "is_broken"),
    [
        ("docs/checks.md", False),
        ("docs/checks.md#who-is-told", False),
        ("docs/checks.md#who-was-told", True),
        ("docs/check.md", True),
        ("../outside.md", True),
        ("https://dagster.io", False),
        ("htp://dagster.io", True),
        ("#more", False),
        ("#the-garden", True),
    ],
)
def test_broken_links_are_recognised(target: str, is_broken: bool) -> None:
    page = PurePosixPath("README.md")
    assert bool(find_broken_links(page, f"see [it]({target}) and `[no](link)`")) is is_broken


def test_links_of_the_site() -> None:
    source = PurePosixPath("docs/adr/0001-dagster-assets.md")
    page = "[a](../checks.md#x) [b](../../README.md) [c](../../deploy/cost.py) [`d`](../../CHANGELOG.md) `[e](f.md)`"
    assert adapt_links(page, source) == (
        "[a](../checks.md#x) [b](../index.md) c (`deploy/cost.py`) [`d`](../changelog.md) `[e](f.md)`"
    )
    assert adapt_links("[a](docs/checks.md)", PurePosixPath("CHANGELOG.md")) == "[a](checks.md)"
