"""Segments that differ by an override: versions, models and owners of the assets that they share."""

import dagster as dg
import pytest

from mlops_assets.assets.learning import build_learning_assets
from mlops_assets.assets.partitions import daily_partitions
from mlops_assets.assets.reports import build_report_assets
from mlops_assets.assets.scores import build_score_assets
from mlops_assets.config.loader import load_project
from mlops_assets.config.models import ProjectConfig
from mlops_assets.definitions import build_defs

MODEL = "churn_risk"
# As in mlops_assets.definitions.build_defs, where it says why.
pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.PreviewWarning"),
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
]


def override(segment: str, *, corpus: dict | None = None, model: dict | None = None) -> ProjectConfig:
    """Return the project with other settings in one segment."""
    config = load_project()
    use_case = config.use_cases["churn"][segment]
    changed = use_case.model_copy(
        update={
            "corpus": use_case.corpus.model_copy(update=corpus or {}),
            "models": {MODEL: use_case.models[MODEL].model_copy(update=model or {})},
        }
    )
    return with_segment(config, segment, changed)


def with_segment(config: ProjectConfig, segment: str, use_case: object) -> ProjectConfig:
    """Return the project with one segment of the churn use case replaced."""
    segments = {**config.use_cases["churn"], segment: use_case}
    return config.model_copy(update={"use_cases": {**config.use_cases, "churn": segments}})


def with_second_model(segment: str) -> ProjectConfig:
    """Return the project with a model that only one segment has."""
    config = load_project()
    use_case = config.use_cases["churn"][segment]
    models = {**use_case.models, "second": use_case.models[MODEL]}
    return with_segment(config, segment, use_case.model_copy(update={"models": models}))


def versions(config: ProjectConfig) -> dict[str, str | None]:
    """Return the code version of every learned asset of the churn use case."""
    days = daily_partitions(config.environment.calendar)
    assets = [
        *build_learning_assets(config),
        *build_score_assets(config, days),
        *build_report_assets(config),
    ]
    churn = [asset for asset in assets if "churn" in asset.key.path]
    return {asset.key.path[0]: asset.code_versions_by_key[asset.key] for asset in churn}


@pytest.mark.parametrize("segment", ["cl", "pe"])
@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"corpus": {"min_history_days": 21}}, {"corpus", "scores", "reports"}),
        ({"model": {"seed": 88}}, {"model", "champion", "reports"}),
        ({"model": {"features": ["avg_freq"]}}, {"corpus", "model", "reports"}),
        ({"model": {"business": None}}, {"champion", "reports"}),
    ],
)
def test_override_of_any_segment_changes_the_versions_it_touches(
    segment: str, changes: dict[str, dict], stale: set[str]
) -> None:
    before, after = versions(load_project()), versions(override(segment, **changes))
    assert {stage for stage in before if before[stage] != after[stage]} == stale


@pytest.mark.parametrize("segment", ["cl", "pe"])
def test_model_of_one_segment_has_its_assets(segment: str) -> None:
    definitions = build_defs(with_second_model(segment))
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    wanted = {f"{stage}/churn/second" for stage in ("corpus", "model", "champion", "scores")}
    assert wanted | {"reports/churn/second_card"} <= keys
    job = definitions.resolve_job_def("train_and_promote_churn")
    assert dg.AssetKey(["champion", "churn", "second"]) in job.asset_layer.executable_asset_keys


def test_segment_without_the_model_is_passed_over() -> None:
    config = with_second_model("pe")
    assets = [*build_learning_assets(config), *build_report_assets(config)]
    second = [asset for asset in assets if "second" in asset.key.path[-1]]
    names = {name for asset in second for name in asset.required_resource_keys}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            second,
            partition_key="cl",
            instance=instance,
            resources=dict.fromkeys(names - {"io_manager"}, "-"),
        )
    assert result.success
    assert result.get_asset_materialization_events() == []
