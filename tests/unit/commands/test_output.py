"""One JSON document on standard output, and nothing else; errors as JSON on standard error."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from mlops_assets import cli as entry
from mlops_assets.commands.output import Output, align_rows, encode_json, error_record, with_json
from mlops_assets.domain.errors import ConfigError


@dataclass(frozen=True)
class Line:
    """A record with values that JSON does not know."""

    day: dt.date
    path: Path
    share: float


@click.command()
@with_json
def chatty(*, out: Output) -> None:
    """A command whose libraries talk."""
    sys.stdout.write("a library says hello\n")
    click.echo("progress")
    out.tell({"lines": [Line(dt.date(2026, 8, 3), Path("a/b"), float("nan"))]}, "one line")


def test_program_reads_json_alone() -> None:
    told = CliRunner().invoke(chatty, ["--json"])
    assert json.loads(told.stdout) == {"lines": [{"day": "2026-08-03", "path": "a/b", "share": None}]}
    assert told.stderr == "a library says hello\nprogress\n"


def test_person_reads_words() -> None:
    told = CliRunner().invoke(chatty, [])
    assert told.stdout == "a library says hello\nprogress\none line\n"
    assert told.stderr == ""


def test_columns_stand_below_each_other() -> None:
    assert align_rows([("a", "bb", ""), ("ccc", "d", "e")]) == "a    bb\nccc  d   e"


def test_value_without_a_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        encode_json({"what": object()})


def run_main(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[Any, str, str]:
    """Run the command's entry point."""
    monkeypatch.setattr(sys, "argv", ["mlops", *words])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    told = capsys.readouterr()
    return ended.value.code, told.out, told.err


def test_deliberate_error_is_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    status, out, err = run_main(capsys, monkeypatch, "run", "--json")
    assert (status, out) == (1, "")
    told = json.loads(err)
    assert set(told) == {"error", "where", "expected", "remedy"}
    assert told["error"] == "no feed file has been delivered"
    assert told["where"] == str(tmp_path / "landing")
    assert told["remedy"] == "`mlops sandbox init` simulates an operator"


def test_wrong_call_is_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = run_main(capsys, monkeypatch, "history", "--json")
    assert (status, out) == (2, "")
    told = json.loads(err)
    assert told["error"] == "Missing argument 'USE_CASE'."
    assert told["remedy"] == "mlops history --help"


def test_person_reads_the_same_error_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    status, _, err = run_main(capsys, monkeypatch, "run")
    assert status == 1
    assert err.startswith("error: no feed file has been delivered; where: ")


def test_interrupted_command_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def waiting() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "cli", waiting)
    status, _, err = run_main(capsys, monkeypatch)
    assert (status, err.strip()) == (130, "Error: interrupted")


def test_record_of_an_error_has_every_field() -> None:
    error = ConfigError("unknown key", where="a.yaml:3", expected="name", remedy="delete it")
    assert error_record(error) == {
        "error": "unknown key",
        "where": "a.yaml:3",
        "expected": "name",
        "remedy": "delete it",
    }
