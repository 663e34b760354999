"""What is imported of past days rests on nothing that is not."""

import dagster as dg

from mlops_assets.config import names
from mlops_assets.definitions import defs


def daily_graph() -> tuple[dg.JobDefinition, set[dg.AssetKey]]:
    """Return the daily job and the assets that it builds."""
    job = defs.resolve_job_def(names.DAILY_JOB)
    return job, set(job.asset_layer.executable_asset_keys)


def test_history_has_all_that_it_is_made_from() -> None:
    """Otherwise tables and verdicts of imported days would differ from those of days that were lived."""
    job, keys = daily_graph()
    history = {key for key in keys if names.is_history(key.path)}
    assert history > {
        dg.AssetKey(["etl", "subscriber_features"]),
        dg.AssetKey(["quality", "plan_usage", "drift"]),
    }
    graph = job.asset_layer.asset_graph
    for key in history - {dg.AssetKey(names.DAY_LOG_KEY)}:
        lacking = {parent for parent in graph.get(key).parent_keys if parent in keys} - history
        assert not lacking, f"{key} is made from {lacking}, which is not imported"


def test_history_has_nothing_for_people() -> None:
    _, keys = daily_graph()
    stages = {key.path[0] for key in keys if not names.is_history(key.path)}
    assert stages >= {"scores", "offers", "reports", "alerts"}
    assert [key for key in keys if names.is_history(key.path) and key.path[0] == "reports"] == [
        dg.AssetKey(names.DAY_LOG_KEY)
    ]
