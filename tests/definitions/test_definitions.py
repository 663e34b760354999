"""Every configuration loads without credentials, and the graph is what its snapshot says."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.config.loader import PROJECT_CONFIGS, load_project
from mlops_assets.definitions import build_defs

SNAPSHOT = Path(__file__).parent / "graph_snapshot.json"
HEAVY = ("pandas", "sklearn", "catboost", "mlflow", "ibis", "duckdb", "matplotlib", "prophet", "skops")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    """The project's graph."""
    return build_defs(load_project())


@pytest.mark.disable_socket
@pytest.mark.parametrize(
    "environment", sorted(p.stem for p in (PROJECT_CONFIGS / "environments").glob("*.yaml"))
)
def test_every_environment_loads(environment: str) -> None:
    config = load_project(environment=environment)
    dg.Definitions.validate_loadable(build_defs(config))


def describe(definitions: dg.Definitions) -> dict[str, object]:
    """Return what users see of the graph: assets with group and dependencies, checks, jobs, sensors."""
    graph = definitions.resolve_asset_graph()
    assets = {
        key.to_user_string(): {
            "group": graph.get(key).group_name,
            "owners": sorted(graph.get(key).owners),
            "partitions": type(graph.get(key).partitions_def).__name__,
            "after": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
        }
        for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.to_user_string())
    }
    repository = definitions.get_repository_def()
    return {
        "assets": assets,
        "checks": sorted(f"{k.asset_key.to_user_string()}:{k.name}" for k in graph.asset_check_keys),
        "blocking_checks": sorted(
            f"{k.asset_key.to_user_string()}:{k.name}"
            for k in graph.asset_check_keys
            if graph.get(k).blocking
        ),
        "jobs": sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
    }


def test_graph_is_as_recorded(definitions: dg.Definitions) -> None:
    """To record a wanted change: python -m tests.definitions.test_definitions."""
    assert describe(definitions) == json.loads(SNAPSHOT.read_text())


def test_every_asset_says_whose_it_is_and_what_it_means(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners, key
        for word in ("Grain", "Freshness", "On failure"):
            assert word in (node.description or ""), (
                f"{key.to_user_string()} does not tell its {word.lower()}"
            )


def test_loading_stays_light() -> None:
    """The code server imports the definitions for every run; heavy libraries wait until a step needs them."""
    code = (
        "import sys, json, mlops_assets.definitions; "
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & set(HEAVY)
    assert done.stderr == ""


def test_sensors_run_by_themselves(definitions: dg.Definitions) -> None:
    for sensor in definitions.get_repository_def().sensor_defs:
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(describe(build_defs(load_project())), indent=1, sort_keys=True) + "\n")
