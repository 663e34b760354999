"""`mlops config`: check, show and plan the configuration, and keep its schemas.

Belongs here: arguments and output. Does not belong here: the checks (mlops_assets.config).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from mlops_assets.commands.config_plan import plan_command
from mlops_assets.commands.config_show import show_command
from mlops_assets.commands.output import Output, with_json
from mlops_assets.config.json_schema import render_schemas, stale_schemas
from mlops_assets.config.loader import PROJECT_CONFIGS, load_project_with_sources
from mlops_assets.domain.errors import ConfigError
from resources.atomic_files import write_atomic
from resources.dagster_instance import DEPLOY_FOLDER, instance_file, render_instance, stale_instances
from resources.environments import check_engine
from resources.log_metrics import METRICS_FILE, render_metrics


@click.group("config")
def config_commands() -> None:
    """Check configuration before anything runs; see what results, and what a change does."""


config_commands.add_command(show_command)
config_commands.add_command(plan_command)


@config_commands.command("check")
@with_json
def check(*, out: Output) -> None:
    """Load and cross-check every YAML file; exit with 1 and all findings if something is wrong.

    Example: mlops config check
    """
    loaded = load_project_with_sources()
    config = loaded.config
    check_engine(config.environment)
    if stale := stale_schemas(PROJECT_CONFIGS / "schema"):
        raise ConfigError(
            f"stale schemas: {', '.join(stale)}",
            where=str(PROJECT_CONFIGS / "schema"),
            remedy="run `mlops config schema`",
        )
    if not METRICS_FILE.is_file() or METRICS_FILE.read_text(encoding="utf-8") != render_metrics():
        raise ConfigError(
            "the metrics of the log are stale", where=str(METRICS_FILE), remedy="run `mlops config render`"
        )
    ours = {name: found for name, found in loaded.environments.items() if instance_file(name).parent.is_dir()}
    if stale := stale_instances(ours):
        raise ConfigError(
            f"stale dagster.yaml of environments: {', '.join(stale)}",
            where=str(DEPLOY_FOLDER),
            remedy="run `mlops config render`",
        )
    segments = sum(len(segments) for segments in config.use_cases.values())
    record = {
        "feeds": len(config.feeds),
        "geographies": len(config.geographies),
        "use_cases": len(config.use_cases),
        "segments": segments,
        "environment": config.environment.name,
        "environments": sorted(loaded.environments),
    }
    text = (
        f"ok: {len(config.feeds)} feeds, {len(config.geographies)} geographies, {len(config.use_cases)} use cases "
        f"with {segments} segments, environment {config.environment.name} "
        f"(there are {', '.join(sorted(loaded.environments))})"
    )
    out.tell(record, text)


@config_commands.command("schema")
@with_json
def schema(*, out: Output) -> None:
    """Write the JSON Schemas that editors use to complete and check the YAML files.

    Example: mlops config schema
    """
    folder = PROJECT_CONFIGS / "schema"
    _write(out, {folder / name: text for name, text in render_schemas().items()})


@config_commands.command("render")
@with_json
def render(*, out: Output) -> None:
    """Write the dagster.yaml of every environment that is not one machine's, and the log's metrics, below deploy/.

    Example: mlops config render
    """
    files = {METRICS_FILE: render_metrics()}
    for name, environment in sorted(load_project_with_sources().environments.items()):
        if environment.database.kind != "sqlite" or environment.storage.kind != "local":
            files[instance_file(name)] = render_instance(environment)
    _write(out, files)


def _write(out: Output, files: Mapping[Path, str]) -> None:
    """Write files, and tell which."""
    for path, text in files.items():
        write_atomic(path, text.encode())
    out.tell({"written": list(files)}, "\n".join(f"wrote {path}" for path in files))
