"""Completion: the shell's script, and names of the configuration as far as they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from mlops_assets.cli import cli
from mlops_assets.commands.completion import PROGRAM, SHELLS, VARIABLE


def complete(*typed: str) -> list[str]:
    """Return what completes the last word, as click tells the shell."""
    *words, begun = typed
    found = ShellComplete(cli, {}, PROGRAM, VARIABLE).get_completions(words, begun)
    return [item.value for item in found]


@pytest.mark.parametrize("shell", SHELLS)
def test_script_asks_this_program(shell: str) -> None:
    told = CliRunner().invoke(cli, ["completion", shell])
    assert told.exit_code == 0, told.output
    assert VARIABLE in told.output
    assert f"{shell}_complete" in told.output


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("tr",), ["train"]),
        (("train", ""), ["churn", "network_event", "personalized_offer"]),
        (("train", "chu"), ["churn"]),
        (("train", "churn", "--segment", ""), ["cl", "pe"]),
        (("history", "churn", ""), ["churn_risk"]),
        (("rollback", "churn", "churn_risk", "--segment", "p"), ["pe"]),
        (("config", "show", "churn", "--geography", "c"), ["cl"]),
        (("feeds", "show", "us"), ["usage"]),
        (("feeds", "show", "usage", ""), ["cl", "pe"]),
        (("train", "nothing_begins_so"), []),
    ],
)
def test_names_of_the_configuration_complete(typed: tuple[str, ...], words: list[str]) -> None:
    assert complete(*typed) == words


def test_models_are_those_of_the_use_case_that_was_typed() -> None:
    offered = complete("history", "personalized_offer", "")
    assert "offer_agent" in offered
    assert "churn_risk" not in offered


def test_configuration_that_does_not_load_completes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "feeds").mkdir()
    (tmp_path / "feeds" / "broken.yaml").write_text("name: [\n")
    monkeypatch.setenv("MLOPS_CONFIG_PATHS", str(tmp_path))
    assert complete("train", "") == []
