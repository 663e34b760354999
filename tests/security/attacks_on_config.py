"""Hostile YAML: any text, and the project's own files with values replaced.

Belongs here: families about configs/. Does not belong here: names and paths elsewhere (attacks_on_names).
"""

from __future__ import annotations

import copy
import functools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from mlops_assets.config import loader
from mlops_assets.config.loader import PROJECT_CONFIGS, LoadedProject
from mlops_assets.config.yaml_source import MAX_VALUES, read_yaml
from tests.security.attack import Attack, EscapeError, Family
from tests.security.hostile_values import hostile_text, values

KINDS = ("feeds", "use_cases", "quality", "environments", "geographies")
_BOMBS = (
    "a: " + "[" * 3000 + "]" * 3000,
    "a: " + "{b: " * 3000 + "1" + "}" * 3000,
    "\n".join(" " * depth + f"k{depth}:" for depth in range(1500)),
    "- " * 2000,
    "a: &a [*a]",
    "a: &a {b: *a}",
    "a0: &a0 [x,x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1},*a{i - 1}]\n" for i in range(1, 25)),
    "a: &a {b: 1}\nc: {<<: *a}\n",
    "a: 1\na: 2\n",
    "a: 0x" + "f" * 30_000,
    "a: " + "9" * 30_000,
    "? [a]\n: 1",
    "? {a: 1}\n: 1",
    "--- 1\n--- 2",
    "a: !!python/object/apply:os.system ['touch hacked']",
    "a: !!python/name:os.system x",
    "a: !!python/object/new:os.system [x]",
    "!!python/module:os a: 1",
    "a: !!int ''", "a: !!bool x", "a: !!timestamp x", "a: !!binary '%'", "a: !!set {b}", "a: !x y", "a: =", "a: 0x_",
    "a: 2026-99-99", "a: 0001-01-01T00:00:00+23:59", "a: '\\0'", 'a: "\\0"', 'a: "\\ud800"', "%YAML 9.9\n---\na: 1",
    "\ufeffa: 1", "a:\tb", "&a a: *b", "[" + "1," * 30_000 + "]",
)  # fmt: skip
_PIECES = st.sampled_from(
    ("a", ": ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "&x ", "*x", "!", "!!int ", "'", '"', "|", ">", "#", "? ",
     "<<", "\t", "%", "@", "0x", "1", "\\ud800")
)  # fmt: skip
_yaml_texts = st.one_of(st.sampled_from(_BOMBS), st.lists(_PIECES, max_size=25).map("".join), hostile_text)


@contextmanager
def _one_file(folder: Path) -> Iterator[Attack]:
    path = folder / "any.yaml"

    def attack(text: str) -> None:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        read = read_yaml(path)
        if len(read.places) > MAX_VALUES + 1000:
            raise EscapeError(f"a file of {len(text)} characters became {len(read.places)} values")
        if sorted(entry.name for entry in folder.iterdir()) != ["any.yaml"]:
            raise EscapeError("reading YAML wrote a file")

    yield attack


@functools.cache
def _documents(kind: str) -> dict[str, Any]:
    """Return the project's files of a kind by their path below configs/."""
    paths = [Path("geographies.yaml")] if kind == "geographies" else _paths(kind)
    return {str(path): yaml.safe_load((PROJECT_CONFIGS / path).read_text()) for path in paths}


def _paths(folder: str) -> list[Path]:
    return sorted(path.relative_to(PROJECT_CONFIGS) for path in (PROJECT_CONFIGS / folder).glob("*.yaml"))


@functools.cache
def _places(kind: str) -> list[tuple[str, tuple[Any, ...]]]:
    """Return every place of every document: file, and the keys that lead there."""
    return [(name, at) for name, document in _documents(kind).items() for at in _walk(document)]


def _walk(node: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in children:
        yield from _walk(value, (*at, key))


@st.composite
def changed_document(draw: st.DrawFn, kind: str) -> tuple[str, str]:
    """Return one of the project's files, as text, in which a value or a key is replaced by a hostile one."""
    name, at = draw(st.sampled_from(_places(kind)))
    document = copy.deepcopy(_documents(kind)[name])
    parent = functools.reduce(lambda node, key: node[key], at[:-1], document)
    how = draw(st.sampled_from(("value", "value", "other", "other", "key", "extra")))
    if how == "other":  # what is right elsewhere
        other, there = draw(st.sampled_from(_places(kind)))
        parent[at[-1]] = copy.deepcopy(
            functools.reduce(lambda node, key: node[key], there, _documents(kind)[other])
        )
    elif how == "value" or not isinstance(parent, dict):
        parent[at[-1]] = draw(values)
    elif how == "key":
        parent[draw(hostile_text)] = parent.pop(at[-1])
    else:
        parent[draw(hostile_text)] = draw(values)
    return name, yaml.dump(document, sort_keys=False, allow_unicode=draw(st.booleans()))


@contextmanager
def _whole_project(folder: Path) -> Iterator[Attack]:
    configs = folder / "configs"
    shutil.copytree(PROJECT_CONFIGS, configs)
    unchanged = {path: read_yaml(path) for path in configs.rglob("*.yaml")}

    def attack(change: tuple[str, str]) -> None:
        name, text = change
        path = configs / name
        before = path.read_bytes()
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        read = {other: source for other, source in unchanged.items() if other != path}
        try:
            with pytest.MonkeyPatch.context() as patch:  # parsing the other files takes most of the time
                patch.setattr(loader, "read_yaml", lambda wanted: read.get(wanted) or read_yaml(wanted))
                _require_inside(loader._load_cached.__wrapped__((configs,), "local"))
        finally:
            path.write_bytes(before)

    yield attack


def _require_inside(loaded: LoadedProject) -> None:
    """No accepted configuration names a place outside its home, or a name that is no name."""
    for environment in loaded.environments.values():
        for section in (environment.storage, environment.registry, environment.ledger, environment.mail):
            for key, value in section.model_dump().items():
                if key in _PATH_KEYS and value and (value.startswith(("/", "~")) or ".." in value.split("/")):
                    raise EscapeError(f"{key} is {value!r}")
    for feed in loaded.config.feeds.values():
        patterns = [feed.file_pattern, *(o.file_pattern for o in feed.geographies.values() if o.file_pattern)]
        if bad := [pattern for pattern in patterns if "/" in pattern or ".." in pattern or "\\" in pattern]:
            raise EscapeError(f"file patterns {bad}")
    names = [
        *loaded.config.feeds,
        *loaded.config.use_cases,
        *loaded.config.geographies,
        *loaded.config.monitors,
    ]
    if odd := [name for name in names if not name.isascii() or not name.isidentifier()]:
        raise EscapeError(f"names {odd}")


_PATH_KEYS = {
    "landing", "lake", "reports", "deployment", "cache", "temporary", "sandbox", "database", "artifacts", "outbox",
    "mailbox", "ca_file",
}  # fmt: skip

CONFIG_FAMILIES = (
    Family("yaml_text", _yaml_texts, _one_file),
    *(Family(f"config_{kind}", changed_document(kind), _whole_project) for kind in KINDS),
)
