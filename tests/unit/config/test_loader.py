"""What is wrong with a YAML file is said with file, line, expectation and remedy."""

from pathlib import Path

import pytest

from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.learning.spec import TimeSplit
from tests.unit.config.conftest import Edit


def load(configs: Path) -> ProjectConfig:
    """Load a copy as if it were the project's."""
    return load_project([configs], "local")


def test_project_configuration_loads(configs: Path) -> None:
    config = load(configs)
    assert set(config.geographies) == {"cl", "pe"}
    assert config.segments("churn") == ["cl", "pe"]


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("feeds/topups.yaml", "owner:", "ownr:", ["unknown key 'ownr'", "did you mean 'owner'"]),
        ("feeds/usage.yaml", "unit: KB", "unit: KBB", ["unknown unit 'KBB'"]),
        ("feeds/usage.yaml", "type: integer", "type: intger", ["'integer'", "intger"]),
        (
            "feeds/usage.yaml",
            "grain: [subscriber_id]",
            "grain: [subscriber]",
            ["unknown columns ['subscriber']"],
        ),
        ("feeds/usage.yaml", "usage_{day}", "/etc/{day}", ["file_pattern"]),
        (
            "feeds/topups.yaml",
            "columns:\n      amount_usd_cents",
            "columns:\n      amount",
            ["unknown column 'amount'", "amount_usd_cents"],
        ),
        (
            "use_cases/churn.yaml",
            "- avg_freq",
            "- avg_freqq",
            ["feature 'avg_freqq' of etl/subscriber_features: unknown feature", "did you mean 'avg_freq'"],
        ),
        (
            "use_cases/churn.yaml",
            "- avg_freq",
            "- subscriber_id",
            ["1 problem", "a key column is not a feature", "use one of"],
        ),
        (
            "feeds/topups.yaml",
            "unit: usd_cent, source_unit: local_currency",
            "unit: MB, source_unit: local_currency",
            ["amount_usd_cents: usd (money) cannot become MB (volume)", "correct the unit"],
        ),
        (
            "feeds/topups.yaml",
            "amount_usd_cents: {source: MONTO}",
            "amount_usd_cents: {source: MONTO, source_unit: second}",
            ["amount_usd_cents: second (duration) cannot become usd_cent (money)"],
        ),
        (
            "use_cases/churn.yaml",
            "table: etl/churn_events",
            "table: etl/subscriber_features",
            ["label is an event of the corpus table"],
        ),
        (
            "use_cases/churn.yaml",
            "metric: roc_auc",
            "metric: roc_auk",
            ["unknown metric", "did you mean 'roc_auc'"],
        ),
        ("use_cases/churn.yaml", "metric: roc_auc", "metric: rmse", ["rmse", "not for task binary"]),
        (
            "use_cases/churn.yaml",
            "table: etl/subscriber_features",
            "table: etl/nothing",
            ["unknown table 'etl/nothing'"],
        ),
        (
            "use_cases/_defaults.yaml",
            "catboost:",
            "catbost:",
            ["unknown algorithm 'catbost'", "did you mean 'catboost'"],
        ),
        ("use_cases/_defaults.yaml", "iterations: 200", "iteration: 200", ["iteration"]),
        ("geographies.yaml", "America/Lima", "America/Limo", ["unknown time zone"]),
        (
            "geographies.yaml",
            "use_cases: [churn, ",
            "use_cases: [chrun, ",
            ["unknown use case 'chrun'", "did you mean 'churn'"],
        ),
        (
            "geographies.yaml",
            "name: Peru",
            "name: Peru\n    overrides: {churn: {models: {churn_risk: {gate: {flor: 0.7}}}}}",
            ["1 problem", "unknown key 'flor'", "did you mean 'floor'"],
        ),
        (
            "geographies.yaml",
            "name: Peru",
            "name: Peru\n    overrides: {churn: {models: {churn_risk: {features: [avg_freqq]}}}}",
            ["1 problem", "feature 'avg_freqq'", "did you mean 'avg_freq'"],
        ),
        (
            "geographies.yaml",
            "name: Chile",
            "name: Chile\n    like: cl",
            ["`like` goes in a circle: cl -> cl", "remove one `like`"],
        ),
        (
            "geographies.yaml",
            "  pe:",
            "  all:",
            [
                "a geography cannot have the code 'all'",
                "the segment of use cases without",
                "rename the geography",
            ],
        ),
        ("environments/local.yaml", "kind: duckdb", "kind: polars", ["duckdb"]),
        ("environments/local.yaml", "name: local", "name: local\nstorage: {lake: ../lake}", ["storage.lake"]),
    ],
)
def test_finding_names_file_line_and_remedy(
    configs: Path, edit: Edit, file: str, old: str, new: str, expected: list[str]
) -> None:
    place = edit(file, old, new)
    with pytest.raises(ConfigError) as caught:
        load(configs)
    text = str(caught.value)
    for part in (place, *expected):
        assert part in text


def test_all_findings_are_reported_at_once(configs: Path, edit: Edit) -> None:
    edit("feeds/topups.yaml", "owner:", "ownr:")
    edit("feeds/dna.yaml", "owner:", "ownr:")
    with pytest.raises(ConfigError) as caught:
        load(configs)
    assert "topups.yaml" in str(caught.value)
    assert "dna.yaml" in str(caught.value)


def test_syntax_error_names_its_line(configs: Path) -> None:
    (configs / "feeds" / "broken.yaml").write_text("name: broken\ncolumns: [a, b\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml:\d"):
        load(configs)


