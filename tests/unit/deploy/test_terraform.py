"""What Terraform makes beforehand: it parses, it is as closed as promised, and it fits the manifests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from deploy.__main__ import FOLDER
from deploy.cloud_run.roles import ROLES, JobRole, PoolRole, ServiceRole
from deploy.cloud_run.site import Site
from mlops_assets.config.loader import load_project
from tests.unit.deploy.conftest import container_of, pod_spec

TERRAFORM = FOLDER / "terraform"
FILES = sorted(TERRAFORM.glob("*.tf"))
Block = dict[str, Any]


def _plain(value: Any) -> Any:
    """Return a parsed value without the quotes and marks that the parser leaves."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.strip('"') if isinstance(value, str) else value


def _parsed() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for file in FILES:
        for kind, blocks in _plain(hcl2.loads(file.read_text())).items():
            found.setdefault(kind, []).extend(blocks)
    return found


def _resources(kind: str = "") -> Iterator[tuple[str, str, Block]]:
    for block in _parsed()["resource"]:
        for found, named in block.items():
            if found.startswith(kind):
                yield from ((found, name, body) for name, body in named.items())


def _text() -> str:
    """Return all files without comments."""
    return re.sub(r"^\s*#.*$", "", "\n".join(file.read_text() for file in FILES), flags=re.MULTILINE)


def _names(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / site.environment / "terraform.tfvars.json").read_text())
    return found


# ---------------------------------------------------------------- closed
def test_nobody_is_everybody() -> None:
    assert not re.search(r"allUsers|allAuthenticatedUsers", _text())


def test_no_role_is_one_that_may_do_everything() -> None:
    roles = set(re.findall(r"roles/[A-Za-z0-9.]+", _text()))
    assert len(roles) > 10
    assert not [role for role in roles if re.search(r"(owner|editor|viewer)$", role) and role.count(".") == 0]
    administrators = {role for role in roles if role.lower().endswith("admin")}
    assert administrators == {"roles/ondemandscanning.admin"}, "the scanner has no smaller role that may scan"


def test_no_account_of_the_platform_may_do_more_than_its_role_on_the_whole_project() -> None:
    wide = {
        body["role"]
        for _, name, body in _resources("google_project_iam_member")
        if not name.startswith("release")
    }
    assert wide == {"roles/cloudsql.client", "roles/logging.logWriter"}


def test_no_secret_and_no_key_passes_through() -> None:
    kinds = {kind for kind, _, _ in _resources()}
    assert not kinds & {
        "google_secret_manager_secret_version",
        "google_service_account_key",
        "google_sql_user",
    }
    assert not re.search(r"secret_data|private_key\s*=|\bpassword\s*=", _text())


def test_buckets_are_private_and_keep_versions() -> None:
    buckets = list(_resources("google_storage_bucket"))
    found = [(name, body) for kind, name, body in buckets if kind == "google_storage_bucket"]
    assert {name for name, _ in found} == {"data", "releases"}
    for name, body in found:
        assert body["uniform_bucket_level_access"] is True, name
        assert body["public_access_prevention"] == "enforced", name
        assert body["versioning"] == [{"enabled": True}], name
        assert body["force_destroy"] is False, name


def test_the_database_is_private_and_can_be_brought_back() -> None:
    ((_, _, body),) = _resources("google_sql_database_instance")
    (settings,) = body["settings"]
    (address,), (backup,) = settings["ip_configuration"], settings["backup_configuration"]
    assert address["ipv4_enabled"] is False
    assert "authorized_networks" not in address
    assert settings["connector_enforcement"] == "REQUIRED"
    assert (backup["enabled"], backup["point_in_time_recovery_enabled"]) == (True, True)
    assert backup["transaction_log_retention_days"] == 7
    assert body["deletion_protection"] is True
    assert body["lifecycle"][0]["prevent_destroy"] is True


