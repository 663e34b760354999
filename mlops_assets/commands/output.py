"""What a command answers: words for people, or one JSON document for programs.

Belongs here: the `--json` of every command, JSON of our values, errors as JSON, rows for a terminal. Does not belong
here: what any command answers.

With `--json`, standard output holds JSON and nothing else: what libraries or progress lines print goes to standard
error. Keys are snake_case and stay; new ones may come.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any, TextIO

import click

from mlops_assets.domain.errors import PlatformError

JSON_FLAG = "--json"
FAILED_STATUS = 1
Command = Callable[..., None]


class Output:
    """Where a command's answer goes.

    Attributes:
        is_json: whether a program reads it.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.is_json = stream is not None

    def tell(self, record: Any, text: str) -> None:
        """Answer: `record` to a program, `text` to a person. A command that lasts may answer several times."""
        if self._stream is None:
            click.echo(text)
            return
        self._stream.write(encode_json(record) + "\n")
        self._stream.flush()


def with_json(command: Command) -> Command:
    """Decorate a command's function: it gets `out: Output`, and the command gets `--json`."""

    @click.option(JSON_FLAG, "is_json", is_flag=True, help="Answer with JSON, for programs; errors too.")
    @functools.wraps(command)
    def call(*arguments: Any, is_json: bool = False, **options: Any) -> None:
        if not is_json:
            command(*arguments, out=Output(None), **options)
            return
        out = Output(sys.stdout)
        with redirect_stdout(sys.stderr):
            command(*arguments, out=out, **options)

    return call


def align_rows(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of equal length as lines whose columns stand below each other, two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def encode_json(value: Any) -> str:
    """Return a value of ours as one line of JSON; a number that is none is null."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """Return a value as what JSON knows."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Iterable):
        return [_plain(one) for one in value]
    if isinstance(value, dt.date | PurePath):  # a datetime is a date
        return str(value) if isinstance(value, PurePath) else value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def error_record(error: PlatformError | click.ClickException) -> dict[str, str]:
    """Return what is told of an error: what, where, what was expected, what to do."""
    if isinstance(error, PlatformError):
        return {
            "error": error.what,
            "where": error.where,
            "expected": error.expected,
            "remedy": error.remedy,
        }
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = context.command_path if context else ""
    return {
        "error": error.format_message(),
        "where": path,
        "expected": context.command.get_usage(context).removeprefix("Usage: ") if context else "",
        "remedy": f"{path} --help" if path else "",
    }


def end_with_error(error: PlatformError | click.ClickException, *, is_json: bool) -> int:
    """Say what went wrong on standard error and return the exit status."""
    if is_json:
        click.echo(encode_json(error_record(error)), err=True)
    elif isinstance(error, PlatformError):
        click.echo(f"error: {error}", err=True)
    else:
        error.show()
    return error.exit_code if isinstance(error, click.ClickException) else FAILED_STATUS
