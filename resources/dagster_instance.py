"""The Dagster instance of an environment: its dagster.yaml.

Belongs here: turning an environment's sections into Dagster's settings. Does not belong here: starting Dagster, or a
secret: the file names the environment variable that holds the password.

What holds everywhere (pools, queue, retries, monitoring, retention, no telemetry) is written once, in
deploy/local/dagster.yaml; other environments replace where history and logs are kept and who launches runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from resources.database_address import SCHEME, connection_parameters, server_name
from resources.json_logs import dagster_log_settings

if TYPE_CHECKING:
    from mlops_assets.config.models import Environment
    from mlops_assets.config.run_models import RunsConfig
    from mlops_assets.config.store_models import DatabaseConfig

DEPLOY_FOLDER = Path(__file__).resolve().parents[1] / "deploy"
LOCAL_INSTANCE = DEPLOY_FOLDER / "local" / "dagster.yaml"
_STORAGE_KEYS = ("storage", "event_log_storage", "run_storage", "schedule_storage")


def instance_file(environment: str) -> Path:
    """Return where the rendered settings of an environment are committed."""
    return DEPLOY_FOLDER / environment / "dagster.yaml"


def render_instance(environment: Environment) -> str:
    """Return the dagster.yaml of an environment; on one machine that is the local one as it is."""
    local = LOCAL_INSTANCE.read_text(encoding="utf-8")
    storage, database = environment.storage, environment.database
    if database.kind == "sqlite" and storage.kind == "local":
        return local
    settings: dict[str, Any] = yaml.safe_load(local)
    if database.kind == "postgresql":
        for key in _STORAGE_KEYS:
            settings.pop(key, None)
        settings = {"storage": {"postgres": {"postgres_db": _postgres(database)}}, **settings}
    if storage.kind == "gcs":
        settings["compute_logs"] = _compute_logs(storage.bucket)
    if environment.runs.kind == "cloud_run":
        settings["run_launcher"] = _cloud_run(environment.runs)
    if environment.logs == "json":
        settings["python_logs"] = dagster_log_settings()
    header = (
        f"# The Dagster instance of environment `{environment.name}`: rendered by `mlops config render` from\n"
        f"# configs/environments/{environment.name}.yaml and deploy/local/dagster.yaml, which says why each is so.\n"
    )
    return header + yaml.safe_dump(settings, sort_keys=False)


def stale_instances(environments: dict[str, Environment]) -> list[str]:
    """Return the environments whose committed settings differ from what their file says."""
    return [
        name
        for name, environment in sorted(environments.items())
        if not instance_file(name).is_file()
        or instance_file(name).read_text(encoding="utf-8") != render_instance(environment)
    ]


def _postgres(settings: DatabaseConfig) -> dict[str, Any]:
    return {
        "scheme": SCHEME,
        "hostname": server_name(settings),
        "port": settings.port,
        "db_name": settings.dagster,
        "username": settings.user,
        "password": {"env": settings.password_variable},
        "params": connection_parameters(settings),
    }


def _cloud_run(runs: RunsConfig) -> dict[str, Any]:
    """Return who launches runs; plain values, since nothing of it is secret."""
    return {
        "module": "resources.cloud_run_launcher",
        "class": "CloudRunLauncher",
        "config": runs.model_dump(exclude={"kind"}),
    }


def _compute_logs(bucket: str) -> dict[str, Any]:
    """Return where the output of steps is kept; a step that lasts shows it before its end."""
    return {
        "module": "dagster_gcp.gcs.compute_log_manager",
        "class": "GCSComputeLogManager",
        "config": {"bucket": bucket, "prefix": "compute-logs", "upload_interval": 30},
    }
