"""Every command with its arguments, options and exit statuses as one page, from the command itself.

Belongs here: how a click command becomes Markdown. Does not belong here: any command's name or help.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

PAGE = "commands.md"
_HEAD = """# Commands

Generated from the `mlops` command itself; `mlops COMMAND --help` says the same. Every command ends with

| status | meaning |
| --- | --- |
| 0 | it is done |
| 1 | an error: standard error says what, where, what was expected, and the remedy |
| 2 | the command line is not understood |

and, where its text says so, with others.
"""


def render_command_page(command: click.Command, name: str) -> str:
    """Return the page of a command and all below it."""
    sections = [_HEAD, *(_render(one, path) for path, one in walk_commands(command, name))]
    return "\n".join(sections)


def walk_commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and those below it with their full names, in order; hidden ones are left out."""
    if command.hidden:
        return
    yield path, command
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from walk_commands(below, f"{path} {name}")


def _render(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"## {path}\n", f"```text\n{usage}\n```\n", f"{_prose(command)}\n", _table(command, context)]
    return "\n".join(part for part in parts if part)


def _prose(command: click.Command) -> str:
    """Return the help as paragraphs, exit statuses as one of their own."""
    text = inspect.cleandoc((command.help or "").partition("\f")[0]).replace("\b\n", "")
    paragraphs = [" ".join(one.split()) for one in re.split(r"\n\s*\n", text)]
    return "\n\n".join(re.sub(r"\s*Exit status: ", "\n\n**Exit status:** ", one) for one in paragraphs)


def _table(command: click.Command, context: click.Context) -> str:
    rows = [_row(one, context) for one in command.params if not getattr(one, "hidden", False)]
    if not rows:
        return ""
    return "| | meaning | values, default |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def _row(parameter: click.Parameter, context: click.Context) -> str:
    if isinstance(parameter, click.Option):
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        meaning = parameter.help or ""
    else:
        names, meaning = f"`{parameter.make_metavar(context)}`", ""
    return f"| {names} | {_escaped(meaning)} | {_escaped(_values(parameter, context))} |"


def _values(parameter: click.Parameter, context: click.Context) -> str:
    words = [_kind(parameter)]
    if parameter.required:
        words.append("required")
    default = parameter.get_default(context)
    if isinstance(default, (int, float, str)) and not isinstance(default, bool) and default != "":
        words.append(f"default `{default}`")
    return "; ".join(words)


def _kind(parameter: click.Parameter) -> str:
    """Return in words what may stand behind an option, or for an argument."""
    kind = parameter.type
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return "a switch"
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{one}`" for one in kind.choices)
    if isinstance(kind, click.DateTime):
        return "a day, YYYY-MM-DD"
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        number = "whole number" if isinstance(kind, click.IntRange) else "number"
        low = f" from {kind.min}" if kind.min is not None else ""
        return number + low + (f" to {kind.max}" if kind.max is not None else "")
    if kind.name == "integer":
        return "whole number"
    return "a path" if isinstance(kind, click.Path) else "text"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
