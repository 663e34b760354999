"""`python -m docs_site`: write what the pages show of the graph.

Belongs here: reading the definitions and writing the picture and its tables. Does not belong here: drawing
(graph_picture), building the site (mkdocs.yml).
"""

from __future__ import annotations

import re

import click

from docs_site.graph_picture import count_groups, describe_groups, draw_groups
from docs_site.page_links import ROOT

PICTURE = "docs/images/architecture.svg"
PAGE = "docs/architecture.md"
_PART = re.compile(r"(?<=<!-- graph: begin -->\n).*(?=<!-- graph: end -->)", re.DOTALL)


def render_graph() -> dict[str, str]:
    """Return file name to content of what shows the graph of the shipped configuration in the local environment."""
    from mlops_assets.commands.list_pages import read_lineage
    from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
    from mlops_assets.definitions import build_defs

    groups = count_groups(list(read_lineage(build_defs(load_project([PROJECT_CONFIGS], "local")))))
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    tables = describe_groups(groups)
    return {PICTURE: draw_groups(groups), PAGE: _PART.sub(lambda _: f"\n{tables}\n", page)}


@click.command()
def main() -> None:
    """Write the picture of the graph and the tables beside it."""
    for name, content in render_graph().items():
        (ROOT / name).write_text(content, encoding="utf-8")
        click.echo(f"wrote {name}")


if __name__ == "__main__":
    main()
