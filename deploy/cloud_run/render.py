"""From roles and a site to manifests, and to the names and rights that Terraform grants.

Belongs here: composing, and the text of the files. Does not belong here: what a role is (roles), or filling in what a
release knows (release).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence

import yaml

from deploy.cloud_run.manifests import (
    Container,
    ContainerPort,
    EnvVar,
    ExecutionSpec,
    ExecutionTemplate,
    HttpGet,
    InstanceSplit,
    Job,
    JobSpec,
    Manifest,
    Metadata,
    Probe,
    Resources,
    RevisionSpec,
    RevisionTemplate,
    SecretKeyRef,
    Service,
    ServiceSpec,
    TaskSpec,
    TaskTemplate,
    TrafficTarget,
    ValueFrom,
    WorkerPool,
    WorkerPoolSpec,
)
from deploy.cloud_run.roles import GIB_PER_CPU, PORT, JobRole, PoolRole, Role, ServiceRole
from deploy.cloud_run.site import REPOSITORY, Site
from mlops_assets.domain.errors import ConfigError

NETWORK = "mlops-assets"
_PREFIX = "run.googleapis.com"
_PYTHON_GB = 1.0  # a process with our libraries loaded, beside what the engine takes
_GB_PER_GIB = 1.073741824
_PROBE_S = 5


def render_site(site: Site, roles: Iterable[Role]) -> dict[str, str]:
    """Return the text of every file of an environment by its name, dagster.yaml excepted.

    Raises:
        ConfigError: a run of the environment does not fit into its sizes, or roles of one account differ in rights.
    """
    chosen = tuple(roles)
    check_memory(site, chosen)
    files = {f"{role.name}.yaml": render_manifest(build_manifest(role, site)) for role in chosen}
    return {**files, "terraform.tfvars.json": render_names(site, chosen)}


def render_manifest(manifest: Manifest) -> str:
    """Return a manifest as YAML, as `gcloud run ... replace` reads it."""
    content = manifest.model_dump(by_alias=True, exclude_none=True, mode="json")
    header = (
        "# Rendered by `make deploy-render` from deploy/cloud_run and configs/environments; edit those.\n"
    )
    return header + yaml.safe_dump(content, sort_keys=False, width=110)


def build_manifest(role: Role, site: Site) -> Manifest:
    """Return the manifest of a role."""
    if isinstance(role, ServiceRole):
        return _service(role, site)
    if isinstance(role, PoolRole):
        return _pool(role, site)
    assert isinstance(role, JobRole)  # noqa: S101 - there is no fourth kind
    return _job(role, site)


def cpus(role: Role, site: Site) -> int:
    """Return the cores of a role."""
    return role.cpu or max(1, math.floor(site.cores * role.cpu_share))


def memory_gib(role: Role, site: Site) -> int:
    """Return the memory of a role, GiB."""
    return role.memory_gib or GIB_PER_CPU * cpus(role, site)


def role_secrets(role: Role, site: Site) -> dict[str, str]:
    """Return the secrets that a role reads, by environment variable."""
    database, *mail = site.secrets.items()
    return dict(([database] if role.has_database else []) + (mail if role.sends_mail else []))


def check_memory(site: Site, roles: Iterable[Role]) -> None:
    """Refuse sizes that the engine's limit, or in the largest one its local copies as well, would overfill."""
    sizes = [memory_gib(role, site) * _GB_PER_GIB for role in roles if role.account == "run"]
    needed_gb = site.engine_gb + _PYTHON_GB
    if min(sizes) < needed_gb or max(sizes) < needed_gb + site.cache_gb:
        raise ConfigError(
            f"runs of {min(sizes):.1f} to {max(sizes):.1f} GB are too small for the environment",
            where=f"configs/environments/{site.environment}.yaml",
            expected=f"at least {needed_gb:.1f} GB in the smallest, {needed_gb + site.cache_gb:.1f} GB in the largest",
            remedy="raise executor.cores, or lower engine.memory_limit or storage.cache_gb (it counts twice)",
        )


def render_names(site: Site, roles: Sequence[Role]) -> str:
    """Return the variables of deploy/terraform for an environment, as JSON: names and rights, never a secret.

    Raises:
        ConfigError: two roles of one account may do different things.
    """
    rights: dict[str, dict[str, object]] = {}
    for role in roles:
        names = [other.name for other in roles if other.account_name == role.account_name]
        found = {
            "description": f"Identity of {', '.join(names)}.",
            "bucket": role.bucket,
            "landing": role.landing,
            "runs": role.runs,
            "has_database": role.has_database,
            "secrets": sorted(role_secrets(role, site).values()),
        }
        if rights.setdefault(role.account_name, found) != found:
            raise ConfigError(
                f"the roles of the account {role.account_name} have different rights",
                where=f"deploy/cloud_run/roles.py, {role.name}",
                expected="the same rights, or an account of its own",
            )
    hosts = {role.name: role.host for role in roles if isinstance(role, ServiceRole) and role.host}
    content = {
        "environment": site.environment,
        "project": site.project,
        "region": site.region,
        "network": NETWORK,
        "repository": REPOSITORY,
        "instance": site.instance,
        "databases": list(site.databases),
        "bucket": site.bucket,
        "landing_bucket": site.landing_bucket,
        "domain": site.domain,
        "pages": hosts,
        "run_jobs": [role.name for role in roles if role.account == "run"],
        "secrets": sorted(site.secrets.values()),
        "accounts": rights,
    }
    return json.dumps(content, indent=2) + "\n"


