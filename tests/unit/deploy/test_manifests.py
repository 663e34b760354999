"""The rendered manifests: fresh, valid for the API, and as closed as promised."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from pydantic import ValidationError

from deploy.__main__ import FOLDER, cloud_environments, render_all
from deploy.cloud_run.manifests import Container
from deploy.cloud_run.render import build_manifest, check_memory, render_names, render_site
from deploy.cloud_run.roles import ROLES, ServiceRole
from deploy.cloud_run.site import Site, read_site
from mlops_assets.cli import cli
from mlops_assets.domain.errors import ConfigError
from tests.unit.deploy.conftest import container_of, pod_spec
from tests.unit.deploy.discovery import find_violations

Manifests = dict[str, dict[str, Any]]
_BY_HAND = {"dagster.yaml"}  # rendered by `mlops config render`, and kept fresh by `mlops config check`


def test_committed_files_are_fresh_and_all_there_are() -> None:
    rendered = render_all()
    assert set(rendered) == {"gcp", "staging"}
    for environment, files in rendered.items():
        folder = FOLDER / environment
        stale = [name for name, text in files.items() if (folder / name).read_text() != text]
        assert not stale, "run `make deploy-render`"
        assert {path.name for path in folder.iterdir()} - _BY_HAND == set(files), "a file that nobody renders"


def test_manifests_are_valid_for_the_api(manifests: Manifests) -> None:
    found = {name: find_violations(text, "run.v1", text["kind"]) for name, text in manifests.items()}
    assert not {name: violations for name, violations in found.items() if violations}


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        ({"spec": {"templates": {}}}, "unknown"),
        ({"spec": {"template": {"spec": {"containerConcurrency": "80"}}}}, "no integer"),
        ({"spec": {"template": {"spec": {"containers": {}}}}}, "no array"),
        ({"kind": 1}, "no string"),
    ],
)
def test_what_the_api_refuses_is_found(change: dict[str, Any], violation: str) -> None:
    (found,) = find_violations(change, "run.v1", "Service")
    assert violation in found


def test_what_only_the_server_says_is_refused() -> None:
    assert find_violations({"status": {}}, "run.v1", "Job") == ["Job.status: is for the server to say"]


def test_annotations_are_ones_that_the_api_documents(manifests: Manifests) -> None:
    import googleapiclient

    document = (
        FOLDER.__class__(googleapiclient.__file__).parent / "discovery_cache" / "documents" / "run.v1.json"
    )
    known = set(
        re.findall(r"(?:run\.googleapis\.com|autoscaling\.knative\.dev)/[A-Za-z-]+", document.read_text())
    )
    for manifest in manifests.values():
        template = manifest["spec"]["template"]["metadata"]["annotations"]
        assert set(manifest["metadata"]["annotations"]) | set(template) <= known


def test_nothing_answers_the_internet(manifests: Manifests) -> None:
    services = [manifest for manifest in manifests.values() if manifest["kind"] == "Service"]
    assert len(services) == 4
    for service in services:
        annotations = service["metadata"]["annotations"]
        assert annotations["run.googleapis.com/ingress"] in {"internal", "internal-and-cloud-load-balancing"}
        assert "run.googleapis.com/invoker-iam-disabled" not in annotations
    behind_the_proxy = {role.name for role in ROLES if isinstance(role, ServiceRole) and role.host}
    open_to_the_balancer = {
        service["metadata"]["name"]
        for service in services
        if "load-balancing" in service["metadata"]["annotations"]["run.googleapis.com/ingress"]
    }
    assert behind_the_proxy == open_to_the_balancer == {"web", "web-readonly", "mlflow"}


def test_readers_change_nothing(manifests: Manifests) -> None:
    assert "--read-only" in container_of(manifests["web-readonly"])["args"]
    (role,) = [role for role in ROLES if role.name == "web-readonly"]
    assert (role.bucket, role.landing, role.runs) == ("read", "none", "none")


def test_images_wait_for_a_digest(manifests: Manifests) -> None:
    for manifest in manifests.values():
        assert container_of(manifest)["image"] == "mlops-assets/platform@sha256:DIGEST"


@pytest.mark.parametrize(
    "image", ["registry.example/platform:latest", "registry.example/platform", "x@sha256:abc"]
)
def test_an_image_by_tag_is_no_image(image: str) -> None:
    role, site = ROLES[0], read_site(cloud_environments()[0])
    container = container_of(build_manifest(role, site).model_dump(by_alias=True))
    with pytest.raises(ValidationError, match="image"):
        Container.model_validate({**container, "image": image})


def test_secrets_are_named_never_held(manifests: Manifests, site: Site) -> None:
    for name, manifest in manifests.items():
        plain = {var["name"]: var["value"] for var in container_of(manifest)["env"] if "value" in var}
        assert plain == {"MLOPS_ENVIRONMENT": site.environment}, name
        by_reference = {
            var["name"]: var["valueFrom"]["secretKeyRef"]["name"]
            for var in container_of(manifest)["env"]
            if "valueFrom" in var
        }
        assert by_reference.items() <= site.secrets.items()
        assert "MLOPS_DATABASE_PASSWORD" in by_reference


def test_only_who_sends_mail_reads_its_password(manifests: Manifests, site: Site) -> None:
    readers = {
        name
        for name, manifest in manifests.items()
        for var in container_of(manifest)["env"]
        if var["name"] == "MLOPS_SMTP_PASSWORD"
    }
    assert readers == ({"daemon", "agent-updater"} if "MLOPS_SMTP_PASSWORD" in site.secrets else set())


def test_every_role_has_an_account_of_its_own(manifests: Manifests, site: Site) -> None:
    accounts = {name: pod_spec(manifest)["serviceAccountName"] for name, manifest in manifests.items()}
    runs = {accounts.pop(name) for name in ("run-s", "run-m", "run-l")}
    assert len(runs) == 1
    assert len({*accounts.values(), *runs}) == len(accounts) + 1
    assert all(
        re.fullmatch(rf"mlops-[a-z-]+@{site.project}\.iam\.gserviceaccount\.com", a)
        for a in accounts.values()
    )


def test_jobs_are_never_tried_again_by_cloud_run(manifests: Manifests) -> None:
    jobs = [manifest for manifest in manifests.values() if manifest["kind"] == "Job"]
    assert len(jobs) == 6
    assert {pod_spec(job)["maxRetries"] for job in jobs} == {0}


def test_one_daemon(manifests: Manifests) -> None:
    annotations = manifests["daemon"]["metadata"]["annotations"]
    assert manifests["daemon"]["kind"] == "WorkerPool"
    assert annotations["run.googleapis.com/manualInstanceCount"] == "1"


def test_sizes_are_ones_that_cloud_run_has(manifests: Manifests) -> None:
    for manifest in manifests.values():
        limits = container_of(manifest)["resources"]["limits"]
        cpu, memory = int(limits["cpu"]), int(limits["memory"].removesuffix("Gi"))
        assert cpu in {1, 2, 4, 8}
        assert memory <= 4 * cpu


def test_runs_outlast_the_limit_of_dagster(manifests: Manifests, site: Site) -> None:
    import yaml

    settings = yaml.safe_load((FOLDER / site.environment / "dagster.yaml").read_text())
    for size in "sml":
        limit_s = int(pod_spec(manifests[f"run-{size}"])["timeoutSeconds"])
        assert limit_s > settings["run_monitoring"]["max_runtime_seconds"], (
            "Dagster has to be the one that says so"
        )


def test_what_is_started_exists(manifests: Manifests) -> None:
    for name, manifest in manifests.items():
        program, *words = container_of(manifest)["args"]
        assert program in {"mlops", "dagster-webserver"}
        if program != "mlops":
            continue
        command: click.Command = cli
        while words and isinstance(command, click.Group) and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{name}: {words}"
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= {*options, "--help"}, name


def test_an_environment_that_is_no_cloud_is_refused() -> None:
    environment = cloud_environments()[0]
    local = environment.database.model_copy(update={"host": "127.0.0.1"})
    with pytest.raises(ConfigError, match="not a Cloud SQL instance"):
        read_site(environment.model_copy(update={"database": local}))
    nameless = environment.registry.model_copy(update={"pages_url": ""})
    with pytest.raises(ConfigError, match="host name"):
        read_site(environment.model_copy(update={"registry": nameless}))


def test_runs_are_started_where_their_jobs_are(manifests: Manifests, site: Site) -> None:
    (environment,) = [found for found in cloud_environments() if found.name == site.environment]
    assert {environment.runs.jobs.s, environment.runs.jobs.m, environment.runs.jobs.l} == {
        name for name in manifests if name.startswith("run-")
    }
    elsewhere = environment.runs.model_copy(update={"region": "europe-west1"})
    with pytest.raises(ConfigError, match="different places"):
        read_site(environment.model_copy(update={"runs": elsewhere}))


def test_runs_that_would_not_fit_are_refused(site: Site) -> None:
    check_memory(site, ROLES)
    with pytest.raises(ConfigError, match="too small"):
        check_memory(site.model_copy(update={"engine_gb": 30.0}), ROLES)
    with pytest.raises(ConfigError, match="too small"):
        render_site(site.model_copy(update={"cache_gb": 60.0}), ROLES)


def test_roles_of_one_account_may_do_the_same(site: Site) -> None:
    """The account is granted what its first role may do: another one's rights would be missing, or too wide."""
    (run_s,) = [role for role in ROLES if role.name == "run-s"]
    reader = run_s.model_copy(update={"name": "run-r", "bucket": "read"})
    with pytest.raises(ConfigError, match=r"mlops-run.*run-r"):
        render_names(site, (*ROLES, reader))
