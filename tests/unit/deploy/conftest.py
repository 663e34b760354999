"""What tests of the deployment share: the rendered files as they are committed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from deploy.__main__ import FOLDER, cloud_environments
from deploy.cloud_run.roles import ROLES
from deploy.cloud_run.site import Site, read_site

ENVIRONMENTS = [environment.name for environment in cloud_environments()]


@pytest.fixture(params=ENVIRONMENTS)
def site(request: pytest.FixtureRequest) -> Site:
    """Each deployment in turn."""
    (environment,) = [found for found in cloud_environments() if found.name == request.param]
    return read_site(environment)


@pytest.fixture
def manifests(site: Site) -> dict[str, dict[str, Any]]:
    """The committed manifests of a deployment, by role."""
    folder = FOLDER / site.environment
    return {role.name: yaml.safe_load((folder / f"{role.name}.yaml").read_text()) for role in ROLES}


def pod_spec(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a manifest that names account and containers."""
    spec: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return spec["template"]["spec"] if manifest["kind"] == "Job" else spec


def container_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the one container of a manifest."""
    (found,) = pod_spec(manifest)["containers"]
    return dict(found)
