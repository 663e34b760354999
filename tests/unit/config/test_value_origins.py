"""Every value of a use case names the file and line that it comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.config.loader import load_project_with_sources
from mlops_assets.config.value_origins import BUILT_IN, find_origins
from mlops_assets.domain.errors import ConfigError
from tests.unit.config.conftest import Edit

OVERRIDE = """name: Peru
    overrides:
      churn:
        approval: {mode: manual}
        models:
          churn_risk:
            gate: {floor: 0.7}
            features: [avg_freq]
            algorithms: {catboost: {}, dummy: {}}"""


def places(configs: Path, geography: str | None = None) -> dict[str, tuple[object, str]]:
    """Return value and `file:line` by dotted path."""
    found = find_origins(load_project_with_sources([configs], "local"), "churn", geography)
    return {leaf.dotted: (leaf.value, leaf.where.rpartition("/")[2]) for leaf in found.leaves}


def line_of(path: Path, text: str) -> str:
    """Return `file:line` of the first line that holds a text."""
    (number, *_) = (n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)
    return f"{path.name}:{number}"


def test_each_layer_is_named(configs: Path, edit: Edit) -> None:
    edit("geographies.yaml", "name: Peru", OVERRIDE)
    use_case, geographies = configs / "use_cases" / "churn.yaml", configs / "geographies.yaml"
    defaults = configs / "use_cases" / "_defaults.yaml"
    found = places(configs, "pe")
    model = "models.churn_risk"
    assert found["approval.mode"] == ("manual", line_of(geographies, "mode: manual"))
    assert found[f"{model}.gate.floor"] == (0.7, line_of(geographies, "floor: 0.7"))
    assert found[f"{model}.metric"] == ("roc_auc", line_of(use_case, "metric: roc_auc"))
    assert found[f"{model}.gate.max_regret"] == (0.005, line_of(defaults, "max_regret"))
    assert found["score_daily"] == (True, BUILT_IN)
    assert [path for path in found if ".features." in path] == [f"{model}.features.0"]
    # What the override replaces as a whole does not show where the replaced values stood.
    assert found[f"{model}.algorithms.catboost.hyperparameters"] == ({}, BUILT_IN)
    assert not any("linear" in path for path in found)


def test_other_geographies_and_everywhere_keep_theirs(configs: Path, edit: Edit) -> None:
    edit("geographies.yaml", "name: Peru", OVERRIDE)
    for geography in ("cl", None):
        assert places(configs, geography)["models.churn_risk.gate.floor"][0] == 0.65
    project = load_project_with_sources([configs], "local")
    assert find_origins(project, "churn").overridden_in == ("pe",)
    assert find_origins(project, "churn", "cl").overridden_in == ()


def test_leaves_are_the_whole_of_the_settings(configs: Path) -> None:
    project = load_project_with_sources([configs], "local")
    found = find_origins(project, "churn", "cl")
    assert found.settings == project.config.use_cases["churn"]["cl"].model_dump(mode="json")
    for leaf in found.leaves:
        value: object = found.settings
        for part in leaf.path:
            value = value[part]  # type: ignore[index]
        assert value == leaf.value
        if leaf.where != BUILT_IN:
            file, _, line = leaf.where.rpartition(":")
            assert str(leaf.path[-1]) in Path(file).read_text() or isinstance(leaf.path[-1], int)
            assert 1 <= int(line) <= len(Path(file).read_text().splitlines())


@pytest.mark.parametrize(
    ("use_case", "geography", "says"),
    [
        ("chrun", None, ["unknown use case 'chrun'", "did you mean 'churn'"]),
        ("churn", "cll", ["unknown geography 'cll'", "did you mean 'cl'"]),
        ("churn", "all", ["unknown geography 'all'"]),
    ],
)
def test_unknown_names_are_refused(
    configs: Path, use_case: str, geography: str | None, says: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        find_origins(load_project_with_sources([configs], "local"), use_case, geography)
    assert all(text in str(caught.value) for text in says)


def test_geography_that_does_not_run_it_is_refused(configs: Path, edit: Edit) -> None:
    edit(
        "geographies.yaml",
        "country: PE\n    usd_per_unit: 0.27\n    use_cases: [churn, personalized_offer, network_event]",
        "usd_per_unit: 0.27",
    )
    with pytest.raises(ConfigError, match=r"geography pe does not run churn.*one of cl"):
        find_origins(load_project_with_sources([configs], "local"), "churn", "pe")


def test_use_case_without_geographies_has_one_answer(configs: Path) -> None:
    ibm = Path(__file__).resolve().parents[3] / "benchmarks" / "churn_ibm" / "configs"
    project = load_project_with_sources([configs, ibm], "local")
    assert find_origins(project, "churn_ibm").segment == "all"
    with pytest.raises(ConfigError, match="one model for all geographies"):
        find_origins(project, "churn_ibm", "cl")
