"""Files of a new feed, use case or algorithm: rendered, put in place together, never over another one.

Belongs here: the templates and writing. Does not belong here: what is guessed of a sample
(mlops_assets.domain.feeds.contract_draft), arguments and output (new).
"""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from mlops_assets.config.loader import PROJECT_CONFIGS, config_roots
from mlops_assets.domain.errors import ConfigError
from resources.atomic_files import write_atomic

SCHEMA_FOLDER = "schema"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass
class Scaffold:
    """Files to write: new ones, and changed content of files that are there.

    Attributes:
        new: content by path; none may exist.
        changed: content by path.
        next_steps: what a person does then, in order.
    """

    new: dict[Path, str] = field(default_factory=dict)
    changed: dict[Path, str] = field(default_factory=dict)
    next_steps: list[str] = field(default_factory=list)

    def write(self) -> None:
        """Write all files, or none if one of the new ones is there.

        Raises:
            ConfigError: a file is in the way.
            StorageError: a folder cannot be written.
        """
        if there := [path for path in self.new if path.exists()]:
            raise ConfigError(
                "nothing is written over a file",
                where=", ".join(map(str, there)),
                expected="a name that is free",
                remedy="choose another name, or move the file away",
            )
        for path, text in {**self.new, **self.changed}.items():
            write_atomic(path, text.encode())

    def record(self) -> dict[str, Any]:
        """Return what was done, for programs."""
        return {"written": [*self.new], "changed": [*self.changed], "next_steps": self.next_steps}

    def text(self) -> str:
        """Return what was done, for people."""
        lines = [f"wrote {path}" for path in self.new] + [f"changed {path}" for path in self.changed]
        steps = [f"  {number}. {step}" for number, step in enumerate(self.next_steps, start=1)]
        return "\n".join([*lines, "next:", *steps])


def require_name(name: str, what: str, known: Mapping[str, object]) -> None:
    """Raise ConfigError unless a name can be given to a new feed, use case or algorithm."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a new {what}",
            where="NAME",
            expected="up to 41 small letters, digits and _, beginning with a letter",
            remedy="write it as in weekly_sales",
        )
    if name in known:
        raise ConfigError(
            f"the {what} {name} is there already",
            where="NAME",
            expected=f"none of {', '.join(sorted(known))}",
            remedy="choose another name",
        )


def render_template(template: str, **values: Any) -> str:
    """Return a file from its template."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - YAML and Python, which HTML's escapes would ruin
        loader=PackageLoader("mlops_assets.commands", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["as_yaml"] = _as_yaml
    return environment.get_template(template).render(**values)


def _as_yaml(value: Any) -> str:
    """Return a value on one line of YAML; a column that is called `no` is no boolean."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def schema_of(kind: str, folder: Path) -> str:
    """Return where a file in a folder of configs/ finds its schema; empty elsewhere: no path of one machine."""
    return f"../{SCHEMA_FOLDER}/{kind}.json" if folder.resolve() == PROJECT_CONFIGS.resolve() else ""


def steps_after_configuration(folder: Path, kind: str, name: str, owner: str) -> list[str]:
    """Return what is to be done once a YAML file lies in a folder."""
    if folder.resolve() != PROJECT_CONFIGS.resolve():
        extra = [str(root) for root in config_roots()[1:] if root != folder.resolve()]
        return [f"export MLOPS_CONFIG_PATHS={os.pathsep.join([*extra, str(folder)])}", "mlops config check"]
    team = owner.replace("team:", "@operator/")
    return [
        f"add to CODEOWNERS: /configs/{kind}/{name}.yaml {team}",
        "mlops config check",
        "mlops config plan --against HEAD says what it will do",
    ]