def test_pages_are_behind_the_proxy_that_asks_who_comes() -> None:
    ((_, _, backend),) = _resources("google_compute_backend_service")
    assert backend["iap"] == [{"enabled": True}]
    ((_, _, rule),) = _resources("google_compute_global_forwarding_rule")
    assert rule["port_range"] == "443"
    invokers = {
        name: body["member"] for _, name, body in _resources("google_cloud_run_v2_service_iam_member")
    }
    assert invokers == {"pages": "${google_project_service_identity.iap.member}", "scoring": "${each.value}"}


def test_production_waits_for_a_person() -> None:
    triggers = {name: body for _, name, body in _resources("google_cloudbuild_trigger")}
    assert triggers["production"]["approval_config"] == [{"approval_required": True}]
    assert triggers["production"]["filename"] == "deploy/cloudbuild-production.yaml"
    assert triggers["staging"]["filename"] == "deploy/cloudbuild.yaml"


def test_what_is_granted_rights_is_made_before() -> None:
    local = {name: value for block in _parsed()["locals"] for name, value in block.items()}
    assert "google_service_account.release[0].member" in local["release"]
    ((_, _, pulls),) = [found for found in _resources() if found[1] == "pulls"]
    assert {one.strip("${}") for one in pulls["depends_on"]} == {
        "google_artifact_registry_repository.images",
        "google_project_service.used",
    }


@pytest.mark.parametrize(
    ("trigger", "build"), [("staging", "cloudbuild.yaml"), ("production", "cloudbuild-production.yaml")]
)
def test_triggers_give_builds_what_they_ask_for(trigger: str, build: str) -> None:
    (given,) = [
        body["substitutions"] for _, name, body in _resources("google_cloudbuild_trigger") if name == trigger
    ]
    assert set(given) == set(yaml.safe_load((FOLDER / build).read_text())["substitutions"])


def test_images_are_named_by_digest() -> None:
    variables = {name: body for block in _parsed()["variable"] for name, body in block.items()}
    images = variables["build_images"]
    assert "default" not in images
    ((kept,),) = (set(re.findall(r"regex\(\"(.*?)\"", one["condition"])) for one in images["validation"])
    assert re.search(kept, f"host/name@sha256:{'0f' * 32}")
    for other in ("host/name:3.11", "host/name@sha256:0f", f"host/name@sha256:{'0F' * 32}", ""):
        assert not re.search(kept, other)


def test_every_image_of_a_build_is_one_of_those() -> None:
    kinds = re.search(r'variable "build_images" \{.*?object\(\{(.*?)\}\)', _text(), re.DOTALL)
    assert kinds is not None
    declared = set(re.findall(r"(\w+)\s*= string", kinds[1]))
    given = [body["substitutions"] for _, _, body in _resources("google_cloudbuild_trigger")]
    of_steps = {
        (name, value) for one in given for name, value in one.items() if name.endswith("_IMAGE") and value
    }
    assert of_steps == {("_IMAGE", "${var.image}")} | {
        (f"_{kind.upper()}_IMAGE", f"${{var.build_images.{kind}}}") for kind in declared
    }


# ---------------------------------------------------------------- fitting
def test_variables_are_declared_and_used() -> None:
    declared = {name for block in _parsed()["variable"] for name in block}
    assert set(re.findall(r"\bvar\.([a-z_]+)", _text())) - declared == set()
    assert {name for name in declared if not re.search(rf"var\.{name}\b", _text())} == set()


def test_names_are_those_that_terraform_knows(site: Site) -> None:
    files = _plain(hcl2.loads((TERRAFORM / "names.tf").read_text()))["variable"]
    assert {name for block in files for name in block} == set(_names(site))


def test_accounts_of_manifests_and_of_terraform_are_the_same(
    manifests: dict[str, dict[str, Any]], site: Site
) -> None:
    named = {pod_spec(manifest)["serviceAccountName"] for manifest in manifests.values()}
    assert named == {site.account(name) for name in _names(site)["accounts"]}
    ((_, _, body),) = [found for found in _resources("google_service_account") if found[1] == "role"]
    assert (body["for_each"], body["account_id"]) == ("${var.accounts}", "${each.key}")
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", name) for name in _names(site)["accounts"])


