"""The documents, the commands in them, and a checkout in which the blocks of one are executed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from docs_site.markdown_text import CodeBlock, find_blocks
from tests.conventions.repository import ROOT, project_files, text

DOCUMENTS = [
    path
    for path in project_files()
    if path.suffix == ".md" and (path.parts[0] == "docs" or len(path.parts) == 1)
]
NOT_RUN = "not-run: "
# Why a block may be left out. Each is about this machine or the time it takes, none about a command that fails.
REASONS = {
    "needs Google Cloud",
    "needs a database server of yours",
    "needs weeks of data",
    "needs a file that is not ours to ship",
    "answers until it is stopped",
    "installs packages",
    "takes minutes, and is measured by a benchmark",
    "runs everything, the tests included",
    "ids and versions are yours; tests/integration/loop/test_decisions.py has real ones",
}


def shell_blocks(path: Path) -> list[CodeBlock]:
    """Return the blocks of commands of a document."""
    return [block for block in find_blocks(text(path)) if block.language == "sh"]


def reason_not_to_run(block: CodeBlock) -> str:
    """Return why a block is not executed; empty if it is."""
    return block.comment.removeprefix(NOT_RUN) if block.comment.startswith(NOT_RUN) else ""


def command_lines(block: CodeBlock) -> list[list[str]]:
    """Return the words of every single command of a block: lines joined, comments gone, split at && || ; | and >."""
    joined = re.sub(r"\\\n\s*", " ", block.text)
    commands = []
    for line in joined.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;><")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if set(word) <= set("|&;"):
                commands.append(words)
                words = []
            else:
                words.append(word)
        commands.append(words)
    return [_without_settings(words) for words in commands if words]


def _without_settings(words: list[str]) -> list[str]:
    """Return a command without leading NAME=VALUE and without redirections."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words[: words.index(">")] if ">" in words else words


@dataclass(frozen=True)
class Checkout:
    """A copy of the project that a document may change, with a data root of its own in `var`."""

    folder: Path

    def prepare(self, home: Path | None) -> None:
        """Copy the project's files, commit them as `main`, and put a data root in place."""
        for path in project_files():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, self.folder / path)
        (self.folder / ".venv").symlink_to(Path(sys.executable).parent.parent)
        if home is not None:
            shutil.copytree(home, self.folder / "var", ignore=shutil.ignore_patterns("dagster_home"))
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        for words in (
            ["init", "-q", "-b", "main"],
            ["add", "-A"],
            [*identity, "commit", "-q", "-m", "as it is"],
        ):
            subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True)

    def put(self, block: CodeBlock) -> None:
        """Write the file that a block with a title shows, or make the change that it shows."""
        path = self.folder / block.title
        if block.language == "diff":
            path.write_text(apply_change(path.read_text(), block))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)

    def run(self, block: CodeBlock, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run the commands of a block as a reader would, in the checkout; the first that fails ends it."""
        programs = {PurePosixPath(words[0]).name for words in command_lines(block)}
        assert "make" not in programs, "`make` would set up the environment that this test runs in"
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLOPS_", "DAGSTER_HOME", "PYTEST_", "CI"))
        }
        environment |= {
            "PYTHONPATH": str(self.folder),
            "PATH": f"{self.folder / '.venv/bin'}:{os.environ['PATH']}",
        }
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            timeout=timeout_s,
            check=False,
            capture_output=True,
            text=True,
        )


def apply_change(content: str, block: CodeBlock) -> str:
    """Return a file's content after the change that a block of kind diff shows; its old lines must be there once."""
    before = "".join(f"{line[1:]}\n" for line in block.lines if not line.startswith("+"))
    after = "".join(f"{line[1:]}\n" for line in block.lines if not line.startswith("-"))
    found = content.count(before)
    assert found == 1, (
        f"{block.title}: the lines of the change at line {block.line} stand {found} times in the file"
    )
    return content.replace(before, after)
