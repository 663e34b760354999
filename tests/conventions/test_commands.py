"""House rules about the `mlops` command: what every command offers and says of itself."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from mlops_assets.cli import cli
from mlops_assets.commands.output import JSON_FLAG
from tests.conventions.repository import ROOT

# Commands that answer nothing a program could read, and why.
_WITHOUT_JSON = {
    "serve": "a server: its answers are HTTP",
    "daemon": "a server: its log may be JSON, by the environment",
    "mlflow": "becomes MLflow's server",
    "execute-run": "started by containers, which read its exit status and its log",
    "completion": "prints a script for a shell",
}
_EXAMPLE = re.compile(r"Example: (mlops [^\n]+)")
_ENDS = re.compile(r"sys\.exit\(|raise SystemExit|follow_up\(")


def _leaves(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _leaves(child, f"{path} {name}".strip())
    else:
        yield path, command


_LEAVES = dict(_leaves(cli))
_EACH = pytest.mark.parametrize("path", _LEAVES)


def _help(path: str) -> str:
    return inspect.cleandoc(_LEAVES[path].help or "")


def test_walk_finds_commands_of_groups() -> None:
    assert {"run", "feeds list", "sandbox events add"} <= set(_LEAVES)
    assert set(_WITHOUT_JSON) <= set(_LEAVES), "remove what is gone"


@_EACH
def test_programs_can_read_the_answer(path: str) -> None:
    options = {word for parameter in _LEAVES[path].params for word in parameter.opts}
    assert (JSON_FLAG in options) == (path not in _WITHOUT_JSON)


@_EACH
def test_every_option_says_what_it_does(path: str) -> None:
    silent = [
        parameter.opts[-1]
        for parameter in _LEAVES[path].params
        if isinstance(parameter, click.Option) and not (parameter.help or "").strip()
    ]
    assert silent == []


@_EACH
def test_help_says_how_the_command_may_end(path: str) -> None:
    """A command that chooses its status says which; 0 done, 1 an error, 2 a wrong call need no words."""
    callback = inspect.unwrap(_LEAVES[path].callback)  # type: ignore[arg-type]
    if _ENDS.search(inspect.getsource(callback)):
        assert "exit status" in _help(path).lower()


@pytest.mark.parametrize("path", sorted(set(_LEAVES) - {"execute-run"}))
def test_example_is_a_call_that_is_accepted(path: str) -> None:
    found = _EXAMPLE.search(_help(path))
    assert found, "say `Example: mlops ...` on a line of its own"
    words = shlex.split(found[1].removesuffix("."))[1:]
    assert words[: len(path.split())] == path.split()
    command = _LEAVES[path]
    with command.make_context(path, words[len(path.split()) :]) as context:
        assert context.params is not None


def test_help_is_light() -> None:
    """Whoever asks for help waits for no library that only some commands need."""
    heavy = (
        "{'dagster', 'mlflow', 'pandas', 'sklearn', 'catboost', 'duckdb', 'pyarrow', 'ibis', 'matplotlib'}"
    )
    code = f"import sys, mlops_assets.cli; print(sorted({heavy} & set(sys.modules)))"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert told.stdout.strip() == "[]"
