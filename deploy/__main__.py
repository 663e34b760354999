"""`python -m deploy`: render the manifests, and prepare those of a release.

Belongs here: arguments, reading and writing files. Does not belong here: what is in them (deploy.cloud_run).
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import yaml

from deploy.cloud_run.release import (
    deployed_commit,
    release_manifest,
    serving_revision,
    share_requests,
    stop_instances,
)
from deploy.cloud_run.render import render_site
from deploy.cloud_run.roles import ROLES
from deploy.cloud_run.site import is_deployable, read_site
from deploy.cost import Assumptions, Prices, estimate_month, render_estimate
from mlops_assets.config.loader import load_project_with_sources
from mlops_assets.config.models import Environment
from mlops_assets.domain.errors import ConfigError, PlatformError

FOLDER = Path(__file__).resolve().parent
CANARY = "scoring"  # the one service whose answers others depend on
POOL, STOPPED = "daemon", "daemon-stopped"
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def commands() -> None:
    """Manifests of Google Cloud: rendered from configs/environments, filled in by a release."""


@commands.command("render")
def render() -> None:
    """Write the manifests and Terraform's names of every environment of Google Cloud."""
    for name, files in render_all().items():
        for file, text in files.items():
            (FOLDER / name / file).write_text(text, encoding="utf-8")
        click.echo(f"wrote {len(files)} files to {FOLDER / name}")


@commands.command("release")
@click.option("--environment", required=True, help="Whose manifests.")
@click.option("--image", required=True, help="HOST/PROJECT/REPOSITORY/NAME@sha256:DIGEST.")
@click.option("--commit", required=True, help="That the image was built from.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder for the manifests.")
@click.option(
    "--canary", type=click.IntRange(0, 100), help="Percent of scoring's requests for the new revision."
)
@click.option("--serving", type=_FILE, help="JSON of `gcloud run services describe scoring`; with --canary.")
def release(
    environment: str, image: str, commit: str, output: Path, canary: int | None, serving: Path | None
) -> None:
    """Write manifests that can be applied; refuse an image without a digest."""
    if (canary is None) != (serving is None):
        raise click.UsageError("--canary needs --serving, and the other way round")
    sources = {role.name: FOLDER / environment / f"{role.name}.yaml" for role in ROLES}
    if missing := [str(path) for path in sources.values() if not path.is_file()]:
        raise ConfigError(f"not rendered: {', '.join(missing)}", remedy="run `make deploy-render`")
    manifests = {
        name: release_manifest(path.read_text(encoding="utf-8"), image, commit)
        for name, path in sources.items()
    }
    manifests[STOPPED] = stop_instances(manifests[POOL])
    described = serving.read_text(encoding="utf-8") if serving else ""
    if canary is not None and (revision := serving_revision(described)):
        manifests[CANARY] = share_requests(manifests[CANARY], revision, canary)
    output.mkdir(parents=True, exist_ok=True)
    for name, manifest in manifests.items():
        (output / f"{name}.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    click.echo(f"wrote {len(manifests)} manifests to {output}")


@commands.command("commit")
@click.argument("described", type=_FILE)
def commit_command(described: Path) -> None:
    """Print the commit of a deployed service, of which `gcloud run services describe` wrote DESCRIBED; or nothing."""
    click.echo(deployed_commit(described.read_text(encoding="utf-8")))


@commands.command("cost")
@click.option("--environment", default="gcp", show_default=True, help="Whose sizes.")
def cost(environment: str) -> None:
    """Print what a month costs, by list prices and assumptions (deploy/cost.py)."""
    known = {found.name: found for found in cloud_environments()}
    if environment not in known:
        raise ConfigError(
            f"{environment} is no environment of Google Cloud", expected=" or ".join(known) or "one of yours"
        )
    click.echo(render_estimate(estimate_month(read_site(known[environment]), ROLES, Prices(), Assumptions())))


def render_all() -> dict[str, dict[str, str]]:
    """Return the text of every rendered file by environment and name."""
    return {
        environment.name: render_site(read_site(environment), ROLES) for environment in cloud_environments()
    }


def cloud_environments() -> list[Environment]:
    """Return the environments of Google Cloud, by name."""
    found = load_project_with_sources().environments
    return [found[name] for name in sorted(found) if is_deployable(found[name])]


def main() -> None:
    """Run; an error of ours ends with its text and status 1."""
    try:
        commands()
    except PlatformError as error:
        click.echo(str(error), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