def test_control_character_names_its_place(configs: Path) -> None:
    (configs / "feeds" / "bell.yaml").write_text("name: bell\nowner: \x07\n")
    with pytest.raises(ConfigError, match=r"U\+0007; where: .*bell\.yaml:2, column 8; .*; remedy: remove"):
        load(configs)


def test_key_given_twice_is_refused(configs: Path) -> None:
    (configs / "feeds" / "twice.yaml").write_text("name: twice\nname: twice\n")
    with pytest.raises(ConfigError, match=r"'name' is given twice.*twice\.yaml:2"):
        load(configs)


def test_alias_bomb_is_refused(configs: Path) -> None:
    aliases = ", ".join(["*a"] * 60)
    (configs / "feeds" / "bomb.yaml").write_text(f"name: &a bomb\ncolumns: [{aliases}]\n")
    with pytest.raises(ConfigError, match="too many YAML aliases"):
        load(configs)


def test_yaml_cannot_run_code(configs: Path) -> None:
    (configs / "feeds" / "code.yaml").write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match=r"code\.yaml:1"):
        load(configs)


def test_unknown_environment_lists_the_known_ones(configs: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown environment 'moon'.*local"):
        load_project([configs], "moon")


def test_second_root_adds_files_and_a_name_given_twice_is_refused(configs: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    (more / "feeds").mkdir(parents=True)
    text = (configs / "feeds" / "plans.yaml").read_text()
    (more / "feeds" / "tariffs.yaml").write_text(text.replace("name: plans", "name: tariffs", 1))
    assert "tariffs" in load_project([configs, more], "local").feeds
    (more / "feeds" / "plans.yaml").write_text(text)
    with pytest.raises(ConfigError, match="the same name in two config folders"):
        load_project([configs, more], "other-so-that-nothing-is-cached")


def test_third_geography_is_six_lines(configs: Path) -> None:
    """A new geography needs no code: it takes over plan codes, use cases and file forms of the one it is like."""
    lines = [
        "  co:",
        "    name: Colombia",
        "    timezone: America/Bogota",
        "    currency: COP",
        "    usd_per_unit: 0.00025",
        "    like: pe",
    ]
    path = configs / "geographies.yaml"
    path.write_text(path.read_text().rstrip("\n") + "\n" + "\n".join(lines) + "\n")
    config = load(configs)
    assert config.segments("churn") == ["cl", "co", "pe"]
    assert config.geographies["co"].plan_codes == config.geographies["pe"].plan_codes
    assert (
        config.feeds["usage"].for_geography(config.geography_chain("co")).file_pattern
        == "consumo_{day}.parquet"
    )


def _add_geography(configs: Path, code: str, like: str) -> None:
    path = configs / "geographies.yaml"
    fields = "name: X\n    timezone: America/Bogota\n    currency: COP\n    usd_per_unit: 0.1"
    path.write_text(f"{path.read_text().rstrip()}\n  {code}:\n    {fields}\n    like: {like}\n")


def test_like_is_followed_to_its_end(configs: Path) -> None:
    _add_geography(configs, "co", "pe")
    _add_geography(configs, "ec", "co")
    config = load(configs)
    assert config.geographies["ec"].plan_codes == config.geographies["pe"].plan_codes
    assert config.segments("churn") == ["cl", "co", "ec", "pe"]
    assert config.geography_chain("ec") == ["ec", "co", "pe"]


def test_circle_of_geographies_is_refused_once(configs: Path) -> None:
    for code, like in (("co", "ec"), ("ec", "ve"), ("ve", "co"), ("bo", "co")):
        _add_geography(configs, code, like)
    with pytest.raises(ConfigError) as caught:
        load(configs)
    assert str(caught.value).count("goes in a circle") == 1
    assert "co -> ec -> ve -> co" in str(caught.value)


def test_override_may_add_a_model_which_inherits_the_defaults(configs: Path, edit: Edit) -> None:
    label = "{kind: event, table: etl/churn_events, horizon_days: 7}"
    model = f"{{task: binary, label: {label}, features: [avg_freq], metric: roc_auc}}"
    edit(
        "geographies.yaml",
        "    name: Peru\n",
        f"    name: Peru\n    overrides: {{churn: {{models: {{second: {model}}}}}}}\n",
    )
    config = load(configs)
    assert {m: list(s) for m, s in config.segments_by_model("churn").items()} == {
        "churn_risk": ["cl", "pe"],
        "second": ["pe"],
    }
    models = config.use_cases["churn"]["pe"].models
    assert models["second"].algorithms == models["churn_risk"].algorithms


def test_geography_override_changes_one_segment_only(configs: Path, edit: Edit) -> None:
    edit(
        "geographies.yaml",
        "    name: Peru\n",
        "    name: Peru\n    overrides: {churn: {models: {churn_risk: {gate: {floor: 0.7}}}}}\n",
    )
    use_case = load(configs).use_cases["churn"]
    assert use_case["pe"].models["churn_risk"].gate.floor == 0.7
    assert use_case["cl"].models["churn_risk"].gate.floor != 0.7


def test_listed_algorithms_replace_the_inherited_ones(configs: Path, edit: Edit) -> None:
    edit(
        "use_cases/churn.yaml",
        "    metric: roc_auc\n",
        "    metric: roc_auc\n    algorithms: {linear: {}, dummy: {}}\n",
    )
    assert set(load(configs).use_cases["churn"]["cl"].models["churn_risk"].algorithms) == {"linear", "dummy"}


def test_split_of_the_churn_use_case_is_by_time(configs: Path) -> None:
    assert isinstance(load(configs).use_cases["churn"]["cl"].corpus.split, TimeSplit)
