"""`mlops config show`: the settings of a use case, and the file and line that each comes from.

Belongs here: arguments and output. Does not belong here: finding the places (mlops_assets.config.value_origins).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from mlops_assets.commands.completion import complete_geography, complete_use_case
from mlops_assets.commands.output import Output, with_json
from mlops_assets.config.loader import EVERYWHERE, load_project_with_sources
from mlops_assets.config.value_origins import OriginalSettings, OriginalValue, find_origins
from mlops_assets.config.yaml_source import KeyPath

_COMMENT_COLUMN_MAX = 64


@click.command("show")
@click.argument("use_case", shell_complete=complete_use_case)
@click.option(
    "--geography",
    shell_complete=complete_geography,
    metavar="CODE",
    help="With the overrides of this one; default: what holds everywhere.",
)
@with_json
def show_command(use_case: str, geography: str | None, *, out: Output) -> None:
    """Show what results for a use case, and where each value comes from.

    The answer is YAML; a comment behind each value names its file and line, or says that it is a built-in default. Exit
    status: 0 shown, 1 an error.

    Example: mlops config show churn --geography cl
    """
    found = find_origins(load_project_with_sources(), use_case, geography)
    out.tell(_record(found), "\n".join(_text(found)))


def _record(found: OriginalSettings) -> dict[str, Any]:
    return {
        "use_case": found.use_case,
        "segment": found.segment,
        "overridden_in": found.overridden_in,
        "settings": found.settings,
        "origins": [
            {"path": v.dotted, "value": v.value, "where": shown_place(v.where)} for v in found.leaves
        ],
    }


def shown_place(place: str) -> str:
    """Return a place from where the reader is: relative to the working folder, if it lies below."""
    path = Path(place)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else place


def _text(found: OriginalSettings) -> Iterator[str]:
    of = f"in {found.segment}" if found.segment != EVERYWHERE else "in every segment"
    yield f"# {found.use_case} {of}"
    if found.overridden_in:
        yield f"# Overrides differ in {', '.join(found.overridden_in)}: add --geography."
    lines = list(_yaml_lines(found.settings, (), {leaf.path: leaf for leaf in found.leaves}, 0))
    column = min(max(len(line) for line, _ in lines), _COMMENT_COLUMN_MAX)
    for line, where in lines:
        yield f"{line.ljust(column)}  # {shown_place(where)}" if where else line


def _yaml_lines(
    value: Any, at: KeyPath, leaves: dict[KeyPath, OriginalValue], depth: int
) -> Iterator[tuple[str, str]]:
    """Yield each line with the place of its value; lines that only open a level have none."""
    is_list = isinstance(value, list)
    for key, child in enumerate(value) if is_list else value.items():
        path, start = (*at, key), "  " * depth + ("-" if is_list else f"{_scalar(key)}:")
        if leaf := leaves.get(path):
            yield f"{start} {_scalar(leaf.value)}", leaf.where
        elif place := _one_place(child, path, leaves):
            yield f"{start} {_scalar(child)}", place
        else:
            yield start, ""
            yield from _yaml_lines(child, path, leaves, depth + 1)


def _one_place(value: Any, at: KeyPath, leaves: dict[KeyPath, OriginalValue]) -> str:
    """Return the place of a list of plain values that was written on one line; empty for anything else."""
    if not isinstance(value, list):
        return ""
    places = {leaves[*at, n].where if (*at, n) in leaves else "" for n in range(len(value))}
    return places.pop() if len(places) == 1 else ""


def _scalar(value: Any) -> str:
    """Return a plain value, or a list of them, as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
