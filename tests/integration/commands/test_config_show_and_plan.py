"""`mlops config show` and `mlops config plan`: what they say, and how they end."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from mlops_assets.config.loader import load_project
from tests.integration.command_line import CommandLine
from tests.integration.small_operator import copy_configs


def git(folder: Path, *words: str) -> None:
    """Run git as somebody."""
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@operator.example"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def configs(tmp_path: Path, mlops: CommandLine) -> Path:
    """Committed configs that the command works with."""
    folder = copy_configs(tmp_path / "repository" / "configs")
    git(folder.parent, "init", "-q", "-b", "main")
    git(folder.parent, "add", "-A")
    git(folder.parent, "commit", "-q", "-m", "as it is")
    mlops.use(tmp_path / "home", folder)
    return folder


def test_shown_settings_are_the_ones_that_hold(configs: Path, mlops: CommandLine) -> None:
    told = mlops("config", "show", "churn", "--geography", "pe")
    assert (told.status, told.err) == (0, "")
    settings = load_project([configs], "local").use_cases["churn"]["pe"]
    assert yaml.safe_load(told.out) == settings.model_dump(mode="json")
    (floor,) = (line for line in told.out.splitlines() if "floor:" in line)
    assert floor.split("#")[1].strip().startswith(str(configs / "use_cases" / "churn.yaml:"))


def test_shown_places_are_relative_to_the_reader(
    configs: Path, mlops: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(configs.parent)
    told = mlops("config", "show", "churn", "--json")
    assert told.status == 0
    shown = json.loads(told.out)
    where = {origin["path"]: origin["where"] for origin in shown["origins"]}
    assert where["name"] == "configs/use_cases/churn.yaml:2"
    assert where["score_daily"] == "built-in default"
    assert (shown["segment"], shown["overridden_in"]) == ("all", [])


def test_unknown_names_end_with_a_suggestion(configs: Path, mlops: CommandLine) -> None:
    told = mlops("config", "show", "chrun")
    assert (told.status, told.out) == (1, "")
    assert "did you mean 'churn'?" in told.err
    assert configs.exists()


def test_plan_ends_with_0_where_nothing_changes(configs: Path, mlops: CommandLine) -> None:
    told = mlops("config", "plan", "--against", "main")
    assert (told.status, told.err) == (0, "")
    assert told.out.endswith("\nnothing changes\n")
    replace(configs / "use_cases" / "churn.yaml", "name: churn\n", "# a thought\nname: churn\n")
    assert mlops("config", "plan", "--against", "HEAD").status == 0


def test_plan_ends_with_2_and_says_what_changes(configs: Path, mlops: CommandLine) -> None:
    replace(configs / "use_cases" / "churn.yaml", "floor: 0.65", "floor: 0.7")
    told = mlops("config", "plan", "--against", "main")
    assert (told.status, told.err) == (2, "")
    lines = told.out.splitlines()
    assert "~ model churn/churn_risk in cl, pe (gate)" in lines
    assert "    models.churn_risk.gate.floor: 0.65 -> 0.7" in lines
    assert "  ~ champion/churn/churn_risk" in lines
    assert "  ~ model/churn/churn_risk" not in lines
    told = mlops("config", "plan", "--against", "main", "--json")
    assert told.status == 2
    plan = json.loads(told.out)
    assert plan["is_changed"]
    assert [(s["segment"], s["effects"], s["needs_training"]) for s in plan["slots"]] == [
        ("cl", ["gate"], False),
        ("pe", ["gate"], False),
    ]
    assert {a["key"]: a["action"] for a in plan["assets"]}["champion/churn/churn_risk"] == "changed"


def test_plan_tells_assets_that_appear(configs: Path, mlops: CommandLine) -> None:
    text = (configs / "use_cases" / "churn.yaml").read_text().replace("name: churn", "name: leavers")
    (configs / "use_cases" / "leavers.yaml").write_text(text)
    replace(configs / "geographies.yaml", "use_cases: [churn]", "use_cases: [churn, leavers]")
    git(configs.parent, "add", "-A")
    git(configs.parent, "commit", "-q", "-m", "leavers")
    told = mlops("config", "plan", "--against", "HEAD~1", "--to", "HEAD", "--json")
    assert told.status == 2, told
    plan = json.loads(told.out)
    assert {a["key"] for a in plan["assets"] if a["action"] == "added"} >= {
        "corpus/leavers/churn_risk",
        "model/leavers/churn_risk",
        "champion/leavers/churn_risk",
    }
    assert plan["to"]["revision"] == "HEAD"
    back = json.loads(mlops("config", "plan", "--against", "HEAD", "--to", "HEAD~1", "--json").out)
    assert {a["key"] for a in back["assets"] if a["action"] == "removed"} == {
        a["key"] for a in plan["assets"] if a["action"] == "added"
    }


def test_the_side_that_does_not_load_is_named(configs: Path, mlops: CommandLine) -> None:
    use_case = configs / "use_cases" / "churn.yaml"
    replace(use_case, "metric: roc_auc", "metric: roc_auk")
    told = mlops("config", "plan", "--against", "main")
    assert (told.status, told.out) == (1, "")
    assert told.err.startswith("error: the configuration of working tree does not load")
    assert f"{use_case}:17 " in told.err
    git(configs.parent, "commit", "-qam", "broken")
    replace(use_case, "metric: roc_auk", "metric: roc_auc")
    told = mlops("config", "plan", "--against", "main")
    assert (told.status, told.out) == (1, "")
    assert told.err.startswith("error: the configuration of main does not load")
    assert "main:configs/use_cases/churn.yaml:17 " in told.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--against", "nowhere"], "git knows no commit 'nowhere'"),
        (["--against", "main", "--to", "nowhere"], "git knows no commit 'nowhere'"),
        ([], "Missing option '--against'"),
        (["--agianst", "main"], "No such option"),
    ],
)
def test_errors_end_with_1(configs: Path, mlops: CommandLine, words: list[str], says: str) -> None:
    told = mlops("config", "plan", *words)
    assert (told.status, told.out) == (1, "")
    assert says in told.err
    assert configs.exists()


def test_without_repository_the_plan_is_refused(tmp_path: Path, mlops: CommandLine) -> None:
    mlops.use(tmp_path / "home", copy_configs(tmp_path / "configs"))
    told = mlops("config", "plan", "--against", "main")
    assert told.status == 1
    assert "in no git repository" in told.err
