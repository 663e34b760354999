"""Every command that a document names can be given: it exists, with these arguments and options."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import click
import pytest

from docs_site.markdown_text import find_blocks
from mlops_assets.cli import cli
from tests.conventions.repository import text
from tests.documents.documents import (
    DOCUMENTS,
    NOT_RUN,
    REASONS,
    apply_change,
    command_lines,
    reason_not_to_run,
    shell_blocks,
)

_WITH_COMMANDS = [path for path in DOCUMENTS if shell_blocks(path)]


def _refusal(words: list[str]) -> str:
    """Return why `mlops WORDS` would not be understood; empty if it would. Nothing is run."""
    command: click.Command = cli
    context = click.Context(cli, info_name="mlops")
    while isinstance(command, click.Group) and words:
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command = command.commands[words[0]]
        context, words = click.Context(command, info_name=words[0], parent=context), words[1:]
    try:
        command.make_parser(context)
        command.parse_args(context, list(words))
    except click.exceptions.Exit:
        return ""
    except click.UsageError as error:
        return error.format_message()
    return ""


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", text(Path("Makefile")), flags=re.MULTILINE))


def _problems(words: list[str]) -> str:
    program = PurePosixPath(words[0]).name
    if program == "mlops":
        return _refusal(words[1:])
    if program == "make":
        unknown = [word for word in words[1:] if "=" not in word and word not in _targets()]
        return f"no target {unknown}" if unknown else ""
    return ""


@pytest.mark.parametrize("document", _WITH_COMMANDS, ids=str)
def test_commands_are_understood(document: Path) -> None:
    found = {
        f"{document}:{block.line} {' '.join(words)}": problem
        for block in shell_blocks(document)
        for words in command_lines(block)
        if (problem := _problems(words))
    }
    assert not found


@pytest.mark.parametrize("document", _WITH_COMMANDS, ids=str)
def test_blocks_that_are_not_run_say_why(document: Path) -> None:
    reasons = {reason for block in shell_blocks(document) if (reason := reason_not_to_run(block))}
    assert reasons <= REASONS
    content = text(document)
    marks = len(re.findall(rf"<!-- {NOT_RUN}", content))
    found = [block for block in find_blocks(content) if block.comment.startswith(NOT_RUN)]
    assert marks == len(found), "a mark stands on the line before a block"


def test_every_reason_is_used() -> None:
    used = {reason_not_to_run(block) for path in _WITH_COMMANDS for block in shell_blocks(path)}
    assert used - {""} == REASONS


@pytest.mark.parametrize(
    ("words", "is_wrong"),
    [
        (["run", "--history", "--to", "2026-09-06"], False),
        (["run", "--historic"], True),
        (["train"], True),
        (["train", "churn", "--segment", "cl"], False),
        (["sandbox", "init", "--subscribers", "2"], True),
        (["feed", "list"], True),
        (["run", "--help"], False),
    ],
)
def test_wrong_commands_are_recognised(words: list[str], is_wrong: bool) -> None:
    assert bool(_refusal(words)) is is_wrong


def test_words_of_a_block() -> None:
    (block,) = find_blocks(
        "```sh\nA=1 mlops run  # a day\nmake x && mlops config plan --against 'a b' > out || [ 1 ]\n```\n"
    )
    assert command_lines(block) == [
        ["mlops", "run"],
        ["make", "x"],
        ["mlops", "config", "plan", "--against", "a b"],
        ["[", "1", "]"],
    ]


def test_a_change_has_to_fit_once() -> None:
    (block,) = find_blocks('```diff title="f"\n a\n-b\n+c\n```\n')
    assert apply_change("x\na\nb\n", block) == "x\na\nc\n"
    for content in ("a\nx\nb\n", "a\nb\na\nb\n"):
        with pytest.raises(AssertionError, match="times in the file"):
            apply_change(content, block)
