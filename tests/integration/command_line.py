"""The `mlops` command as a person meets it: words in; exit status, output and errors out."""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlops_assets.cli import main
from mlops_assets.config import loader


@dataclass(frozen=True)
class Told:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def days(self) -> list[tuple[str, str]]:
        """Day and status of each line that reports a day, in order."""
        lines = [line for line in self.out.splitlines() if re.match(r"\d{4}-\d{2}-\d{2}  \[", line)]
        return [(line.split()[0], line.split("]")[1].split()[0]) for line in lines]


class CommandLine:
    """Runs the installed command's entry point in this process, over one data root."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def use(self, home: Path, configs: Path | None = None) -> None:
        """Work below this data root from now on, with these configs instead of the project's."""
        self.monkeypatch.setenv("MLOPS_HOME", str(home))
        self.monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster_home"))
        if configs is not None:
            self.monkeypatch.setattr("mlops_assets.config.loader.PROJECT_CONFIGS", configs)
            self.monkeypatch.setattr("mlops_assets.commands.config.PROJECT_CONFIGS", configs)

    def __call__(self, *words: object) -> Told:
        """Run `mlops WORDS`."""
        out, err = io.StringIO(), io.StringIO()
        loader._load_cached.cache_clear()  # a command is a process of its own
        self.monkeypatch.setattr(sys, "argv", ["mlops", *map(str, words)])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code
        assert status is None or isinstance(status, int)
        return Told(status or 0, out.getvalue(), err.getvalue())
