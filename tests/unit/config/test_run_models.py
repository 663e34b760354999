"""The section `runs`: what it refuses, and what becomes of it in dagster.yaml."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from mlops_assets.config.loader import load_project_with_sources
from mlops_assets.config.run_models import RunsConfig
from mlops_assets.domain.errors import PlatformError
from resources.dagster_instance import render_instance
from resources.run_worker import execution_name, require_run_id

CLOUD = {"kind": "cloud_run", "project": "some-project", "region": "europe-west1"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "cloud_run"},
        {**CLOUD, "project": ""},
        {**CLOUD, "region": ""},
        {**CLOUD, "project": "Some/../project"},
        {**CLOUD, "region": "europe-west1/jobs"},
        {**CLOUD, "jobs": {"s": "Run S"}},
        {**CLOUD, "jobs": {"xl": "run-xl"}},
        {**CLOUD, "default_size": "xl"},
        {**CLOUD, "patience_s": 0},
    ],
)
def test_what_cannot_be_launched_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunsConfig.model_validate(wrong)


@pytest.mark.parametrize("name", ["gcp", "staging"])
def test_a_cloud_environment_launches_in_cloud_run(name: str) -> None:
    environment = load_project_with_sources().environments[name]
    launcher = yaml.safe_load(render_instance(environment))["run_launcher"]
    assert launcher["module"] == "resources.cloud_run_launcher"
    assert launcher["config"]["project"] == environment.runs.project
    assert launcher["config"]["jobs"] == {"s": "run-s", "m": "run-m", "l": "run-l"}


def test_a_worker_knows_its_execution_from_cloud_run_only() -> None:
    variables = {"CLOUD_RUN_JOB": "run-s", "CLOUD_RUN_EXECUTION": "run-s-abc"}
    runs = RunsConfig.model_validate(CLOUD)
    expected = "projects/some-project/locations/europe-west1/jobs/run-s/executions/run-s-abc"
    assert execution_name(runs, variables) == expected
    assert execution_name(runs, {}) is None
    assert execution_name(RunsConfig(), variables) is None


@pytest.mark.parametrize(
    "value", ["", "../x", "0f0f0f0f-1111-4222-8333-444455556666\n", "'; DROP TABLE runs"]
)
def test_what_is_no_run_id_is_refused(value: str) -> None:
    with pytest.raises(PlatformError, match="not the id of a run"):
        require_run_id(value)
