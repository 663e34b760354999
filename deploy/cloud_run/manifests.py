"""The part of Cloud Run's YAML that we use, as types.

Belongs here: shapes and fixed words of run.googleapis.com/v1 and serving.knative.dev/v1, which `gcloud run services
replace`, `jobs replace` and `worker-pools replace` read. Does not belong here: any value of ours (roles, rendering).

Source: the API's discovery document run.v1, against which tests validate every rendered file.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from mlops_assets.domain.model_base import Record

# A tag could be moved to another image; a digest cannot.
ImageByDigest = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]*@sha256:([0-9a-f]{64}|DIGEST)$")]


class Part(Record):
    """A piece of a manifest: snake_case here, camelCase in YAML."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class SecretKeyRef(Part):
    """The last version of a secret in Secret Manager; what rotation means is in docs/runbook.md."""

    name: str
    key: Literal["latest"] = "latest"


class ValueFrom(Part):
    """Where a variable's value comes from."""

    secret_key_ref: SecretKeyRef


class EnvVar(Part):
    """An environment variable: with a plain value, or from a secret."""

    name: str
    value: str | None = None
    value_from: ValueFrom | None = None


class HttpGet(Part):
    """What a probe asks for."""

    path: str
    port: int


class Probe(Part):
    """When a container counts as started or alive; seconds."""

    http_get: HttpGet
    period_seconds: int
    timeout_seconds: int
    failure_threshold: int


class ContainerPort(Part):
    """The port that requests come to."""

    container_port: int


class Resources(Part):
    """Limits of a container: `cpu` in cores, `memory` in Gi."""

    limits: dict[Literal["cpu", "memory"], str]


class Container(Part):
    """One container; the image's entry point stays, `args` are what it starts."""

    image: ImageByDigest
    args: list[str]
    ports: list[ContainerPort] | None = None
    env: list[EnvVar]
    resources: Resources
    startup_probe: Probe | None = None
    liveness_probe: Probe | None = None


class Metadata(Part):
    """Name, labels and annotations."""

    name: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class RevisionSpec(Part):
    """What an instance of a service or worker pool runs."""

    service_account_name: str
    container_concurrency: int | None = None
    timeout_seconds: int | None = None
    containers: list[Container]


class RevisionTemplate(Part):
    """What the next revision is made of."""

    metadata: Metadata
    spec: RevisionSpec


class TrafficTarget(Part):
    """A share of the requests, for the last revision or for one by name."""

    latest_revision: bool | None = None
    revision_name: str | None = None
    percent: int
    tag: str | None = None


class ServiceSpec(Part):
    """A template, and who gets the requests."""

    template: RevisionTemplate
    traffic: list[TrafficTarget]


class Service(Part):
    """What answers requests."""

    api_version: Literal["serving.knative.dev/v1"] = "serving.knative.dev/v1"
    kind: Literal["Service"] = "Service"
    metadata: Metadata
    spec: ServiceSpec


class InstanceSplit(Part):
    """A share of the instances of a worker pool."""

    latest_revision: bool = True
    percent: int = 100


class WorkerPoolSpec(Part):
    """A template, and which revision has the instances."""

    template: RevisionTemplate
    instance_splits: list[InstanceSplit]


class WorkerPool(Part):
    """What works without being asked."""

    api_version: Literal["run.googleapis.com/v1"] = "run.googleapis.com/v1"
    kind: Literal["WorkerPool"] = "WorkerPool"
    metadata: Metadata
    spec: WorkerPoolSpec


class TaskSpec(Part):
    """What the one task of an execution runs; `timeout_seconds` is an int64, hence a string."""

    service_account_name: str
    max_retries: int
    timeout_seconds: str
    containers: list[Container]


class TaskTemplate(Part):
    """What tasks are made of."""

    spec: TaskSpec


class ExecutionSpec(Part):
    """How many tasks an execution has."""

    task_count: Literal[1] = 1
    parallelism: Literal[1] = 1
    template: TaskTemplate


class ExecutionTemplate(Part):
    """What executions are made of."""

    metadata: Metadata
    spec: ExecutionSpec


class JobSpec(Part):
    """A template for executions."""

    template: ExecutionTemplate


class Job(Part):
    """What runs to its end when it is started."""

    api_version: Literal["run.googleapis.com/v1"] = "run.googleapis.com/v1"
    kind: Literal["Job"] = "Job"
    metadata: Metadata
    spec: JobSpec


Manifest = Service | WorkerPool | Job