def test_secrets_of_manifests_and_of_terraform_are_the_same(
    manifests: dict[str, dict[str, Any]], site: Site
) -> None:
    read: dict[str, set[str]] = {}
    for manifest in manifests.values():
        account = pod_spec(manifest)["serviceAccountName"].partition("@")[0]
        found = [
            var["valueFrom"]["secretKeyRef"]["name"]
            for var in container_of(manifest)["env"]
            if "valueFrom" in var
        ]
        read.setdefault(account, set()).update(found)
    assert read == {name: set(account["secrets"]) for name, account in _names(site)["accounts"].items()}
    assert set().union(*read.values()) == set(_names(site)["secrets"])


def test_buckets_and_databases_are_those_of_the_environment(site: Site) -> None:
    environment, names = load_project(environment=site.environment).environment, _names(site)
    assert (names["bucket"], names["landing_bucket"]) == (
        environment.storage.bucket,
        environment.storage.landing_bucket,
    )
    database = environment.database
    assert set(names["databases"]) == {database.platform, database.dagster, database.mlflow}
    assert f"/cloudsql/{names['project']}:{names['region']}:{names['instance']}" == database.host


def test_environments_share_nothing_but_the_image() -> None:
    gcp, staging = (
        json.loads((FOLDER / name / "terraform.tfvars.json").read_text()) for name in ("gcp", "staging")
    )
    for name in ("project", "bucket", "landing_bucket", "domain"):
        assert gcp[name] != staging[name], name


def test_only_the_daemon_starts_runs_and_only_runs_write(site: Site) -> None:
    accounts = _names(site)["accounts"]
    assert {name for name, account in accounts.items() if account["runs"] == "launch"} == {"mlops-daemon"}
    assert {name for name, account in accounts.items() if account["bucket"] == "write"} == {
        "mlops-run",
        "mlops-agent-updater",
    }
    assert {name for name, account in accounts.items() if account["landing"] == "write"} == set()


def test_jobs_and_services_that_are_granted_exist() -> None:
    roles = {role.name for role in ROLES}
    granted = {body["name"] for _, _, body in _resources("google_cloud_run_v2")}
    assert {name for name in granted if "$" not in name} <= roles
    assert granted == {"scoring", "agent-updater", "${each.key}", "${each.value.job}"}
    ((_, _, job),) = _resources("google_cloud_scheduler_job")
    assert job["http_target"][0]["uri"].endswith("/jobs/agent-updater:run")


def test_every_metric_of_the_log_is_made() -> None:
    metrics = yaml.safe_load((FOLDER / "log_metrics.yaml").read_text())["metrics"]
    assert "mlops_mails_dead" in {metric["name"] for metric in metrics}, "the alarm watches it"
    for metric in metrics:
        descriptor = metric["metricDescriptor"]
        assert set(metric) <= {
            "name", "description", "filter", "metricDescriptor", "labelExtractors", "valueExtractor",
        }, "metrics.tf passes on no other key"  # fmt: skip
        assert set(descriptor) == {"metricKind", "valueType", "labels"}, metric["name"]


def test_a_mail_is_missed_whoever_gave_it_up() -> None:
    """Every kind of role that sends mails writes the line, under a resource type of its own."""
    types = {ServiceRole: "cloud_run_revision", JobRole: "cloud_run_job", PoolRole: "cloud_run_worker_pool"}
    ((_, _, alarm),) = _resources("google_monitoring_alert_policy")
    ((conditions,),) = (list(one.values()) for one in alarm["dynamic"])
    ((watched, _),) = re.findall(r"toset\(\[(.*?)\](\))", conditions["for_each"])
    assert set(re.findall(r"\w+", watched)) == {types[type(role)] for role in ROLES if role.sends_mail}
    ((threshold,),) = ([one["condition_threshold"][0]] for one in conditions["content"])
    assert "${conditions.value}" in threshold["filter"]


def test_files_say_what_they_are_for() -> None:
    assert [file.name for file in FILES if not file.read_text().startswith("# ")] == []
    assert Path(TERRAFORM / "versions.tf") in FILES
