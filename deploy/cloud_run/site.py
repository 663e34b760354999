"""What a deployment is called: project, region, database, buckets and host names, all from the environment's file.

Belongs here: reading them from an environment, refusing one that cannot be deployed. Does not belong here: roles.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from mlops_assets.config.models import Environment
from mlops_assets.domain.errors import ConfigError
from mlops_assets.domain.model_base import Record

# The socket that Cloud Run mounts for an instance: /cloudsql/PROJECT:REGION:INSTANCE.
_SOCKET = re.compile(
    r"^/cloudsql/([a-z][a-z0-9-]{4,28}[a-z0-9]):([a-z]+(?:-[a-z]+)+[0-9]+):([a-z][a-z0-9-]*)$"
)
REPOSITORY = "mlops-assets"
_MLFLOW_HOST = "mlflow."


class Site(Record):
    """The names of one deployment.

    Attributes:
        environment: name of the environment's file.
        project, region, instance: of the Cloud SQL instance, and of everything else.
        databases: on the instance.
        bucket, landing_bucket: of the platform, and of the operator's deliveries.
        secrets: name of the secret by environment variable.
        domain: below which the host names of the pages are.
        cores: of a run, by the environment.
        engine_gb, cache_gb: memory that a run's engine and its local copies may take, GB (10^9 bytes).
    """

    environment: str
    project: str
    region: str
    instance: str
    databases: tuple[str, ...]
    bucket: str
    landing_bucket: str
    secrets: dict[str, str]
    domain: str
    cores: int
    engine_gb: float
    cache_gb: float

    @property
    def connection(self) -> str:
        """Return what Cloud Run calls the instance."""
        return f"{self.project}:{self.region}:{self.instance}"

    @property
    def image(self) -> str:
        """Return a placeholder: where the image is kept, and its digest, are named by a release only."""
        return f"{REPOSITORY}/platform@sha256:DIGEST"

    def account(self, name: str) -> str:
        """Return the address of a service account."""
        return f"{name}@{self.project}.iam.gserviceaccount.com"


def is_deployable(environment: Environment) -> bool:
    """Whether an environment is one of Google Cloud, not of a machine."""
    return environment.storage.kind == "gcs" and environment.database.kind == "postgresql"


def read_site(environment: Environment) -> Site:
    """Return the names of an environment's deployment.

    Raises:
        ConfigError: the file lacks what a deployment needs; says what.
    """
    project, region, instance = _instance(environment)
    _require_same_place(environment, project, region)
    database, storage, mail = environment.database, environment.storage, environment.mail
    variables = [database.password_variable, mail.password_variable if mail.kind == "smtp" else ""]
    return Site(
        environment=environment.name,
        project=project,
        region=region,
        instance=instance,
        databases=(database.platform, database.dagster, database.mlflow),
        bucket=storage.bucket,
        landing_bucket=storage.landing_bucket or storage.bucket,
        secrets={variable: _secret_name(variable) for variable in variables if variable},
        domain=_domain(environment),
        cores=environment.executor.cores,
        engine_gb=_gigabytes(environment.engine.memory_limit),
        cache_gb=2 * storage.cache_gb,
    )


def _instance(environment: Environment) -> tuple[str, str, str]:
    found = _SOCKET.match(environment.database.host)
    if not found:
        raise ConfigError(
            "the database is not a Cloud SQL instance",
            where=f"configs/environments/{environment.name}.yaml, `database.host`: {environment.database.host}",
            expected="/cloudsql/PROJECT:REGION:INSTANCE",
        )
    project, region, instance = found.groups()
    return project, region, instance


def _require_same_place(environment: Environment, project: str, region: str) -> None:
    """Refuse runs elsewhere: the run jobs are rendered for the database's project and region."""
    runs = environment.runs
    if (runs.kind, runs.project, runs.region) != ("cloud_run", project, region):
        raise ConfigError(
            "runs and database are in different places",
            where=f"configs/environments/{environment.name}.yaml, `runs` and `database.host`",
            expected=f"runs of kind cloud_run in project {project}, region {region}",
        )


def _domain(environment: Environment) -> str:
    address = urlsplit(environment.registry.pages_url)
    host = address.hostname or ""
    if address.scheme != "https" or not host.startswith(_MLFLOW_HOST):
        raise ConfigError(
            "the host name of MLflow's pages is not known",
            where=f"configs/environments/{environment.name}.yaml, `registry.pages_url`",
            expected="https://mlflow.DOMAIN; the other pages are below the same domain",
        )
    return host.removeprefix(_MLFLOW_HOST)


def _secret_name(variable: str) -> str:
    """Return the secret that holds a variable's value: MLOPS_SMTP_PASSWORD is mlops-smtp-password."""
    return variable.lower().replace("_", "-")


def _gigabytes(text: str) -> float:
    """Return a memory limit of the engine, such as 6GB, in GB."""
    return float(text[:-2]) / (1000.0 if text.endswith("MB") else 1.0)
