"""A command becomes a page: arguments, options, statuses; what is hidden stays out."""

from __future__ import annotations

import click

from docs_site.command_reference import render_command_page


@click.group()
def top() -> None:
    """Everything."""


@top.command()
@click.argument("name")
@click.option("--rows", type=click.IntRange(1, 9), default=3, help="How many|much.")
@click.option("--kind", type=click.Choice(["a", "b"]), required=True, help="Which.")
@click.option("--secret", hidden=True)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def act(**_: object) -> None:
    """Do it.

    Exit status: 0 done, 3 half done.
    """


@top.command(hidden=True)
def inner() -> None:
    """Nobody's."""


def test_page_of_a_command() -> None:
    page = render_command_page(top, "top")
    assert "## top\n" in page
    assert "## top act\n\n```text\ntop act [OPTIONS] NAME\n```\n" in page
    assert "| `--rows` | How many\\|much. | whole number from 1 to 9; default `3` |" in page
    assert "| `--kind` | Which. | `a`, `b`; required |" in page
    assert "| `--json` | For programs. | a switch |" in page
    assert "| `NAME` |  | text; required |" in page
    assert "\n\n**Exit status:** 0 done, 3 half done.\n" in page
    assert "secret" not in page
    assert "inner" not in page