def _service(role: ServiceRole, site: Site) -> Service:
    annotations = {
        "autoscaling.knative.dev/minScale": str(role.least),
        "autoscaling.knative.dev/maxScale": str(role.most),
        f"{_PREFIX}/cpu-throttling": str(not role.always_on).lower(),
        f"{_PREFIX}/startup-cpu-boost": "true",
    }
    return Service(
        metadata=_metadata(role, site, {f"{_PREFIX}/ingress": role.ingress}),
        spec=ServiceSpec(
            template=RevisionTemplate(
                metadata=Metadata(annotations={**_connections(role, site), **annotations}),
                spec=RevisionSpec(
                    service_account_name=site.account(role.account_name),
                    container_concurrency=role.concurrency,
                    timeout_seconds=role.timeout_s,
                    containers=[
                        _container(role, site, alive=role.alive, ready=role.ready, start_s=role.start_s)
                    ],
                ),
            ),
            traffic=[TrafficTarget(latest_revision=True, percent=100)],
        ),
    )


def _pool(role: PoolRole, site: Site) -> WorkerPool:
    scaling = {f"{_PREFIX}/scalingMode": "manual", f"{_PREFIX}/manualInstanceCount": "1"}
    container = _container(role, site, alive=role.alive, ready=role.alive, start_s=role.start_s)
    return WorkerPool(
        metadata=_metadata(role, site, scaling),
        spec=WorkerPoolSpec(
            template=RevisionTemplate(
                metadata=Metadata(annotations=_connections(role, site)),
                spec=RevisionSpec(
                    service_account_name=site.account(role.account_name),
                    containers=[container.model_copy(update={"ports": None})],
                ),
            ),
            instance_splits=[InstanceSplit()],
        ),
    )


def _job(role: JobRole, site: Site) -> Job:
    task = TaskSpec(
        service_account_name=site.account(role.account_name),
        max_retries=0,
        timeout_seconds=str(role.timeout_s),
        containers=[_container(role, site)],
    )
    return Job(
        metadata=_metadata(role, site, {}),
        spec=JobSpec(
            template=ExecutionTemplate(
                metadata=Metadata(annotations=_connections(role, site)),
                spec=ExecutionSpec(template=TaskTemplate(spec=task)),
            )
        ),
    )


def _metadata(role: Role, site: Site, annotations: Mapping[str, str]) -> Metadata:
    return Metadata(
        name=role.name,
        labels={"cloud.googleapis.com/location": site.region, "app": NETWORK},
        annotations={f"{_PREFIX}/description": role.description, **annotations},
    )


def _connections(role: Role, site: Site) -> dict[str, str]:
    """Return how a role reaches the database: through the socket, over the private network."""
    if not role.has_database:
        return {}
    interface = json.dumps([{"network": NETWORK, "subnetwork": NETWORK}], separators=(",", ":"))
    return {
        f"{_PREFIX}/execution-environment": "gen2",
        f"{_PREFIX}/cloudsql-instances": site.connection,
        f"{_PREFIX}/network-interfaces": interface,
        f"{_PREFIX}/vpc-access-egress": "private-ranges-only",
    }


def _container(role: Role, site: Site, *, alive: str = "", ready: str = "", start_s: int = 0) -> Container:
    secrets = [
        EnvVar(name=variable, value_from=ValueFrom(secret_key_ref=SecretKeyRef(name=secret)))
        for variable, secret in sorted(role_secrets(role, site).items())
    ]
    return Container(
        image=site.image,
        args=list(role.args),
        ports=[ContainerPort(container_port=PORT)] if ready else None,
        env=[EnvVar(name="MLOPS_ENVIRONMENT", value=site.environment), *secrets],
        resources=Resources(limits={"cpu": str(cpus(role, site)), "memory": f"{memory_gib(role, site)}Gi"}),
        startup_probe=_probe(ready, failures=math.ceil(start_s / _PROBE_S)) if ready else None,
        liveness_probe=_probe(alive, failures=6) if alive else None,
    )


def _probe(path: str, *, failures: int) -> Probe:
    return Probe(
        http_get=HttpGet(path=path, port=PORT),
        period_seconds=_PROBE_S,
        timeout_seconds=_PROBE_S - 1,
        failure_threshold=failures,
    )
