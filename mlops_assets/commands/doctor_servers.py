"""What `mlops doctor` looks at of services that others run: do the databases and the buckets answer.

Belongs here: one short question to each. Does not belong here: what is kept in them (doctor_stores, doctor_runs).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlops_assets.commands.findings import Finding, ok, problem
from mlops_assets.domain.errors import StorageError
from resources.database_address import make_address
from resources.postgres_schema import first_line

if TYPE_CHECKING:
    from mlops_assets.config.models import Environment
    from mlops_assets.config.store_models import DatabaseConfig

_ANSWER_S = 5


def check_servers(environment: Environment) -> Iterator[Finding]:
    """Ask every database and every bucket of the environment once; what is a file or a folder is not asked."""
    database, storage = environment.database, environment.storage
    if database.kind == "postgresql":
        for name in (database.platform, database.dagster, database.mlflow):
            yield _ask_database(database, name)
    if storage.kind == "gcs":
        for bucket in dict.fromkeys((storage.bucket, storage.landing_bucket or storage.bucket)):
            yield _ask_bucket(bucket)


def _ask_database(settings: DatabaseConfig, name: str) -> Finding:
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import DBAPIError

    part, where = f"database {name}", f"{settings.host}:{settings.port}"
    address = make_address(settings, name)()
    engine = create_engine(address, poolclass=NullPool, connect_args={"connect_timeout": _ANSWER_S})
    try:
        engine.connect().close()
    except DBAPIError as error:
        return problem(
            part,
            f"{where} does not let us in: {first_line(error.orig)}",
            f"see that the server runs; check `database` of the environment and {settings.password_variable}",
        )
    return ok(part, f"{where} lets us in")


def _ask_bucket(bucket: str) -> Finding:
    from resources.object_store import ObjectStore

    try:
        ObjectStore(bucket, "", patience_s=_ANSWER_S, answer_s=_ANSWER_S).find("asked-by-doctor")
    except StorageError as error:
        return problem(f"bucket {bucket}", error.what, error.remedy)
    return ok(f"bucket {bucket}", "answers")
