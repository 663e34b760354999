"""The line of geographies.yaml that says which use cases a geography runs.

Belongs here: adding a name to it without touching anything else of the file. Does not belong here: loading (loader).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from mlops_assets.domain.errors import ConfigError


def render_use_case_lists(lists: Mapping[str, Sequence[str]]) -> str:
    """Return a geographies.yaml that says nothing but which use cases run where; laid over the others."""
    entries = "".join(f"  {code}: {{use_cases: [{', '.join(names)}]}}\n" for code, names in lists.items())
    return f"# Laid over configs/geographies.yaml: the whole list of each geography.\ngeographies:\n{entries}"


def add_use_case(text: str, path: Path, code: str, name: str) -> str:
    """Return the text of a geographies.yaml with `name` at the end of a geography's `use_cases`.

    Args:
        text: of the file; comments and order stay.
        path: of the file, for messages.
        code: of the geography.
        name: of the use case.

    Raises:
        ConfigError: the geography has no such list in this file.
    """
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in ("geographies", code, "use_cases"):
        node = _value(node, key)
    if not isinstance(node, yaml.SequenceNode):
        raise ConfigError(
            f"geography {code} has no list of use cases here",
            where=str(path),
            expected=f"`use_cases: [...]` under `{code}:`",
            remedy=f"write it there, with {name}; or name another geography (--geography)",
        )
    if not node.value:  # only [] is an empty list
        end = node.end_mark.index - 1
        return f"{text[:end].rstrip()}{name}{text[end:]}"
    end = node.value[-1].end_mark.index
    between = ", " if node.flow_style else f"\n{' ' * node.start_mark.column}- "
    return f"{text[:end]}{between}{name}{text[end:]}"


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)
