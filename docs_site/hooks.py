"""What MkDocs calls while it builds the site (mkdocs.yml names this file).

Belongs here: which pages are generated, and links as the site needs them. Does not belong here: what is on a
generated page (config_reference, command_reference).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from docs_site.command_reference import PAGE, render_command_page
from docs_site.config_reference import render_config_pages
from docs_site.page_links import ROOT, ROOT_PAGES, adapt_links

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

FOLDER = "reference"


def generated_pages() -> dict[str, str]:
    """Return place below docs/ to Markdown for every page that nobody writes by hand."""
    from mlops_assets.cli import cli

    pages = {PAGE: render_command_page(cli, "mlops"), **render_config_pages()}
    return {f"{FOLDER}/{name}": text for name, text in pages.items()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and those that stand at the top of the repository."""
    from mkdocs.structure.files import File

    for place, text in generated_pages().items():
        files.append(File.generated(config, place, content=text))
    for name, place in ROOT_PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Lead links that leave docs/ to the site's own pages."""
    place = page.file.src_uri
    if place.startswith(f"{FOLDER}/"):
        return markdown
    by_place = {site: name for name, site in ROOT_PAGES.items()}
    return adapt_links(markdown, PurePosixPath(by_place.get(place, f"docs/{place}")))
