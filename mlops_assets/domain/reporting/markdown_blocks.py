"""Pieces of a report in Markdown that all reports have.

Belongs here: blocks one after another, bullets. Does not belong here: tables and escaping (tables), or what a report
says.
"""

from __future__ import annotations

from collections.abc import Iterable

from mlops_assets.domain.reporting.tables import Code, cell_to_markdown, escape_markdown


def join_blocks(blocks: Iterable[str]) -> str:
    """Return blocks with a blank line between them; empty ones are left out."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def make_bullets(texts: Iterable[str]) -> str:
    """Return a line for each text; without any, an empty block."""
    return "\n".join(f"- {escape_markdown(text)}" for text in texts)


def make_figure_bullets(figures: Iterable[tuple[str, str, str]]) -> str:
    """Return a line for each figure: its label, the figure, what it is about."""
    text = escape_markdown
    return "\n".join(f"- {text(label)}: **{text(figure)}** ({text(note)})" for label, figure, note in figures)


def make_command_bullets(commands: Iterable[tuple[str, str]]) -> str:
    """Return a line for each command and what it does."""
    return "\n".join(f"- {cell_to_markdown(Code(one))}: {escape_markdown(what)}" for one, what in commands)
