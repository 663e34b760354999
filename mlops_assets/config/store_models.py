"""Where an environment keeps its data: folders of one machine, or buckets and databases.

Belongs here: the sections `storage`, `database`, `registry` and `ledger` of an environment's file, and what they
refuse. Does not belong here: opening anything (package `resources`), or a secret: only the name of its variable.
"""

from __future__ import annotations

from ipaddress import ip_address
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlops_assets.domain.model_base import Record

# Plain names joined by "/": neither absolute nor "..", by construction.
RelativePath = Annotated[
    str,
    Field(
        max_length=200, pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)*$"
    ),
]
# The name of an environment variable, never a secret itself.
VariableName = Annotated[str, Field(pattern=r"^([A-Z][A-Z0-9_]*)?$", max_length=100)]
# https://cloud.google.com/storage/docs/buckets#naming, without dots: those would need a verified domain.
BucketName = Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_-]{1,61}[a-z0-9])?$")]
DatabaseName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,62}$")]


class StorageConfig(Record):
    """Where files are kept: in folders below MLOPS_HOME, or under prefixes of the same names in a bucket.

    Attributes:
        kind: `local` or `gcs` (Google Cloud Storage).
        bucket: for kind `gcs`.
        landing_bucket: into which the operator delivers; the same one if empty.
        landing: what the operator delivered.
        lake: tables, corpora, predictions.
        reports: documents that people read.
        deployment: packages of champions and the pointers to them.
        cache: folder of local copies of objects, for kind `gcs`, below MLOPS_HOME.
        cache_gb: how much of the lake and of the deliveries is kept there each, GB (10^9 bytes).
        temporary: folder of the engine, below MLOPS_HOME.
        sandbox: folder of the simulated operator, below MLOPS_HOME.
    """

    kind: Literal["local", "gcs"] = "local"
    bucket: BucketName = ""
    landing_bucket: BucketName = ""
    landing: RelativePath = "landing"
    lake: RelativePath = "lake"
    reports: RelativePath = "reports"
    deployment: RelativePath = "deployment"
    cache: RelativePath = "cache"
    cache_gb: float = Field(20.0, gt=0.0, le=10_000.0)
    temporary: RelativePath = "tmp"
    sandbox: RelativePath = "sandbox"

    @model_validator(mode="after")
    def _keeps_things_apart(self) -> StorageConfig:
        if self.kind == "gcs" and not self.bucket:
            raise ValueError("`bucket` is missing: kind `gcs` needs one")
        for name in ("bucket", "landing_bucket"):
            if "goog" in getattr(self, name):
                raise ValueError(f"`{name}`: Google refuses names with `goog` in them")
        places = sorted(f"{path}/" for path in (self.landing, self.lake, self.reports, self.deployment))
        for one, other in pairwise(places):
            if other.startswith(one):
                raise ValueError(f"{one} and {other} lie in each other; give each a place of its own")
        return self


class DatabaseConfig(Record):
    """What holds decisions, mails, runs and the model registry: SQLite files, or databases on a PostgreSQL server.

    Attributes:
        kind: `sqlite` (each section names its file) or `postgresql`.
        host: name or address of the server, or the folder of its socket, such as /cloudsql/PROJECT:REGION:INSTANCE.
        port: of the server.
        user: of the log-in.
        password_variable: name of the environment variable that holds the password, never the password.
        tls: `verify-full` checks certificate and name of the server, `require` only encrypts; `none` only over a
            socket or to this machine.
        platform: database of ledger, outbox and feed releases.
        dagster: database of Dagster.
        mlflow: database of MLflow.
    """

    kind: Literal["sqlite", "postgresql"] = "sqlite"
    host: str = Field(
        "", pattern=r"^([A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?|::1|(/[A-Za-z0-9._:-]+)+)?$", max_length=253
    )
    port: int = Field(5432, ge=1, le=65535)
    user: str = Field("", pattern=r"^([A-Za-z_][A-Za-z0-9_.@-]{0,62})?$")
    password_variable: VariableName = ""
    tls: Literal["verify-full", "require", "none"] = "verify-full"
    platform: DatabaseName = "mlops"
    dagster: DatabaseName = "dagster"
    mlflow: DatabaseName = "mlflow"

    @property
    def is_socket(self) -> bool:
        """Whether the server is reached over a socket of this machine."""
        return self.host.startswith("/")

    @model_validator(mode="after")
    def _reaches_a_server_safely(self) -> DatabaseConfig:
        if self.kind == "sqlite":
            return self
        missing = [name for name in ("host", "user", "password_variable") if not getattr(self, name)]
        if missing:
            raise ValueError(
                f"{', '.join(f'`{name}`' for name in missing)} missing: kind `postgresql` needs it"
            )
        if ".." in self.host.split("/"):
            raise ValueError("`host` contains `..`")
        if self.tls == "none" and not self.is_socket and not is_loopback(self.host):
            raise ValueError(f"`tls: none` would send the password in clear to {self.host}; use verify-full")
        if len({self.platform, self.dagster, self.mlflow}) < 3:
            raise ValueError("`platform`, `dagster` and `mlflow` need a database each: their tables collide")
        return self


class RegistryConfig(Record):
    """The model registry.

    Attributes:
        database: SQLite file below MLOPS_HOME; unused with a `database` of kind `postgresql`.
        artifacts: folder below MLOPS_HOME, or prefix in the bucket.
        pages_url: where people reach the MLflow pages, for links in reports.
    """

    database: RelativePath = "mlflow/mlflow.db"
    artifacts: RelativePath = "mlflow/artifacts"
    pages_url: str = Field("", pattern=r"^(https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._/-]*)?)?$", max_length=300)


class LedgerConfig(Record):
    """The promotion ledger's file, below MLOPS_HOME; unused with a `database` of kind `postgresql`."""

    database: RelativePath = "ledger/ledger.db"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by name or by number; nothing is looked up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
